"""What was said once stays said: closed, opened again, divided, damaged, out of sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_rwkvseg.workflow.correct import Part
from tests.corrected import discs
from tests.workflow.correct.bench import CorrectBench
from tests.workflow.correct.test_models import Spot, project


def volume() -> tuple[np.ndarray, np.ndarray]:
    images, truths = zip(*(discs(seed) for seed in range(3)), strict=True)
    return np.stack(images), np.stack(truths)


def planes(name: str = "small") -> int:
    return len(list(project(name).root.glob("*.safetensors")))


def accepted_volume(it: CorrectBench) -> None:
    image, truth = volume()
    it.open(image, axis_labels=("z", "y", "x"))
    it.paint_truth(truth)
    it.correcting.accept(Part.IMAGE)
    it.retrain()


STROKE = tuple(np.mgrid[2:3, 3:9, 20:25])


def one_stroke(it: CorrectBench) -> None:
    it.paint(STROKE, 1 - it.mask.data[STROKE])


def test_a_stroke_on_an_image_opened_again_keeps_what_was_accepted_before(
    it: CorrectBench, tmp_path: Path
) -> None:
    accepted_volume(it)
    before = project().count(project().images(), ["disc"])
    again = CorrectBench(tmp_path, it.library.load("small"))
    again.open(volume()[0], axis_labels=("z", "y", "x"))
    one_stroke(again)
    again.retrain()
    after = project().count(project().images(), ["disc"])
    assert (planes(), after.unseen) == (3, before.unseen) == (3, 0)
    assert before.changed <= after.changed <= before.changed + 30


def test_a_stroke_on_a_second_mask_keeps_what_was_accepted_of_the_first(it: CorrectBench) -> None:
    accepted_volume(it)
    it.viewer.layers.remove(it.mask)
    it.segment()
    one_stroke(it)
    it.retrain()
    assert (planes(), project().count(project().images(), ["disc"]).unseen) == (3, 0)


def test_planes_taken_back_go_and_the_others_of_the_mask_stay(it: CorrectBench) -> None:
    it.open(volume()[0], axis_labels=("z", "y", "x"))
    for plane in range(3):
        it.viewer.dims.set_current_step(0, plane)
        it.correcting.accept(Part.SLICE)
    it.retrain()
    assert planes() == 3
    it.correcting.take_back()
    it.retrain()
    assert planes() == 2


def test_strokes_on_a_closed_image_teach_though_nothing_was_accepted(it: CorrectBench) -> None:
    image, truth = discs(0)
    it.open(image, "first")
    it.paint_truth(truth)
    it.viewer.layers.clear()
    assert it.state.images == 1
    it.corrected(seed=1)
    assert it.state.images == 2
    it.retrain()
    assert len(project().images()) == 2


def test_what_is_taken_back_before_its_mask_is_closed_is_no_longer_learnt_from(
    it: CorrectBench,
) -> None:
    it.corrected(0)
    it.retrain()
    (first,) = project().images()
    it.correcting.reset()
    it.viewer.layers.clear()
    assert it.state.images == 0
    it.correcting.models.retraining.start()
    assert it.text.startswith("Nothing to learn from yet")
    it.corrected(1)
    assert it.state.images == 1
    it.retrain()
    (second,) = project().images()
    assert second != first


def test_a_label_without_a_name_stops_a_retrain_by_the_name_of_its_layer(it: CorrectBench) -> None:
    it.open(discs(1)[0], "first")
    it.paint(it.spots(40), 2)
    it.corrected(seed=2)
    assert (it.state.hint, it.state.images) == ("", 2)
    it.retrain()
    assert it.text.startswith("Label 2 was painted on first · mask, but it has no name.")
    it.viewer.layers.remove("first · mask")
    assert it.text.startswith("first · mask was closed with a label whose class is not known")
    assert it.state.images == 1
    it.retrain()
    assert it.state.report is not None


def damage_corrections() -> None:
    path = min(project().root.glob("*.safetensors"))
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 255
    path.write_bytes(raw)


@pytest.mark.parametrize(("seed", "said"), [(0, "discs 0"), (3, "1 image that is not open")])
def test_damaged_corrections_are_left_out_and_said_so(
    it: CorrectBench, tmp_path: Path, seed: int, said: str
) -> None:
    it.corrected(0, width=7)
    it.retrain()
    damage_corrections()
    again = CorrectBench(tmp_path, it.library.load("small"))
    again.corrected(seed, width=7)
    again.retrain()
    report = again.state.report
    assert report is not None
    assert report.left_out == (
        f"Earlier corrections of {said} are damaged on the disk and were left out: correct again "
        "what is missing."
    )
    again.retrain()
    assert again.state.report is not None
    assert again.state.report.left_out == ""


def test_too_few_corrections_say_what_damage_left_out(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.paint(it.spots(1), 1)
    it.retrain()
    damage_corrections()
    it.retrain()
    assert it.text.startswith("Too few corrections")
    assert it.text.endswith("left out: correct again what is missing.")


def test_next_returns_to_a_place_only_when_all_others_had_their_turn(tmp_path: Path) -> None:
    def suggest(probability: Any, planes: Any, levels: Any) -> Spot | None:
        places = [(slice(r, r + 32), slice(c, c + 32)) for r in (0, 32) for c in (0, 32)]
        left = [area for area in places if not levels[area].any()]
        return Spot((), left[0]) if left else None

    it = CorrectBench(tmp_path, suggest=suggest)
    it.open(discs()[0])
    went: list[tuple[int, int]] = []
    centre = it.viewer.scene.camera.events.center
    centre.connect(lambda event: went.append((int(event.value[-2]), int(event.value[-1]))))
    for _ in range(5):
        it.correcting.next_place()
    assert went == [(15, 15), (15, 47), (47, 15), (47, 47), (15, 15)]
    it.correcting.accept(Part.IMAGE)
    it.correcting.next_place()
    assert it.text == "Everything was looked at."


def test_next_leaves_blocks_with_strokes_for_the_end(tmp_path: Path) -> None:
    asked: list[np.ndarray] = []

    def suggest(probability: Any, planes: Any, levels: Any) -> None:
        asked.append(levels)

    it = CorrectBench(tmp_path, suggest=suggest)
    it.open(volume()[0], axis_labels=("z", "y", "x"))
    it.paint(tuple(np.mgrid[1:2, 2:3, 2:3]), 1)
    it.correcting.next_place()
    first, _, last = asked
    assert (first[1, :16, :16] > 0).all()
    assert np.count_nonzero(first) == 16 * 16
    assert np.count_nonzero(last) == 1
