"""The package as others see it: what an import costs, the manifest, the version, the wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from importlib.metadata import (
    entry_points,
    metadata,
    packages_distributions,
    requires,
    version,
)
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_rwkvseg

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "qtpy", "napari", "skimage", "scipy")
PACKAGE = ROOT / "napari_rwkvseg"
MODELS = PACKAGE / "models"
# zarr is an extra: who opens such a folder without it is told; triton comes with torch for CUDA
OPTIONAL = {"triton", "zarr"}
DECLARED = [text for text in requires("napari-rwkvseg") or [] if "extra ==" not in text]


def loaded_after(statement: str, *modules: str) -> list[str]:
    """Return which of the modules a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*[m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


def foreign_imports(path: Path) -> set[str]:
    """Return the top names of what a file imports that is neither ours nor Python's own."""
    tree = ast.parse(path.read_text("utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {PACKAGE.name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel made from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_file(PACKAGE / "napari.yaml")


class TestImport:
    def test_the_package_alone_is_light(self) -> None:
        assert loaded_after("import napari_rwkvseg", *HEAVY) == []

    def test_the_dock_does_not_load_torch(self) -> None:
        assert loaded_after("import napari_rwkvseg.widgets.dock", "torch", "qtpy") == ["qtpy"]

    def test_the_dock_loads_no_package_that_only_a_run_needs(self) -> None:
        later = ("skimage.segmentation", "dask.array", "pydicom", "nibabel", "matplotlib.pyplot")
        pages = ("dock", "correct.tab", "explorer.tab", "models")
        everything = "\n".join(f"import napari_rwkvseg.widgets.{page}" for page in pages)
        assert loaded_after(everything, "torch", *later) == []

    def test_the_dock_loads_the_pages_behind_the_first_one_later(self) -> None:
        pages = ("napari_rwkvseg.widgets.correct.tab", "napari_rwkvseg.widgets.explorer.tab")
        assert loaded_after("import napari_rwkvseg.widgets.dock", *pages) == []

    @pytest.mark.parametrize("floor", ["api", "workflow", "adapters.samples", "store.library"])
    def test_below_the_window_neither_qt_nor_napari_is_loaded(self, floor: str) -> None:
        assert loaded_after(f"import napari_rwkvseg.{floor}", "torch", "qtpy", "napari") == []

    def test_public_names_come_when_asked_for(self) -> None:
        assert napari_rwkvseg.load_model.__module__ == "napari_rwkvseg.api"

    def test_the_package_runs_as_the_command(self) -> None:
        run = [sys.executable, "-m", "napari_rwkvseg", "--version"]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == napari_rwkvseg.__version__

    def test_other_names_do_not_exist(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'segment_all'"):
            getattr(napari_rwkvseg, "segment_all")  # noqa: B009 - mypy knows it is not there


class TestManifest:
    def test_napari_finds_it_by_the_name_of_the_distribution(self) -> None:
        (entry,) = entry_points(group="napari.manifest", name="napari-rwkvseg")
        assert entry.value == "napari_rwkvseg:napari.yaml"

    def test_all_that_it_names_can_be_imported(self, manifest: PluginManifest) -> None:
        manifest.validate_imports()

    def test_its_name_is_the_name_of_the_distribution(self, manifest: PluginManifest) -> None:
        assert manifest.name == metadata("napari-rwkvseg")["Name"]

    def test_commands_have_ids_of_their_own_under_our_name(self, manifest: PluginManifest) -> None:
        ids = [command.id for command in manifest.contributions.commands or []]
        assert len(set(ids)) == len(ids)
        assert all(command_id.startswith("napari-rwkvseg.") for command_id in ids)


class TestDependencies:
    def test_all_that_the_package_imports_is_declared(self) -> None:
        declared = {normal(re.split(r"[^\w.-]", text)[0]) for text in DECLARED}
        providers = packages_distributions()
        used = {name for path in PACKAGE.rglob("*.py") for name in foreign_imports(path)}
        missing = {name for name in used if not declared & set(map(normal, providers[name]))}
        assert missing == OPTIONAL

    def test_no_qt_binding_is_among_them(self) -> None:
        bindings = ("pyqt5", "pyqt6", "pyside2", "pyside6")
        assert [text for text in DECLARED if text.lower().startswith(bindings)] == []
        assert [text for text in DECLARED if text.startswith("napari[")] == []


class TestVersion:
    def test_the_package_says_what_is_installed(self) -> None:
        assert napari_rwkvseg.__version__ == version("napari-rwkvseg")

    def test_the_changelog_has_an_entry(self) -> None:
        assert f"\n## [{napari_rwkvseg.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


class TestWheel:
    def test_it_holds_the_manifest_the_hints_and_the_licence(self, wheel: set[str]) -> None:
        assert {"napari_rwkvseg/napari.yaml", "napari_rwkvseg/py.typed"} <= wheel
        assert any(name.endswith("licenses/LICENSE") for name in wheel)

    def test_it_holds_every_sample_but_not_the_programs(self, wheel: set[str]) -> None:
        images = {path.name for path in (ROOT / "sample_data").glob("*.tif")}
        held = {name.rpartition("/")[2] for name in wheel if "/samples/" in name}
        assert held == images | {"LICENSE", "README.md"}

    def test_it_holds_every_bundled_model(self, wheel: set[str]) -> None:
        models = {f"napari_rwkvseg/models/{path.name}" for path in MODELS.glob("*.safetensors")}
        assert models <= wheel

    def test_it_holds_every_module(self, wheel: set[str]) -> None:
        assert {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")} <= wheel

    def test_it_holds_nothing_else(self, wheel: set[str]) -> None:
        roots = {name.split("/")[0] for name in wheel}
        assert roots == {"napari_rwkvseg", f"napari_rwkvseg-{napari_rwkvseg.__version__}.dist-info"}
