import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import portalocker
import pytest
import torch

from napari_rwkvseg.errors import ModelFileError, ModelNotFoundError
from napari_rwkvseg.store import own_models
from napari_rwkvseg.store.library import Library, data_folder
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.store.own_models import EXTENSION
from tests.store.model_builders import small_model

BUNDLED_SEED = 99


def install(library, seed, **options):
    return library.install(small_model(seed=seed), **options)


def content(folder):
    """Return the bytes of all model files below a folder, by file name."""
    return {path.name: path.read_bytes() for path in folder.rglob(f"*{EXTENSION}")}


def pointers(library):
    return json.loads((library.root / "current.json").read_text())["active"]


def same_weights(model, seed):
    expected = small_model(seed=seed).network.state_dict()
    found = model.network.state_dict()
    return all(torch.equal(found[name], value) for name, value in expected.items())


class TestLooking:
    def test_looking_makes_no_folder(self, library):
        assert library.names() == ("nuclei",)
        assert library.deleted() == ()
        library.load("nuclei")
        assert not library.root.exists()

    def test_bundled_names_come_first(self, library):
        install(library, 1, name="z")
        install(library, 2, name="a")
        install(library, 3, name="nuclei")
        assert library.names() == ("nuclei", "a", "z")

    def test_an_unknown_name_is_answered_with_the_known_ones(self, library):
        install(library, 1)
        for ask in (library.path, library.card, library.load, library.versions, library.delete):
            with pytest.raises(ModelNotFoundError) as caught:
                ask("nucleus")
            assert str(caught.value) == "No model named 'nucleus'. Choose one of: nuclei, cells."

    def test_no_model_at_all_is_said(self, tmp_path):
        with pytest.raises(ModelNotFoundError, match="none is installed"):
            Library(tmp_path, tmp_path).load("nuclei")

    @pytest.mark.parametrize("name", ["", "..", "../bundled/nuclei", "nuclei.safetensors", "*"])
    def test_a_name_cannot_leave_the_folder(self, library, name):
        with pytest.raises(ModelNotFoundError):
            library.path(name)

    def test_files_of_other_names_are_not_models(self, library):
        install(library, 1)
        for name in ("x.safetensors", "Cells-00000000.safetensors", "cells-0000.safetensors"):
            (library.root / name).write_bytes(b"")
        assert library.names() == ("nuclei", "cells")

    def test_the_data_folder_can_be_chosen(self, monkeypatch, tmp_path):
        monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path))
        assert Library().root == tmp_path / "models"
        monkeypatch.delenv("NAPARI_RWKVSEG_DATA")
        assert data_folder().name == "napari-rwkvseg"

    def test_the_bundled_folder_is_in_the_package(self):
        import napari_rwkvseg.store.library as module

        assert Path(module.__file__).parents[1] / "models" == module.BUNDLED


class TestLoading:
    def test_a_name_loads_the_active_version(self, library):
        install(library, 1)
        install(library, 2)
        assert same_weights(library.load("cells"), 2)
        assert same_weights(library.load("nuclei"), BUNDLED_SEED)

    def test_a_path_loads_a_file(self, library, tmp_path, monkeypatch):
        path = tmp_path / "any.safetensors"
        write_model(path, small_model(seed=5))
        monkeypatch.chdir(tmp_path)
        for given in (path, str(path), "any.safetensors"):
            assert library.load(given).card.name == "cells"
        assert same_weights(library.load(path), 5)

    def test_a_path_that_is_none_is_a_sentence(self, library):
        with pytest.raises(ModelFileError, match="cannot be read"):
            library.load("no/where")

    def test_model_and_card_carry_the_name_in_the_library(self, library):
        version = install(library, 1, name="mine")
        assert library.card("mine").name == library.load("mine").card.name == "mine"
        assert version.card.name == "mine"
        assert version.summary.card.name == "cells"

    def test_a_damaged_active_version_is_reported_not_replaced(self, library):
        version = install(library, 1)
        install(library, 2, activate=False)
        version.path.write_bytes(b"")
        with pytest.raises(ModelFileError, match="is cut off"):
            library.load("cells")


class TestInstalling:
    def test_the_file_carries_name_and_checksum(self, library):
        version = install(library, 1)
        assert version.path.name == f"cells-{version.sha256[:8]}.safetensors"
        assert (version.active, version.bundled) == (True, False)
        assert pointers(library) == {"cells": version.sha256}

    def test_a_file_is_copied_bit_for_bit(self, library, tmp_path):
        path = tmp_path / "given.safetensors"
        write_model(path, small_model(), half=True)
        version = library.install(path)
        assert version.path.read_bytes() == path.read_bytes()
        assert version.name == "cells"

    def test_the_same_again_changes_no_file(self, library):
        first = install(library, 1)
        os.utime(first.path, ns=(5, 5))
        assert install(library, 1).path == first.path
        assert first.path.stat().st_mtime_ns == 5

    def test_the_same_again_heals_a_damaged_file(self, library):
        first = install(library, 1)
        whole = first.path.read_bytes()
        first.path.write_bytes(whole[:-1] + b"x")
        assert install(library, 1).path.read_bytes() == whole

    def test_a_version_can_be_set_aside(self, library):
        first = install(library, 1)
        second = install(library, 2, activate=False)
        assert not second.active
        assert library.path("cells") == first.path

    def test_a_version_set_aside_never_replaces_the_bundled_one(self, library):
        install(library, 1, name="nuclei", activate=False)
        assert same_weights(library.load("nuclei"), BUNDLED_SEED)

    def test_a_damaged_file_is_refused_and_nothing_changes(self, library, tmp_path):
        path = tmp_path / "bad.safetensors"
        path.write_bytes(b"junk")
        with pytest.raises(ModelFileError, match=r"^bad.safetensors"):
            library.install(path)
        assert not library.root.exists()

    @pytest.mark.parametrize(
        "name", ["", "Cells", "a/b", "../a", "a b", "-a", "é", "a" * 65, "a\n"]
    )
    def test_names_that_are_no_file_names_are_refused(self, library, name):
        with pytest.raises(ModelFileError, match="no valid model name"):
            install(library, 1, name=name)
        assert not library.root.exists()

    def test_the_longest_name_fits(self, library):
        assert install(library, 1, name="a" * 64).name == "a" * 64

    def test_a_name_may_end_like_a_checksum(self, library):
        install(library, 1, name="cells-0123abcd")
        assert library.names() == ("nuclei", "cells-0123abcd")

    def test_a_crash_before_the_pointer_loses_no_version(self, library, monkeypatch):
        first = install(library, 1)
        with monkeypatch.context() as patch:
            patch.setattr(own_models, "write_active", crash)
            with pytest.raises(KeyboardInterrupt):
                install(library, 2)
        assert len(library.versions("cells")) == 2
        assert library.path("cells") == first.path

    def test_a_full_disk_is_one_sentence(self, library, monkeypatch):
        first = install(library, 1)
        monkeypatch.setattr("os.fsync", full_disk)
        with pytest.raises(ModelFileError, match="cannot be changed: No space left on device"):
            install(library, 2)
        monkeypatch.undo()
        assert [v.sha256 for v in library.versions("cells")] == [first.sha256]

    def test_temporary_files_of_the_dead_are_swept_at_the_start(self, library, tmp_path):
        install(library, 1)
        left = library.root / ".cells-0.rwkvseg-tmp"
        left.write_bytes(b"part")
        Library(library.root, tmp_path)
        assert not left.exists()


def crash(*_):
    raise KeyboardInterrupt


def full_disk(*_):
    raise OSError(28, "No space left on device")


class TestVersions:
    def test_the_bundled_one_is_first_then_the_order_of_arrival(self, library):
        added = [install(library, seed, name="nuclei") for seed in (3, 1, 2)]
        for when, version in enumerate(added):
            os.utime(version.path, ns=(when, when))
        found = library.versions("nuclei")
        assert [v.bundled for v in found] == [True, False, False, False]
        assert [v.sha256 for v in found[1:]] == [v.sha256 for v in added]
        assert [v.active for v in found] == [False, False, False, True]

    def test_set_aside_is_the_newest_that_could_not_be_proven(self, library):
        start = install(library, 1)

        def made(seed, proven, parent=start.sha256, active=False):
            metrics = {"proven_better": proven} if proven is not None else {}
            model = small_model(seed=seed, parent=parent, metrics=metrics)
            return library.install(model, activate=active)

        assert library.aside("cells", start.sha256) is None
        assert library.aside("unknown", start.sha256) is None
        first, second = made(2, 0.0), made(3, 0.0)
        assert library.aside("cells", start.sha256) == second
        assert library.aside("cells", first.sha256) is None
        made(4, 0.0, parent=first.sha256)
        assert library.aside("cells", start.sha256) == second
        library.activate("cells", second.sha256)
        assert library.aside("cells", start.sha256) is None  # somebody chose it
        library.activate("cells", start.sha256)
        made(5, 1.0)
        assert library.aside("cells", start.sha256) is None  # somebody went back from it
        made(6, None)
        assert library.aside("cells", start.sha256) is None  # nobody knows

    def test_the_first_of_a_new_name_is_aside_though_the_name_stands_for_it(self, library):
        metrics = {"proven_better": 0.0}
        model = small_model(seed=1, parent="a" * 64, metrics=metrics)
        first = library.install(model, activate=False)
        assert library.path("cells") == first.path
        assert library.aside("cells", "a" * 64) == first
        library.activate("cells", first.sha256)
        assert library.aside("cells", "a" * 64) is None  # somebody chose it

    def test_damaged_ones_are_left_out_with_a_warning(self, library, caplog):
        good, bad = install(library, 1), install(library, 2)
        bad.path.write_bytes(b"")
        with caplog.at_level(logging.WARNING):
            assert [v.sha256 for v in library.versions("cells")] == [good.sha256]
        assert bad.path.name in caplog.text

    def test_going_back_is_bit_for_bit(self, library):
        first, second = install(library, 1), install(library, 2)
        before = content(library.root)
        assert library.activate("cells", first.sha256).active
        assert same_weights(library.load("cells"), 1)
        library.activate("cells", second.sha256[:6])
        assert library.path("cells") == second.path
        assert content(library.root) == before

    def test_going_back_to_the_bundled_one(self, library):
        install(library, 1, name="nuclei")
        bundled = library.versions("nuclei")[0]
        library.activate("nuclei", bundled.sha256)
        assert library.path("nuclei") == bundled.path
        assert pointers(library) == {}

    @pytest.mark.parametrize("sha", ["", "zz", "0" * 64])
    def test_an_unknown_version_is_answered_with_the_known_ones(self, library, sha):
        version = install(library, 1)
        install(library, 2)
        with pytest.raises(ModelNotFoundError, match=f"Choose one of: .*{version.sha256[:8]}"):
            library.activate("cells", sha)

    def test_other_names_keep_their_pointers(self, library):
        first = install(library, 1, name="a")
        second = install(library, 2, name="b")
        library.activate("a", first.sha256)
        assert pointers(library) == {"a": first.sha256, "b": second.sha256}


class TestPointerFile:
    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"active": []}', '{"active": {"cells": 5}}', "{}", "\xff"]
    )
    def test_a_damaged_one_falls_back_to_the_newest(self, library, text):
        first, second = install(library, 1), install(library, 2)
        os.utime(first.path, ns=(1, 1))
        (library.root / "current.json").write_text(text, encoding="latin-1")
        assert library.path("cells") == second.path
        library.activate("cells", first.sha256)
        assert library.path("cells") == first.path

    def test_one_that_leads_nowhere_falls_back(self, library):
        install(library, 1, name="nuclei").path.unlink()
        assert same_weights(library.load("nuclei"), BUNDLED_SEED)

    def test_entries_of_later_versions_are_kept(self, library):
        install(library, 1)
        file = library.root / "current.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"later": [1]}))
        install(library, 2)
        assert json.loads(file.read_text())["later"] == [1]


class TestRenaming:
    def test_all_versions_follow_and_no_byte_changes(self, library):
        first, second = install(library, 1), install(library, 2)
        before = sorted(content(library.root).values())
        library.activate("cells", first.sha256)
        library.rename("cells", "mine")
        assert library.names() == ("nuclei", "mine")
        assert {v.sha256 for v in library.versions("mine")} == {first.sha256, second.sha256}
        assert library.load("mine").sha256 == first.sha256
        assert sorted(content(library.root).values()) == before
        assert pointers(library) == {"mine": first.sha256}

    @pytest.mark.parametrize("taken", ["nuclei", "other"])
    def test_a_name_that_is_taken_is_refused(self, library, taken):
        install(library, 1)
        install(library, 2, name="other")
        with pytest.raises(ModelFileError, match=f"A model named '{taken}' exists"):
            library.rename("cells", taken)

    def test_a_name_taken_by_another_program_meanwhile_is_refused(self, library):
        install(library, 1)
        install(library, 2, name="other")
        with pytest.raises(ModelFileError, match="A model named 'other' exists"):
            own_models.OwnModels(library.root).rename("cells", "other")

    def test_a_name_that_is_no_file_name_is_refused(self, library):
        install(library, 1)
        with pytest.raises(ModelFileError, match="no valid model name"):
            library.rename("cells", "../x")

    def test_the_bundled_one_stays(self, library):
        with pytest.raises(ModelFileError, match="comes with the plugin"):
            library.rename("nuclei", "mine")

    def test_own_versions_of_a_bundled_name_can_move_away(self, library):
        version = install(library, 1, name="nuclei")
        library.rename("nuclei", "mine")
        assert same_weights(library.load("nuclei"), BUNDLED_SEED)
        assert library.load("mine").sha256 == version.sha256

    def test_a_crash_half_way_loses_neither_versions_nor_the_active_one(self, library, monkeypatch):
        install(library, 2)
        first = install(library, 1)
        with monkeypatch.context() as patch:
            patch.setattr(own_models, "sync_folder", crash)
            with pytest.raises(KeyboardInterrupt):
                library.rename("cells", "mine")
        assert library.load("mine").sha256 == first.sha256
        assert len(library.versions("mine")) == 2


class TestDeleting:
    def test_it_can_be_undone_bit_for_bit(self, library):
        first = install(library, 1)
        install(library, 2)
        library.activate("cells", first.sha256)
        before = content(library.root)
        trashed = library.delete("cells")
        assert library.names() == ("nuclei",)
        assert pointers(library) == {}
        assert library.deleted() == (trashed,)
        library.restore(trashed)
        assert content(library.root) == before
        assert library.path("cells").name == first.path.name
        assert library.deleted() == ()

    def test_after_a_restart_too_the_latest_last(self, library, tmp_path):
        install(library, 1, name="a")
        install(library, 2, name="b")
        library.delete("b")
        library.delete("a")
        again = Library(library.root, tmp_path)
        assert [trashed.name for trashed in again.deleted()] == ["b", "a"]
        again.restore(again.deleted()[0])
        assert again.names() == ("b",)

    def test_what_became_active_meanwhile_stays_active(self, library):
        install(library, 1)
        trashed = library.delete("cells")
        newer = install(library, 2)
        library.restore(trashed)
        assert library.path("cells") == newer.path
        assert len(library.versions("cells")) == 2

    def test_twice_undone_is_a_sentence(self, library):
        install(library, 1)
        trashed = library.delete("cells")
        library.restore(trashed)
        with pytest.raises(ModelFileError, match=r"^cells is no longer in the trash\."):
            library.restore(trashed)

    def test_the_bundled_one_stays(self, library):
        with pytest.raises(ModelFileError, match="comes with the plugin"):
            library.delete("nuclei")
        install(library, 1, name="nuclei")
        library.delete("nuclei")
        assert same_weights(library.load("nuclei"), BUNDLED_SEED)

    def test_a_set_aside_version_returns_without_a_pointer(self, library):
        install(library, 1, name="nuclei", activate=False)
        library.restore(library.delete("nuclei"))
        assert same_weights(library.load("nuclei"), BUNDLED_SEED)

    def test_unreadable_notes_are_left_out(self, library):
        install(library, 1)
        trashed = library.delete("cells")
        (trashed.folder / "deleted.json").write_text("[]")
        assert library.deleted() == ()


class TestTwoPrograms:
    def test_a_writer_waits_and_then_says_why(self, library, monkeypatch):
        install(library, 1)
        monkeypatch.setattr(own_models, "LOCK_SECONDS", 0.0)
        with (library.root / ".lock").open("a") as file:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
            with pytest.raises(ModelFileError, match="another program is using the model folder"):
                install(library, 2)
            assert library.load("cells")  # readers do not wait
        install(library, 2)

    def test_the_lock_is_free_after_a_failure(self, library, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(own_models, "write_atomic", full_disk)
            with pytest.raises(ModelFileError, match="No space"):
                install(library, 1)
        monkeypatch.setattr(own_models, "LOCK_SECONDS", 0.0)
        install(library, 1)

    def test_none_of_their_versions_and_pointers_is_lost(self, library):
        added = subprocess_results(library.root)
        found = own_models.OwnModels(library.root).files()
        assert {name: len(files) for name, files in found.items()} == {"a": 15, "b": 15, "both": 30}
        assert set(pointers(library)) == {"a", "b", "both"}
        assert added == [0, 0]
        assert not list(library.root.glob(".*tmp"))


WRITER = """
import hashlib, sys
from pathlib import Path
from napari_rwkvseg.store.own_models import OwnModels

root, name = Path(sys.argv[1]), sys.argv[2]
for step in range(15):
    models = OwnModels(root)  # sweeps: must not take the other's files
    for owner in (name, "both"):
        data = f"{name}{step}{owner}".encode()
        sha = hashlib.sha256(data).hexdigest()
        path = models.add(owner, sha, data, activate=True)
        if path.read_bytes() != data or (owner == name and models.active(name) != path):
            sys.exit("lost")
"""


def subprocess_results(root):
    """Let two programs write 30 versions each into one folder at the same time."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(root), n]) for n in ("a", "b")]
    return [writer.wait(timeout=60) for writer in writers]
