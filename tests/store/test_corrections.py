"""Accepted corrections: kept, dealt once, private."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN, Evidence, EvidenceCount
from napari_rwkvseg.engine.holdout import BLOCK_IMAGES
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.evidence_file import read_evidence
from napari_rwkvseg.store.ledger import FILE_NAME, read_ledger
from napari_rwkvseg.store.taught import Taught
from tests.corrected import corrected, model

NAMES = ["disc"]


@pytest.fixture
def project(tmp_path: Path) -> Corrections:
    return Corrections(tmp_path / "project")


def accepted(project: Corrections, seed: int = 0, planes: int = 1, **changes: object) -> str:
    image_id = project.image_id(corrected(seed).image)
    for number in range(planes):
        plane = replace(corrected(seed), image_id=image_id, plane=number, **changes)  # type: ignore[arg-type]
        project.accept(plane, NAMES)
    project.deal([image_id])
    return image_id


def test_what_is_held_out_is_not_learnt_and_all_else_is(project: Corrections) -> None:
    image_id = accepted(project)
    learnt = np.zeros((64, 64), bool)
    whole = corrected(0).image.astype(np.float16)
    for piece in project.to_learn(image_id, NAMES):
        height, width = piece.truth.shape
        places = [
            (row, column)
            for row in range(0, 65 - height, 16)
            for column in range(0, 65 - width, 16)
            if (whole[row : row + height, column : column + width] == piece.image).all()
        ]
        ((row, column),) = places
        learnt[row : row + height, column : column + width] = True
    (held,) = project.to_judge(image_id, NAMES)
    judged = np.zeros((64, 64), bool)
    for block in held.blocks:
        judged[block] = True
    assert judged.mean() == 5 / 16
    assert (learnt == ~judged).all()


def test_what_was_dealt_stays_when_more_is_accepted(project: Corrections) -> None:
    first = corrected(0).levels.copy()
    first[32:] = UNSEEN
    image_id = accepted(project, levels=first)
    before = read_ledger(project.root).entries[image_id].deal.blocks
    accepted(project)
    after = read_ledger(project.root).entries[image_id].deal.blocks
    assert len(before) == 8
    assert len(after) == 16
    assert {block: after[block] for block in before} == dict(before)


def test_another_program_deals_the_same(project: Corrections) -> None:
    image_id = accepted(project)
    again = Corrections(project.root)
    assert again.image_id(corrected(0).image) == image_id
    assert [h.blocks for h in again.to_judge(image_id, NAMES)] == [
        h.blocks for h in project.to_judge(image_id, NAMES)
    ]


def test_another_project_deals_the_same_images_alike(tmp_path: Path) -> None:
    deals = []
    for name in "ab":
        project = Corrections(tmp_path / name)
        ids = [project.image_id(corrected(seed).image) for seed in range(10)]
        for seed, image_id in enumerate(ids if name == "a" else ids[::-1]):
            shown = corrected(seed if name == "a" else 9 - seed)
            project.accept(replace(shown, image_id=image_id, plane=0), NAMES)
        project.deal(ids)
        entries = read_ledger(project.root).entries
        deals.append([entries[image_id].deal for image_id in ids])
    assert deals[0] == deals[1]
    assert {deal.use for deal in deals[0]} == {"blocks", "train", "judge"}


def test_a_block_is_held_out_in_all_planes(project: Corrections) -> None:
    image_id = accepted(project, planes=3)
    held = project.to_judge(image_id, NAMES)
    assert [one.evidence.plane for one in held] == [0, 1, 2]
    assert held[0].blocks == held[1].blocks == held[2].blocks


def test_later_images_judge_or_teach_as_a_whole(project: Corrections) -> None:
    ids = [accepted(project, seed) for seed in range(BLOCK_IMAGES + 4)]
    uses = [read_ledger(project.root).entries[image_id].deal.use for image_id in ids]
    assert uses[BLOCK_IMAGES:] == ["train", "judge", "train", "train"]
    assert project.to_learn(ids[BLOCK_IMAGES + 1], NAMES) == []
    assert len(project.to_judge(ids[BLOCK_IMAGES + 1], NAMES)[0].blocks) == 16
    assert project.to_judge(ids[BLOCK_IMAGES], NAMES) == []
    assert project.to_judge(ids[0], NAMES, replay=True)[0].replay


def test_what_a_model_has_learnt_is_known_until_it_is_corrected_again(
    project: Corrections,
) -> None:
    ids = [accepted(project, seed) for seed in range(2)]
    old, new = model(seed=1).card, model(seed=2).card
    assert project.learnt(old) == ()
    project.note_made(old, None, ids[:1])
    assert project.learnt(old) == (ids[0],)
    accepted(project, 0, levels=np.full((64, 64), CHANGED, np.uint8))  # the same truth
    assert project.learnt(old) == (ids[0],)
    accepted(project, 0, truth=1 - corrected(0).truth)
    assert project.learnt(old) == ()
    project.note_made(new, old, ids[:1])
    assert (project.learnt(old), project.learnt(new)) == ((), (ids[0],))


def test_a_model_knows_what_those_knew_that_it_comes_from_and_no_other(
    project: Corrections,
) -> None:
    ids = [accepted(project, seed) for seed in range(3)]
    first, second, other = (model(seed=seed).card for seed in range(3))
    project.note_made(first, None, ids[:1])
    project.note_made(second, first, ids[1:2])
    project.note_made(other, None, ids[2:])
    assert [set(project.learnt(card)) for card in (first, second, other)] == [
        {ids[0]},
        {ids[0], ids[1]},
        {ids[2]},
    ]
    for path in project.root.glob(f"{ids[0]}-*.safetensors"):
        path.unlink()
    assert project.learnt(second) == (ids[1],)  # nothing of it is left to be replayed


def test_a_new_plane_of_a_learnt_image_is_to_be_learnt(project: Corrections) -> None:
    image_id = accepted(project)
    card = model().card
    project.note_made(card, None, [image_id])
    accepted(project, planes=2)
    assert project.learnt(card) == ()


def test_pixels_are_counted_once(project: Corrections) -> None:
    levels = corrected(0).levels.copy()
    levels[0], levels[1, :10] = UNSEEN, CHANGED
    image_id = accepted(project, levels=levels)
    count = project.count([image_id, image_id], NAMES)
    assert count == EvidenceCount(changed=10, reviewed=62 * 64 + 54, unseen=64)


def test_no_name_is_kept_and_nobody_else_may_look(project: Corrections) -> None:
    accepted(project)
    assert stat.S_IMODE(project.root.stat().st_mode) == 0o700
    for path in project.root.iterdir():
        assert b"image 0" not in path.read_bytes()
        assert "image" not in path.name


def test_a_damaged_ledger_stops_everything(project: Corrections) -> None:
    accepted(project)
    (project.root / FILE_NAME).write_text("{}")
    with pytest.raises(ModelFileError, match="is damaged"):
        accepted(project, 1)
    assert (project.root / FILE_NAME).read_text() == "{}"


def test_a_crash_between_accepting_and_dealing_loses_nothing(project: Corrections) -> None:
    image_id = project.image_id(corrected(0).image)
    project.accept(replace(corrected(0), image_id=image_id), NAMES)
    (project.root / ".half.rwkvseg-tmp").write_bytes(b"left by a killed program")
    later = Corrections(project.root)
    later.deal([image_id])
    assert len(later.to_judge(image_id, NAMES)[0].blocks) == 5
    assert not (project.root / ".half.rwkvseg-tmp").exists()


def test_what_was_accepted_is_what_is_read(project: Corrections) -> None:
    levels = np.full((64, 64), REVIEWED, np.uint8)
    image_id = accepted(project, levels=levels)
    found: Evidence = project.to_judge(image_id, NAMES)[0].evidence
    assert (found.truth == corrected(0).truth).all()
    assert (found.image == corrected(0).image.astype(np.float16)).all()


def test_withdrawn_planes_are_forgotten_and_the_deal_stays(tmp_path: Path) -> None:
    project, taught = Corrections(tmp_path), Taught()
    for plane in (0, 1):
        project.accept(corrected(0, plane=plane), ["disc"], taught)
    project.deal(["image 0"])
    dealt = read_ledger(tmp_path).entries["image 0"].deal
    project.withdraw("image 0", taught, keep=[1])
    assert [path.stem for path in tmp_path.glob("*.safetensors")] == ["image 0-00001"]
    assert taught
    project.withdraw("image 0", taught)
    assert project.images() == ()
    assert not taught
    assert read_ledger(tmp_path).entries["image 0"].deal == dealt


def stroke(rows: int, truth: int = 1) -> Evidence:
    """The plane, of which only the first rows were changed, to one class."""
    levels = np.full((64, 64), UNSEEN, np.uint8)
    levels[:rows] = CHANGED
    return replace(corrected(0), truth=np.full((64, 64), truth, np.uint8), levels=levels)


def kept(project: Corrections) -> Evidence:
    (path,) = project.root.glob("*.safetensors")
    return read_evidence(path).evidence


def test_where_new_corrections_say_nothing_the_earlier_ones_stay(project: Corrections) -> None:
    project.accept(corrected(0), NAMES)
    project.accept(stroke(4), NAMES)
    found = kept(project)
    assert (found.truth[:4] == 1).all()
    assert (found.levels[:4] == CHANGED).all()
    np.testing.assert_array_equal(found.truth[4:], corrected(0).truth[4:])
    assert (found.levels[4:] == REVIEWED).all()


def test_earlier_corrections_keep_their_class_under_another_number(project: Corrections) -> None:
    project.accept(corrected(0), NAMES)
    project.accept(stroke(4), ["debris", "disc"])
    found, discs = kept(project), corrected(0).truth[4:] == 1
    assert (found.truth[4:][discs] == 2).all()
    assert (found.seen[4:] == discs).all()  # background may be debris: nobody was asked


def test_other_pixels_under_the_same_id_are_never_mixed(project: Corrections) -> None:
    project.accept(corrected(0), NAMES)
    project.accept(replace(stroke(4), image=corrected(1).image), NAMES)
    assert not kept(project).seen[4:].any()


def test_a_mask_that_teaches_again_takes_back_its_own_and_nothing_else(
    project: Corrections,
) -> None:
    project.accept(corrected(0), NAMES)
    project.note_made(model().card, None, ["image 0"])
    taught = Taught()
    project.accept(stroke(9), NAMES, taught)
    project.accept(stroke(4), NAMES, taught)  # five rows of it were undone
    np.testing.assert_array_equal(kept(project).truth[4:], corrected(0).truth[4:])
    project.withdraw("image 0", taught)
    np.testing.assert_array_equal(kept(project).truth, corrected(0).truth)
    project.deal(["image 0"])
    assert project.learnt(model().card) == ("image 0",)  # byte for byte what was learnt


def test_what_another_mask_put_on_top_is_not_taken_back(project: Corrections) -> None:
    first, second = Taught(), Taught()
    project.accept(stroke(9), NAMES, first)
    project.accept(stroke(2, truth=0), NAMES, second)
    project.withdraw("image 0", first)
    assert (kept(project).truth[:9, 0] == [0, 0, 1, 1, 1, 1, 1, 1, 1]).all()


def damage(project: Corrections, plane: int = 0) -> None:
    (path,) = project.root.glob(f"*-{plane:05d}.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 255
    path.write_bytes(raw)


def test_a_damaged_plane_is_moved_aside_and_all_others_are_read(
    project: Corrections, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = accepted(project, planes=3)
    damage(project, 1)
    held = project.to_judge(image_id, NAMES)
    assert [one.evidence.plane for one in held] == [0, 2]
    assert len(project.left_out()) == 1
    assert f"{image_id}-00001.safetensors is damaged" in caplog.text
    assert project.count([image_id], NAMES).reviewed == 2 * 64 * 64
    assert len(caplog.records) == 1


def test_an_image_whose_only_plane_is_damaged_teaches_nothing_and_stops_nothing(
    project: Corrections,
) -> None:
    project.accept(corrected(0), NAMES)
    damage(project)
    other = accepted(project, 1)
    project.deal(["image 0", other])
    assert (project.to_learn("image 0", NAMES), project.to_judge("image 0", NAMES)) == ([], [])
    assert project.dealt() == (other,) == project.images()


def test_a_damaged_plane_can_be_corrected_again(project: Corrections) -> None:
    taught = Taught()
    project.accept(corrected(0), NAMES, taught)
    damage(project)
    project.accept(stroke(4), NAMES, taught)
    assert kept(project).seen.sum() == 4 * 64
    assert len(project.left_out()) == 1
    damage(project)
    project.withdraw("image 0", taught)
    assert project.images() == ()
    assert len(project.left_out()) == 2


def test_a_plane_with_a_damaged_header_does_not_count_as_learnt(project: Corrections) -> None:
    image_id = accepted(project)
    project.note_made(model().card, None, [image_id])
    (path,) = project.root.glob("*.safetensors")
    path.write_bytes(b"!" + path.read_bytes()[1:])
    assert project.learnt(model().card) == ()


def test_a_plane_of_a_newer_format_is_nobodys_damage(project: Corrections) -> None:
    project.accept(corrected(0), NAMES)
    (path,) = project.root.glob("*.safetensors")
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'evidence_schema\\": 1', b'evidence_schema\\": 9'))
    assert path.read_bytes() != raw
    with pytest.raises(ModelFileError, match="Update napari-rwkvseg"):
        project.accept(stroke(4), NAMES)
    assert path.exists()
