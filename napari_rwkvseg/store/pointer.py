"""Which version of each own model is active: one small JSON file, replaced at once.

Readers need no lock. Whoever changes it reads, changes and writes under the library's lock.
Entries of later versions of the plugin are kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.refusal import Refusal, strict_json

FILE_NAME = "current.json"
ACTIVE = "active"

logger = logging.getLogger(__name__)


def read_active(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the active version by model name; empty if there is no file yet.

    A damaged file counts as none, with a logged warning: no version is lost by that, the library
    then falls back to the bundled or the newest one.
    """
    active = _read(folder).get(ACTIVE, {})
    if not isinstance(active, dict):
        return {}
    return {name: sha for name, sha in active.items() if isinstance(sha, str)}


def write_active(folder: Path, active: Mapping[str, str]) -> None:
    """Replace the pointers; the library's lock must be held.

    Raises
    ------
    OSError
        If the disk refuses; the old file is then intact.
    """
    content = {**_read(folder), ACTIVE: dict(sorted(active.items()))}
    write_atomic(folder / FILE_NAME, json.dumps(content, indent=1).encode())


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = strict_json((folder / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return {}
    except Refusal as refusal:
        logger.warning("%s %s", FILE_NAME, refusal.reason)
        return {}
    return content if isinstance(content, dict) else {}
