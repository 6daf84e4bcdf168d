"""The floors of the house: who may import whom, read from the sources, functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "napari_rwkvseg"
NAME = PACKAGE.name
FLOORS = {
    "errors": 0,
    "scan": 1,
    "wkv": 2,
    "network": 3,
    "engine": 4,
    "store": 5,
    "adapters": 6,
    "api": 6,
    "__init__": 6,  # the package itself hands out what is in api
    "__main__": 8,
    "workflow": 7,
    "widgets": 8,
    "cli": 8,
}
WINDOWED = {"napari", "qtpy", "superqt", "magicgui", "vispy", "PyQt5", "PyQt6", "PySide6"}
NUMPY_ONLY = {"torch", "scipy", "skimage", "dask"}  # not for the geometry of scan orders


def module_name(path: Path) -> str:
    """Return a name like "napari_rwkvseg.scan.orders"; packages without their __init__."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source: str) -> Iterator[str]:
    """Yield all that a source imports, anywhere in it: "a.b" and, for "from a import b", "a.b"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            yield from (f"{dots}{node.module or ''}.{alias.name}" for alias in node.names)


@cache
def imports_of(name: str) -> frozenset[str]:
    return frozenset(imported(MODULES[name].read_text("utf-8")))


@cache
def own_modules(imports: frozenset[str]) -> frozenset[str]:
    """Return those of our modules that the imports name, whether or not as "from a import b"."""
    ours = {name for name in imports if name.split(".")[0] == NAME}
    both = ours | {name.rpartition(".")[0] for name in ours - set(MODULES)}
    return frozenset(both & set(MODULES))


def floor_of(name: str) -> int:
    parts = name.split(".")
    return FLOORS[parts[1] if len(parts) > 1 else "__init__"]


def upward(name: str, imports: frozenset[str]) -> set[str]:
    """Return which of our modules are imported from a floor above the one of `name`."""
    return {other for other in own_modules(imports) if floor_of(other) > floor_of(name)}


def reachable(start: str) -> set[str]:
    """Return all of our modules that `start` imports, directly or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for other in own_modules(imports_of(waiting.pop())) - found:
            found.add(other)
            waiting.append(other)
    return found


def roots(imports: Set[str]) -> set[str]:
    return {name.split(".")[0] for name in imports}


def test_every_file_lies_on_a_floor() -> None:
    parts = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES.values()}
    assert parts <= set(FLOORS)


@pytest.mark.parametrize("name", MODULES)
def test_a_file_imports_only_its_own_floor_and_those_below(name: str) -> None:
    assert upward(name, imports_of(name)) == set()


@pytest.mark.parametrize("name", [name for name in MODULES if floor_of(name) < 8])
def test_below_floor_8_nothing_imports_napari_or_qt(name: str) -> None:
    assert roots(imports_of(name)) & WINDOWED == set()


@pytest.mark.parametrize("name", [name for name in MODULES if floor_of(name) == 1])
def test_the_geometry_of_scan_orders_needs_numpy_only(name: str) -> None:
    assert roots(imports_of(name)) & NUMPY_ONLY == set()


@pytest.mark.parametrize("name", MODULES)
def test_imports_are_absolute(name: str) -> None:
    assert {other for other in imports_of(name) if other.startswith(".")} == set()


@pytest.mark.parametrize("name", MODULES)
def test_no_file_imports_itself_in_the_end(name: str) -> None:
    assert name not in reachable(name)


class TestTheRulesThemselves:
    """What the checks above rest on finds what it must."""

    def test_imports_inside_functions_are_found(self) -> None:
        source = "def f():\n    if True:\n        from napari_rwkvseg.widgets import dock\n"
        assert set(imported(source)) == {"napari_rwkvseg.widgets.dock"}

    def test_imports_for_type_checkers_are_found(self) -> None:
        source = "if TYPE_CHECKING:\n    import napari.layers\n"
        assert roots(set(imported(source))) == {"napari"}

    def test_relative_imports_keep_their_dots(self) -> None:
        assert set(imported("from . import a\nfrom ..b import c\n")) == {"..a", "..b.c"}

    def test_a_name_imported_from_a_module_counts_as_the_module(self) -> None:
        assert own_modules(frozenset({"napari_rwkvseg.errors.RwkvSegError"})) == {
            "napari_rwkvseg.errors"
        }

    def test_a_submodule_imported_from_its_package_counts_as_itself(self) -> None:
        assert own_modules(frozenset({"napari_rwkvseg.scan.orders"})) == {
            "napari_rwkvseg.scan.orders"
        }

    def test_the_package_itself_lies_high(self) -> None:
        assert upward("napari_rwkvseg.engine.card", frozenset({f"{NAME}.__version__"})) == {NAME}

    def test_an_import_from_above_is_named(self) -> None:
        imports = frozenset({f"{NAME}.widgets.dock.SegmentationDock", f"{NAME}.errors"})
        assert upward("napari_rwkvseg.workflow.state", imports) == {"napari_rwkvseg.widgets.dock"}
