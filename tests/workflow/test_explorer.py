"""The explorer without a window: what is read, drawn, asked, and what stays untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from zarr.storage import MemoryStore

from napari_rwkvseg.adapters.scan_layers import PREFIX
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.explain import Explanation
from napari_rwkvseg.engine.heat import percent
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.scan.schedule import Schedule
from napari_rwkvseg.workflow import Tone
from napari_rwkvseg.workflow.explorer import Explorer, ExplorerRunners, Look, Shown
from tests.recording import scanning_model
from tests.workflow.builders import Bench, FakeLibrary, StepRunner

NOISE = np.random.default_rng(8).random((50, 70)).astype(np.float32)


class Desk:
    """A bench with an explorer whose work is done at once, except reading.

    `asking` is what runs questions, if not at once.
    """

    def __init__(
        self,
        model: Model | None = None,
        image: Any = NOISE,
        asking: StepRunner | None = None,
        **keywords: Any,
    ) -> None:
        self.bench = Bench(model or scanning_model(), eager=True)
        self.layer = self.bench.add(image, **keywords)
        self.reading = StepRunner()
        self.asking = asking or StepRunner(eager=True)
        others = [*(StepRunner(eager=True) for _ in range(2)), self.asking]
        self.explorer = Explorer(
            self.bench.workflow, ExplorerRunners(self.reading, *others), lambda function: function()
        )
        self.state = self.explorer.state

    def start(self) -> Desk:
        self.explorer.start()
        self.reading.finish()
        return self

    @property
    def ours(self) -> list[str]:
        return [n.removeprefix(PREFIX) for n in self.bench.names if n.startswith(PREFIX)]

    def data(self, kind: str) -> np.ndarray:
        return self.bench.viewer.layers[PREFIX + kind].data


def test_nothing_is_read_before_somebody_asks() -> None:
    desk = Desk()
    assert (desk.reading.started, desk.ours, desk.state.explanation) == (0, [], None)


def test_without_an_image_the_obstacle_is_told() -> None:
    desk = Desk()
    desk.bench.viewer.layers.clear()
    desk.explorer.start()
    assert desk.state.problem.tone is Tone.ERROR
    assert "no image" in desk.state.problem.text
    assert not desk.explorer.active


def test_the_first_head_is_drawn_once_the_image_is_read() -> None:
    desk = Desk().start()
    assert desk.ours == ["order", "path", "blocks"]
    path = desk.state.explanation.path(0, 0)
    np.testing.assert_array_equal(desk.data("order"), path.rank)
    assert desk.state.details.splitlines()[0] == "12×8 cells of 8 px; row snake in 8×8 windows"
    assert "averaged over 2×2 tokens" in desk.state.details
    assert "Cells at the border reach 6 px into the padding." in desk.state.details
    assert (desk.state.steps, desk.state.step) == (64, 63)


def test_another_head_takes_the_place_of_the_first() -> None:
    desk = Desk().start()
    before = {layer.unique_id for layer in desk.bench.viewer.layers}
    desk.explorer.choose(Shown(1, 0))
    assert desk.ours == ["order", "path", "blocks"]
    assert {layer.unique_id for layer in desk.bench.viewer.layers} == before
    explanation = desk.state.explanation
    np.testing.assert_array_equal(desk.data("order"), explanation.path(1, 0).rank)
    desk.explorer.choose(Shown(3, 3))
    blocks = desk.bench.viewer.layers[PREFIX + "blocks"]
    assert not blocks.visible  # this head has none
    np.testing.assert_array_equal(desk.data("order"), explanation.path(3, 3).rank)
    order = desk.bench.viewer.layers[PREFIX + "order"]
    assert order.scale.tolist() == [32, 32]
    assert order.translate.tolist() == [15.5, 15.5]


def test_blocks_come_back_with_a_head_that_has_some_unless_somebody_hid_them() -> None:
    desk = Desk().start()
    blocks = desk.bench.viewer.layers[PREFIX + "blocks"]
    for shown, visible in ((Shown(3, 3), False), (Shown(1, 0), True)):
        desk.explorer.choose(shown)
        assert blocks.visible is visible
    blocks.visible = False
    for shown in (Shown(3, 3), Shown(1, 0)):
        desk.explorer.choose(shown)
        assert not blocks.visible


def test_the_selected_layer_stays_selected() -> None:
    desk = Desk()
    labels = desk.bench.viewer.add_labels(np.zeros((50, 70), np.uint8))
    desk.explorer.start()
    desk.reading.finish()
    layers = desk.bench.viewer.layers
    assert layers.selection.active is labels
    desk.explorer.choose(Shown(2, 1))
    desk.explorer.close()
    assert layers.selection.active is labels
    assert set(layers.selection) == {labels}


def test_closing_takes_all_layers_away_and_so_does_the_end_of_the_workflow() -> None:
    for close in ("explorer", "workflow"):
        desk = Desk().start()
        callbacks = desk.bench.viewer.mouse_drag_callbacks
        before = list(callbacks)
        desk.explorer.set_asking(True)
        assert len(callbacks) == len(before) + 1
        desk.explorer.look_at((3, 3))
        assert "look" in desk.ours
        (desk.explorer if close == "explorer" else desk.bench.workflow).close()
        assert desk.bench.names == ["cells"]
        assert callbacks == before
        assert desk.state.explanation is None


def test_own_layers_never_start_another_reading_nor_become_images() -> None:
    desk = Desk().start()
    desk.explorer.choose(Shown(1, 1))
    assert desk.reading.started == 1
    assert [layer.name for layer in desk.bench.state.images] == ["cells"]


def test_a_layer_somebody_removed_comes_back_with_the_next_head() -> None:
    desk = Desk().start()
    desk.bench.viewer.layers.remove(PREFIX + "order")
    desk.explorer.choose(Shown(1, 0))
    assert desk.ours == ["path", "blocks", "order"]


def test_own_layers_over_a_lazy_image_start_no_other_reading() -> None:
    lazy = zarr.create_array(MemoryStore(), shape=NOISE.shape, chunks=(32, 32), dtype="f4")
    lazy[:] = NOISE
    desk = Desk(image=lazy)
    desk.explorer.start()
    while desk.reading.busy and desk.reading.started == 1:
        desk.reading.step()
    assert (desk.reading.started, desk.reading.busy) == (1, False)
    assert desk.ours == ["order", "path", "blocks"]


def test_another_image_is_read_in_place_of_the_first() -> None:
    desk = Desk().start()
    desk.bench.add(NOISE[:40, :40], name="small")
    desk.reading.finish()
    assert desk.state.explanation.image.name == "small"
    assert desk.data("order").shape == (5, 5)


def test_the_slice_in_sight_is_read() -> None:
    stack = np.stack([NOISE, NOISE[::-1], NOISE[:, ::-1]])
    desk = Desk(image=stack, scale=(4, 1, 1), units=("mm",) * 3)
    desk.bench.viewer.dims.set_point(0, 4)
    desk.start()
    assert desk.state.explanation.index == (1,)
    assert desk.data("order").shape == (1, 7, 9)
    window = desk.state.explanation.window
    desk.bench.viewer.dims.set_point(0, 8)
    desk.reading.finish()
    assert desk.state.explanation.index == (2,)
    assert desk.state.explanation.window is window  # of the whole image: measured once
    assert desk.bench.viewer.layers[PREFIX + "order"].translate[0] == 8
    assert "plane 2" in desk.state.problem.text


def test_steps_show_as_much_of_the_visit() -> None:
    desk = Desk().start()
    desk.explorer.show_step(20)
    limits = desk.bench.viewer.layers[PREFIX + "order"].contrast_limits
    assert limits == pytest.approx([0, 20 / 0.995])
    desk.explorer.show_step(1000)
    assert desk.state.step == 63
    desk.explorer.show_step(-5)
    assert desk.state.step == 0


@pytest.mark.parametrize("look", list(Look))
def test_a_pixel_tells_what_it_looked_at(look: Look) -> None:
    desk = Desk().start()
    desk.explorer.set_asking(True)
    desk.explorer.set_look(look)
    desk.explorer.look_at((20, 30))
    explanation = desk.state.explanation
    expected = {
        Look.HEAD: lambda: explanation.look(0, 0, (20, 30)),
        Look.BLOCK: lambda: explanation.look(0, None, (20, 30)),
        Look.NETWORK: lambda: explanation.field_heat((20, 30)),
        Look.WORDS: lambda: explanation.words(2, (20, 30)),
    }[look]()
    np.testing.assert_array_equal(desk.data("look"), expected.values)
    assert desk.state.answer == f"Row 20, column 30: {expected.text}."


def test_an_answer_to_an_older_question_is_dropped() -> None:
    desk = Desk().start()
    slow = StepRunner()
    desk.explorer._looking._runner = slow
    desk.explorer.set_asking(True)
    desk.explorer.look_at((20, 30))
    desk.explorer.look_at((3, 4))
    slow.step()
    slow.step()
    assert desk.state.answer == ""
    slow.finish()
    assert desk.state.answer.startswith("Row 3, column 4")


def test_words_are_those_of_the_level_that_is_shown() -> None:
    desk = Desk().start()
    desk.explorer.set_asking(True)
    desk.explorer.set_look(Look.WORDS)
    desk.explorer.choose(Shown(2, 0))  # 1/16: words of 8 px
    desk.explorer.look_at((20, 30))
    assert desk.bench.viewer.layers[PREFIX + "look"].scale.tolist() == [8, 8]


def test_a_decoder_without_words_says_so() -> None:
    desk = Desk(scanning_model(decoder="shuffle")).start()
    desk.explorer.set_look(Look.WORDS)
    desk.explorer.look_at((20, 30))
    assert desk.state.answer == "The decoder of this model has no nested scan."


def test_models_that_do_not_scan_say_so() -> None:
    desk = Desk(scanning_model(decoder="shuffle", mixer="convolution")).start()
    assert "does not scan" in desk.state.problem.text
    assert desk.ours == []


def test_a_pixel_in_another_tile_has_that_tile_read() -> None:
    desk = Desk(image=np.random.default_rng(0).random((50, 700)))
    desk.bench.workflow._compute = lambda: type("Compute", (), {"tile": 128})()
    desk.start()
    first = desk.state.explanation.tile
    assert "is read in" in desk.state.problem.text
    desk.explorer.set_asking(True)
    desk.explorer.look_at((10, 690))
    desk.reading.finish()
    tile = desk.state.explanation.tile
    assert (first.left < 400, tile.left) == (True, 700 - 128)
    assert desk.bench.viewer.layers[PREFIX + "look"].translate[1] == 572 + 3.5


def test_images_are_compared_by_their_gates() -> None:
    desk = Desk()
    other = desk.bench.add(NOISE[::-1] ** 4, name="other")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start()
    desk.explorer.questions.compare(other)
    assert desk.state.other.name == "other"
    assert desk.state.difference.startswith("The weights differ by")
    desk.explorer.questions.compare_nothing()
    assert (desk.state.other, desk.state.difference) == (None, "")


@pytest.mark.parametrize("question", ["beside", "export", "why"])
def test_a_question_asked_during_a_comparison_ends_it(question: str, tmp_path: Path) -> None:
    desk = Desk(asking=StepRunner())
    other = desk.bench.add(NOISE[::-1] ** 4, name="other")
    desk.bench.workflow.selection.choose(desk.layer)
    mask = desk.bench.run()
    mask.paint((20, 30), 1 - int(mask.data[20, 30]))
    desk.start().explorer.look_at((20, 30))
    questions, before = desk.explorer.questions, desk.state.difference
    questions.compare(other)
    assert (desk.state.comparing, desk.state.difference) == ("other", "Reading other…")
    ask = {
        "beside": lambda: questions.beside(None),
        "export": lambda: questions.export(lambda explanation: None, tmp_path / "head.png"),
        "why": questions.ask_why,
    }
    ask[question]()
    assert (desk.state.comparing, desk.state.difference) == ("", before)


@pytest.mark.parametrize("ending", ["nothing", "another image"])
def test_a_comparison_that_is_no_longer_wanted_is_stopped(ending: str) -> None:
    asking = StepRunner()
    desk = Desk(asking=asking)
    other = desk.bench.add(NOISE[::-1] ** 4, name="other")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start().explorer.questions.compare(other)
    assert asking.busy
    if ending == "nothing":
        desk.explorer.questions.compare_nothing()
    else:
        desk.bench.workflow.selection.choose(other)
    assert not asking.busy
    desk.reading.finish()
    assert (desk.state.other, desk.state.comparing, desk.state.difference) == (None, "", "")


def test_an_image_that_cannot_be_read_ends_the_comparison_before() -> None:
    desk = Desk()
    other = desk.bench.add(NOISE[::-1] ** 4, name="other")
    unclear = desk.bench.add(np.zeros((3, 20, 20), np.float32), name="unclear")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start()
    desk.explorer.questions.compare(other)
    desk.explorer.questions.compare(unclear)
    assert (desk.state.other, desk.state.comparing) == (None, "")
    assert desk.state.difference.startswith("unclear: ")


def test_a_comparison_that_is_there_stays_when_another_question_is_asked(tmp_path: Path) -> None:
    desk = Desk()
    other = desk.bench.add(NOISE[::-1] ** 4, name="other")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start().explorer.questions.compare(other)
    found = desk.state.difference
    desk.explorer.questions.export(lambda explanation: None, tmp_path / "head.png")
    assert (desk.state.other.name, desk.state.comparing) == ("other", "other")
    assert desk.state.difference == found


def test_a_folder_is_compared_by_its_mean(tmp_path: Path) -> None:
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.tif", np.roll(NOISE, 9 * number, 0) ** (1 + number))
    desk = Desk().start()
    desk.explorer.questions.compare_folder(tmp_path)
    assert desk.state.other.name == f"mean of 2 images in {tmp_path.name}"
    desk.explorer.questions.compare_folder(tmp_path / "..")
    assert "no image that can be read" in desk.state.difference


def test_a_corrected_pixel_is_explained_in_sentences() -> None:
    desk = Desk()
    mask = desk.bench.run()
    desk.start()
    explorer = desk.explorer
    explorer.questions.ask_why()
    assert "Click a pixel first" in desk.state.reason[0]
    explorer.look_at((20, 30))
    explorer.questions.ask_why()
    assert "as the model wrote it" in desk.state.reason[0]
    mask.selected_label = 1 - int(mask.data[20, 30])
    mask.paint((20, 30), mask.selected_label)
    explorer.questions.ask_why()
    assert desk.state.reason[0].startswith("The model said")
    assert "look" in desk.ours


def test_a_find_that_the_mask_left_out_is_still_the_models() -> None:
    desk = Desk()
    desk.bench.workflow.set_options(MaskOptions(min_size=NOISE.size + 1))
    mask = desk.bench.run()
    desk.start()
    found = desk.bench.workflow.results.run.outcome.prediction.probability[0]
    pixel = tuple(int(n) for n in np.unravel_index(found.argmax(), found.shape))
    assert (found[pixel] > 0.5, mask.data.any()) == (True, False)
    mask.paint(pixel, 1)
    desk.explorer.look_at(pixel)
    desk.explorer.questions.ask_why()
    assert desk.state.reason[0] == (
        f"The model found cell here with {percent(found[pixel])}, but the mask leaves it out: it "
        f"is smaller than {NOISE.size + 1} px (Smallest)."
    )


def test_a_pixel_moved_from_one_object_to_another_was_changed() -> None:
    desk = Desk()
    desk.bench.workflow.set_options(MaskOptions(separate=True))
    mask = desk.bench.run()
    desk.start()
    row, column = np.argwhere(mask.data > 0)[0].tolist()
    mask.paint((row, column), int(mask.data.max()) + 1)
    desk.explorer.look_at((row, column))
    desk.explorer.questions.ask_why()
    assert "as you do: which object a pixel belongs to" in desk.state.reason[0]


def test_the_mask_of_another_model_is_not_explained() -> None:
    desk = Desk()
    mask = desk.bench.run()
    desk.start()
    run = desk.bench.workflow.results.run
    card = replace(run.outcome.prediction.card, name="other", title="Other")
    run.outcome = replace(run.outcome, prediction=replace(run.outcome.prediction, card=card))
    mask.paint((20, 30), 1 - int(mask.data[20, 30]))
    desk.explorer.look_at((20, 30))
    desk.explorer.questions.ask_why()
    expected = "The mask is by Other. Choose that model under Segment, then ask again."
    assert desk.state.reason == (expected,)


def test_without_a_mask_there_is_nothing_to_explain() -> None:
    desk = Desk().start()
    desk.explorer.look_at((20, 30))
    desk.explorer.questions.ask_why()
    assert desk.state.reason == ("There is no mask of this image yet. Segment it first.",)


def test_exports_say_where_they_went_or_why_not(tmp_path: Path) -> None:
    desk = Desk().start()
    about, message = desk.state.problem, desk.bench.state
    desk.explorer.questions.export(lambda explanation: None, tmp_path / "head.png")
    assert (message.message.text, message.message.tone) == ("Saved head.png.", Tone.DONE)

    def refuse(explanation: Explanation) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "head.png"))

    desk.explorer.questions.export(refuse, tmp_path / "head.png")
    assert message.message.tone is Tone.ERROR
    assert message.message.text == (
        "head.png could not be written (Permission denied). Choose another folder."
    )
    assert desk.state.problem is about  # which says what is seen


def test_two_heads_are_drawn_side_by_side(tmp_path: Path) -> None:
    desk = Desk().start()
    desk.explorer.choose(Shown(1, 3))
    desk.explorer.questions.beside(None)
    picture = desk.state.picture
    assert picture.title == "Side by side: cells"
    assert picture.png.startswith(b"\x89PNG")
    assert not desk.state.drawing
    picture.save(tmp_path / "pair.svg")
    text = (tmp_path / "pair.svg").read_text(encoding="utf-8")
    assert "row snake in 8×8 windows" in text  # the head before
    assert "Hilbert, global" in text
    desk.explorer.close()
    assert desk.state.picture is None


def test_two_images_are_drawn_side_by_side_with_what_the_pixel_looked_at(tmp_path: Path) -> None:
    desk = Desk()
    other = desk.bench.add(NOISE[:16, :16], name="other")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start()
    desk.explorer.set_asking(True)
    desk.explorer.look_at((20, 30))
    desk.explorer.questions.beside(other)
    assert desk.state.picture.title == "Side by side: cells and other"
    desk.state.picture.save(tmp_path / "two.svg")
    text = (tmp_path / "two.svg").read_text(encoding="utf-8")
    assert "the pixel lies outside this image" in text
    assert text.count("Enc. 1.1") == 2  # the gates of both


def test_an_image_that_cannot_be_read_is_not_put_beside() -> None:
    desk = Desk()
    other = desk.bench.add(np.zeros((3, 20, 20), np.float32), name="unclear")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start()
    desk.explorer.questions.beside(other)
    assert desk.state.picture is None
    assert desk.state.problem.tone is Tone.ERROR


def test_other_open_images_are_compared_by_their_mean() -> None:
    desk = Desk()
    for power in (2, 4):
        desk.bench.add(NOISE**power, name=f"power {power}")
    desk.bench.workflow.selection.choose(desk.layer)
    desk.start()
    desk.explorer.questions.compare_open()
    assert desk.state.other.name == "mean of the 2 other open images"
    assert desk.state.comparing == desk.state.other.name


def test_arrows_are_hidden_while_the_visit_plays_unless_somebody_hid_them() -> None:
    desk = Desk().start()
    path = desk.bench.viewer.layers[PREFIX + "path"]
    for hidden in (True, False):
        desk.explorer.hide_arrows(hidden)
        assert path.visible is not hidden
    path.visible = False
    for hidden in (True, False):
        desk.explorer.hide_arrows(hidden)
        assert not path.visible


@pytest.mark.parametrize("shape", [(16, 16), (33, 517)])
def test_odd_sizes_are_explored_to_the_last_pixel(shape: tuple[int, int]) -> None:
    desk = Desk(image=np.random.default_rng(1).random(shape)).start()
    explanation = desk.state.explanation
    for number, layer in enumerate(explanation.trace.layers):
        desk.explorer.choose(Shown(number, len(layer.heads) - 1))
        rank = explanation.path(number, len(layer.heads) - 1).rank
        np.testing.assert_array_equal(desk.data("order"), rank)
    desk.explorer.set_asking(True)
    last = (shape[0] - 1, shape[1] - 1)
    desk.explorer.look_at(last)
    for look in Look:
        desk.explorer.set_look(look)
        assert desk.state.answer.startswith(f"Row {last[0]}, column {last[1]}: ")


def test_images_too_small_to_read_say_so() -> None:
    desk = Desk(image=np.ones((3, 70)))
    desk.explorer.start()
    assert "at least 16×16 pixels" in desk.state.problem.text
    assert (desk.explorer.active, desk.ours) == (False, [])


class TwoModels(Desk):
    """A desk whose library has a smaller model, too, called "few": two heads in each layer."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        levels = NetworkConfig().schedule.levels
        two = Schedule(tuple(replace(level, heads=level.heads[:2]) for level in levels))
        few = scanning_model(heads=2, schedule=two)
        few = replace(few, card=replace(few.card, name="few"))
        library = self.bench.workflow.library
        assert isinstance(library, FakeLibrary)
        library.models["few"] = few
        self.few = few.card

    def choose_few(self) -> None:
        self.bench.workflow.choose_model(self.few)
        self.reading.finish()
        assert self.state.explanation.card == self.few


@pytest.mark.parametrize("question", ["compare", "beside", "why"])
def test_the_answer_for_a_model_that_is_no_longer_chosen_is_dropped(question: str) -> None:
    asking = StepRunner()
    desk = TwoModels(asking=asking)
    other = desk.bench.add(NOISE[::-1] ** 4, name="other")
    desk.bench.workflow.selection.choose(desk.layer)
    mask = desk.bench.run()
    mask.paint((20, 30), 1 - int(mask.data[20, 30]))
    desk.start().explorer.look_at((20, 30))
    questions = desk.explorer.questions
    {
        "compare": lambda: questions.compare(other),
        "beside": lambda: questions.beside(other),
        "why": questions.ask_why,
    }[question]()
    assert asking.busy
    desk.choose_few()
    asking.finish()
    assert (desk.state.other, desk.state.picture, desk.state.reason) == (None, None, ())
    assert (desk.state.drawing, desk.state.heat) == (False, None)
    assert "look" not in desk.ours


def test_a_file_is_written_to_its_end_although_another_model_is_chosen(tmp_path: Path) -> None:
    asking = StepRunner()
    desk = TwoModels(asking=asking).start()
    names: list[str] = []
    desk.explorer.questions.export(lambda found: names.append(found.card.name), tmp_path / "a.png")
    desk.choose_few()
    asking.finish()
    assert len(names) == 1
    assert names != ["few"]


@pytest.fixture
def stack() -> Desk:
    planes = np.stack([NOISE, NOISE[::-1], NOISE[:, ::-1], NOISE**2])
    return Desk(image=planes, asking=StepRunner(), axis_labels=("z", "y", "x"))


def test_why_is_told_of_the_plane_in_sight_alone(stack: Desk) -> None:
    asking = stack.asking
    stack.bench.viewer.dims.set_point(0, 1)
    mask = stack.bench.run()
    mask.paint((1, 20, 30), 1 - int(mask.data[1, 20, 30]))
    stack.bench.viewer.dims.set_point(0, 1)
    explorer = stack.start().explorer
    explorer.look_at((20, 30))
    explorer.questions.ask_why()
    asking.finish()
    assert len(stack.state.reason) > 1
    explorer.questions.ask_why()
    stack.bench.viewer.dims.set_point(0, 2)
    stack.reading.finish()
    asking.finish()
    assert (stack.state.explanation.index, stack.state.reason) == ((2,), ())


def test_a_slider_that_returns_before_the_end_of_a_reading_is_followed(stack: Desk) -> None:
    dims = stack.bench.viewer.dims
    dims.set_point(0, 3)
    stack.explorer.start()
    dims.set_point(0, 1)
    stack.reading.finish()
    assert stack.state.explanation.index == (1,)
    dims.set_point(0, 2)
    stack.reading.step()
    dims.set_point(0, 1)
    stack.reading.finish()
    assert stack.state.explanation.index == (1,)


def test_the_head_before_belongs_to_the_model_that_is_chosen() -> None:
    desk = TwoModels().start()
    desk.explorer.choose(Shown(0, 3))
    desk.choose_few()
    assert (desk.state.shown, desk.state.previous) == (Shown(0, 0), None)
    desk.explorer.questions.beside(None)
    assert desk.state.picture is not None


@pytest.mark.parametrize("change", ["look", "head", "model without words"])
def test_what_is_shown_no_longer_answers_what_is_asked_now(change: str) -> None:
    desk = Desk(scanning_model(decoder="shuffle") if "words" in change else None).start()
    desk.explorer.set_asking(True)
    desk.explorer.look_at((20, 30))
    heat, layer = desk.state.heat, desk.bench.viewer.layers[PREFIX + "look"]
    if "words" in change:
        desk.explorer.set_look(Look.WORDS)
        assert desk.state.heat is None
        assert "look" not in desk.ours
        return
    slow = StepRunner()
    desk.explorer._looking._runner = slow
    if change == "look":
        desk.explorer.set_look(Look.BLOCK)
    else:
        desk.explorer.choose(Shown(1, 2))
    assert heat is not None
    assert (desk.state.heat, layer.visible) == (None, False)
    slow.finish()
    assert (desk.state.heat is not None, layer.visible) == (True, True)


def test_a_caption_names_what_was_asked() -> None:
    desk = Desk().start()
    desk.explorer.set_asking(True)
    desk.explorer.look_at((20, 30))
    assert desk.state.caption == "Chosen head: encoder level 1, block 1, head 1, pixel (20, 30)"
    desk.explorer.choose(Shown(1, 2))
    place = desk.state.explanation.trace.layers[1].place
    block = f"{place.part} level {place.level + 1}, block {place.block + 1}"
    assert desk.state.caption == f"Chosen head: {block}, head 3, pixel (20, 30)"
    desk.explorer.set_look(Look.BLOCK)
    assert desk.state.caption == f"Whole block: {block}, pixel (20, 30)"
    desk.explorer.set_look(Look.NETWORK)
    assert desk.state.caption == "Whole network, pixel (20, 30)"


def test_a_click_where_no_plane_lies_flat_is_told_so(stack: Desk) -> None:
    stack.start().explorer.set_asking(True)
    dims = stack.bench.viewer.dims
    expected = (
        "The canvas does not show rows and columns of one plane of cells: go back to 2-D and the "
        "usual axes, then click again."
    )
    for name, value in (("ndisplay", 3), ("order", (1, 0, 2))):
        setattr(dims, name, value)
        stack.explorer._pointed((0, 20, 30))
        assert (stack.state.pixel, stack.state.answer) == (None, expected)
        dims.ndisplay, dims.order = 2, (0, 1, 2)
    stack.explorer._pointed((0, 20, 30))
    assert stack.state.answer.startswith("Row 20, column 30: ")


def test_layers_move_with_their_image_and_nothing_is_read_anew() -> None:
    desk = Desk().start()
    desk.explorer.set_asking(True)
    desk.explorer.look_at((20, 30))
    explanation, started = desk.state.explanation, desk.reading.started
    layers = desk.bench.viewer.layers
    before = {kind: layers[PREFIX + kind].data_to_world((0, 0)) for kind in ("order", "look")}
    desk.layer.translate = (50, 30)
    for kind, place in before.items():
        moved = np.subtract(layers[PREFIX + kind].data_to_world((0, 0)), place)
        assert moved.tolist() == [50, 30]
    desk.layer.rotate = 90
    assert layers[PREFIX + "order"].rotate == pytest.approx(desk.layer.rotate)
    assert layers[PREFIX + "look"].rotate == pytest.approx(desk.layer.rotate)
    assert (desk.reading.started, desk.state.explanation) == (started, explanation)


def test_an_image_moved_while_it_is_read_has_its_layers_where_it_lies() -> None:
    desk = Desk()
    desk.explorer.start()
    desk.layer.translate = (50, 30)
    desk.reading.finish()
    order = desk.bench.viewer.layers[PREFIX + "order"]
    assert order.translate.tolist() == [53.5, 33.5]
    assert desk.reading.started == 1


def test_a_pixel_at_the_edge_of_a_tile_is_answered_by_the_tile_around_it() -> None:
    desk = Desk(image=np.random.default_rng(0).random((50, 700)))
    desk.bench.workflow._compute = lambda: type("Compute", (), {"tile": 128})()
    desk.start().explorer.set_asking(True)
    first = desk.state.explanation.tile
    desk.explorer.look_at((10, first.left + 2))
    assert desk.state.answer == ""
    desk.explorer.look_at((10, first.left + 1))  # while that is read
    desk.reading.finish()
    second = desk.state.explanation.tile
    assert second.left < first.left
    assert desk.state.answer.startswith(f"Row 10, column {first.left + 1}: ")
    desk.explorer.look_at((10, 1))
    desk.explorer.look_at((10, 690))  # in yet another tile than the one that is being read
    desk.reading.finish()
    assert desk.state.explanation.tile.left == 700 - 128
    assert desk.state.answer.startswith("Row 10, column 690: ")
