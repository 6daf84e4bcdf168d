"""torch is imported from a worker thread, its libraries opened without holding the interpreter."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from napari_rwkvseg.engine import torch_loading
from napari_rwkvseg.engine.torch_loading import load_torch, open_library, torch_libraries

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="dlopen is POSIX's")


def test_a_process_without_torch_has_it_afterwards() -> None:
    script = (
        "import sys\n"
        "from napari_rwkvseg.engine.torch_loading import load_torch\n"
        "assert 'torch' not in sys.modules\n"
        "load_torch()\n"
        "import torch\n"
        "print(float(torch.ones(2).sum()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "2.0"


@needs_posix
def test_libraries_are_opened_in_order_before_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(torch_loading, "open_library", lambda path: opened.append(path.stem))
    monkeypatch.setattr(torch_loading, "import_module", opened.append)
    load_torch()
    assert opened == ["libc10", "libtorch_cpu", "libtorch", "libtorch_python", "torch"]


def test_nothing_is_opened_once_torch_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch  # noqa: F401 - as a job before would have done

    monkeypatch.setattr(torch_loading, "open_library", pytest.fail)
    load_torch()


def test_the_garbage_collector_rests_during_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    resting: list[bool] = []
    monkeypatch.setattr(torch_loading, "import_module", lambda _: resting.append(gc.isenabled()))
    load_torch()
    assert resting == [False]
    assert gc.isenabled()


@needs_posix
def test_a_library_opens_and_one_that_is_none_does_not(tmp_path: Path) -> None:
    assert open_library(next(torch_libraries()))
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"no library")
    assert not open_library(broken)


def test_optimisers_are_loaded_without_triton_where_there_is_no_cuda() -> None:
    script = (
        "import sys\n"
        "tried = []\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'triton':\n"
        "            tried.append(name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from napari_rwkvseg.engine.torch_loading import load_optimisers\n"
        "load_optimisers()\n"
        "import torch\n"
        "torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])\n"
        "assert torch.cuda.is_available() or not tried\n"
        "assert 'triton' not in sys.modules or torch.cuda.is_available()\n"
        "assert 'torch._dynamo' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=120)
