"""The package never loads code from data, and never opens a connection."""

import ast
from pathlib import Path

import pytest

import napari_rwkvseg

FOLDER = Path(napari_rwkvseg.__path__[0])
UNSAFE_MODULES = {
    *("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("torch.hub", "torch.package", "torch.serialization", "pandas.io.pickle"),
    *("socket", "urllib.request", "http.client", "ftplib", "requests", "httpx", "aiohttp"),
}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_ATTRIBUTES = {
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "torch.package"),
    *("yaml.load", "pandas.read_pickle", "pd.read_pickle"),
}


def unsafe_uses(source):
    """Return what in a module's source could run a stranger's code or reach a network."""
    return [found for node in ast.walk(ast.parse(source)) for found in _uses(node)]


def _uses(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if _is_unsafe_module(alias.name)]
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [n for n in names if _is_unsafe_module(n) or n in UNSAFE_ATTRIBUTES]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return [node.func.id] if node.func.id in UNSAFE_CALLS else []
    if isinstance(node, ast.Attribute):
        return [name for name in [ast.unparse(node)] if name in UNSAFE_ATTRIBUTES]
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        return [] if ast.unparse(node.value) == "False" else ["allow_pickle"]
    return []


def _is_unsafe_module(name):
    return any(name == unsafe or name.startswith(f"{unsafe}.") for unsafe in UNSAFE_MODULES)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER))
)
def test_no_module_loads_unsafely(path):
    assert unsafe_uses(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, joblib.externals",
        "from pickle import loads",
        "from torch import load",
        "from urllib.request import urlopen",
        "from urllib import request",
        "import torch\ndef f(x): return torch.load(x, weights_only=True)",
        "read = torch.load",
        "eval('1')",
        "__import__('pickle')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
    ],
)
def test_each_unsafe_use_is_found(source):
    assert len(unsafe_uses(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "network.eval()",
        "np.load(path, allow_pickle=False)",
        "from urllib.parse import urlsplit",
        "from safetensors.torch import load",
        "re.compile('x')",
    ],
)
def test_ordinary_code_is_not_accused(source):
    assert unsafe_uses(source) == []
