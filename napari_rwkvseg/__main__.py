"""`python -m napari_rwkvseg`, for where the command `napari-rwkvseg` is not on the path."""

import sys

from napari_rwkvseg.cli import main

sys.exit(main())
