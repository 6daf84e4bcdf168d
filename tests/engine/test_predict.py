from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_rwkvseg.engine import predict as module
from napari_rwkvseg.engine import source
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.predict import Prediction, PredictOptions, as_read, predict
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Progress, finish
from napari_rwkvseg.engine.scale import with_shrink
from napari_rwkvseg.errors import BadImageError, RwkvSegError
from tests.corrected import model as corrected_model
from tests.fakes import BrightnessNetwork, fake_model

WHOLE = PredictOptions(tile=4096)
SMALL = PredictOptions(tile=128, overlap=32)


def image_of(array: Any, **clues: Any) -> ImageData:
    return interpret(array, name="cells", **clues)


def noise(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (np.random.default_rng(3).random(shape or (200, 300)) * 200).astype(dtype)


def run(
    array: Any, options: PredictOptions = WHOLE, model: Model | None = None, **more: Any
) -> Prediction:
    image = array if isinstance(array, ImageData) else image_of(array)
    return finish(predict(model or fake_model(), image, options, **more))


def brightness(values: np.ndarray) -> np.ndarray:
    """Return the probability that the fake network gives, for values spanning their own window."""
    scaled = (values - values.min()) / (values.max() - values.min())
    return 1 / (1 + np.exp(-20 * (scaled - 0.5)))


def spoil(monkeypatch: pytest.MonkeyPatch, effect: Callable[[Tensor], Tensor | None]) -> list[int]:
    """Run `effect` on each input of the fake network; return the widths seen."""
    forward, widths = BrightnessNetwork.forward, []

    def spoilt(self: BrightnessNetwork, image: Tensor) -> Tensor:
        widths.append(image.shape[-1])
        replaced = effect(image)
        return forward(self, image) if replaced is None else replaced

    monkeypatch.setattr(BrightnessNetwork, "forward", spoilt)
    return widths


class TestResult:
    def test_bright_is_foreground(self) -> None:
        values = noise()
        found = run(values)
        assert found.probability.dtype == np.float16
        assert found.probability.shape == (1, 200, 300)
        np.testing.assert_allclose(found.probability[0], brightness(values), atol=1e-3)

    def test_names_model_place_and_device(self) -> None:
        found = run(noise(), PredictOptions(device="cpu"))
        assert found.region == (slice(0, 200), slice(0, 300))
        assert found.shape == (200, 300)
        assert (found.card.name, found.model_sha256, found.device) == ("bright", "0" * 64, "cpu")
        assert found.notes == ()

    def test_of_a_stack_is_plane_by_plane_with_one_window(self) -> None:
        stack = noise(2, 3, 40, 50)
        found = run(image_of(stack, axes="tzyx"))
        assert found.probability.shape == (1, 2, 3, 40, 50)
        np.testing.assert_allclose(found.probability[0], brightness(stack), atol=1e-3)

    def test_of_colours(self) -> None:
        colours = noise(40, 50, 3)
        found = run(image_of(colours, rgb=True))
        scaled = (colours - colours.min()) / (colours.max() - colours.min())
        expected = 1 / (1 + np.exp(-20 * (scaled.mean(axis=-1) - 0.5)))
        np.testing.assert_allclose(found.probability[0], expected, atol=1e-3)

    def test_of_several_classes_adds_up_with_the_background(self) -> None:
        found = run(noise(), model=fake_model(("dim", "bright"), in_channels=1))
        assert found.probability.shape[0] == 2
        assert set(np.unique(found.classes(0.5))) == {0, 1, 2}
        assert found.probability.sum(axis=0, dtype=float).max() <= 1.001

    @pytest.mark.parametrize("dtype", ["u1", ">u2", "i4", "f2", ">f8", "?"])
    def test_does_not_depend_on_how_numbers_are_stored(self, dtype: str) -> None:
        values = noise(40, 50, dtype=np.uint8) > 100
        expected = run(values.astype(np.float32)).probability
        np.testing.assert_array_equal(run(values.astype(dtype)).probability, expected)

    def test_of_the_smallest_image(self) -> None:
        assert run(noise(16, 16)).probability.shape == (1, 16, 16)

    def test_leaves_the_model_as_it_was(self) -> None:
        model = fake_model()
        model.network.train()
        before = {name: value.clone() for name, value in model.network.state_dict().items()}
        run(noise(), model=model)
        assert model.network.training
        assert all(parameter.requires_grad for parameter in model.network.parameters())
        assert all(torch.equal(v, before[n]) for n, v in model.network.state_dict().items())


class TestNotFinite:
    def test_pixels_are_background_and_spoil_nothing_else(self) -> None:
        values = noise()
        values[5, 5] = 1e4  # keeps the window when the others go
        clean = run(values).probability
        values[50:60, 70:80] = np.nan
        values[0, 0] = np.inf
        found = run(values)
        masked = ~np.isfinite(values)
        assert (found.probability[0][masked] == 0).all()
        np.testing.assert_allclose(found.probability[0][~masked], clean[0][~masked], atol=1e-2)
        assert found.notes == ("101 non-finite pixels masked.",)

    def test_pixels_under_several_tiles_too(self) -> None:
        values = noise()
        values[100:104, 120:124] = np.nan
        assert (run(values, SMALL).probability[0, 100:104, 120:124] == 0).all()

    def test_constant_image_has_an_empty_mask_and_a_note(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        widths = spoil(monkeypatch, lambda _: None)
        found = run(np.full((40, 50), 7))
        assert found.probability.max() == 0
        assert found.notes == ("constant image: the mask is empty.",)
        assert widths == []

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_output_of_the_network_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, value: float
    ) -> None:
        def one_bad(image: Tensor) -> Tensor:
            logits = torch.zeros(len(image), 2, *image.shape[2:])
            logits[0, 1, 3, 3] = value
            return logits

        spoil(monkeypatch, one_bad)
        with pytest.raises(
            RwkvSegError, match='Model "bright" returned values that are not finite'
        ):
            run(noise())


class TestTiles:
    @pytest.mark.parametrize("batch", [1, 3])
    def test_equal_the_whole_plane_where_context_allows(self, batch: int) -> None:
        model = fake_model(context=17)  # 8 pixels to each side: a quarter of the overlap
        values = noise(300, 420)
        whole = run(values, WHOLE, model)
        tiled = run(values, PredictOptions(tile=128, overlap=32, batch=batch), model)
        difference = np.abs(tiled.probability.astype(float) - whole.probability)
        assert difference.max() <= 1e-3

    def test_hardly_larger_plane_is_computed_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        widths = spoil(monkeypatch, lambda _: None)
        run(noise(40, 640), PredictOptions(tile=512))
        run(noise(40, 641), PredictOptions(tile=512))
        assert widths == [640, 512, 512]

    def test_report_progress_one_by_one(self) -> None:
        events: list[Progress] = []
        finish(predict(fake_model(), image_of(noise()), SMALL), events.append)
        assert events[0] == Progress(0, 1, "Reading intensities")
        assert [(e.done, e.total, e.message) for e in events[1:]] == [
            (n, 6, f"Tile {n} of 6") for n in range(1, 7)
        ]

    def test_report_planes_of_a_stack(self) -> None:
        events: list[Progress] = []
        image = image_of(noise(3, 40, 50), axes="zyx")
        finish(predict(fake_model(), image), events.append)
        assert [e.message for e in events[1:]] == [f"Plane {n} of 3" for n in (1, 2, 3)]
        assert events[-1].fraction == 1

    def test_overlap_that_no_longer_fits_a_small_tile_shrinks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail_while(monkeypatch, lambda image: image.shape[-1] > 128)
        options = PredictOptions(tile=512, overlap=200)
        assert run(noise(400, 700), options).probability.shape == (1, 400, 700)


class TestRegion:
    def test_is_the_same_part_of_the_whole(self) -> None:
        model = fake_model(context=17)
        stack = image_of(noise(4, 120, 150), axes="zyx")
        region = (slice(1, 3), slice(30, 70), slice(None, 90))
        found = run(stack, SMALL, model, region=region)
        assert found.region == (slice(1, 3), slice(30, 70), slice(0, 90))
        assert found.shape == (4, 120, 150)
        whole = run(stack, SMALL, model).probability[:, 1:3, 30:70, :90]
        np.testing.assert_allclose(found.probability, whole, atol=1e-3)

    @settings(deadline=None, max_examples=25)
    @given(st.integers(0, 59), st.integers(1, 60), st.integers(0, 49), st.integers(1, 50))
    def test_of_any_size_has_its_place(self, top: int, height: int, left: int, width: int) -> None:
        values = noise(60, 50)
        region = (slice(top, top + height), slice(left, left + width))
        found = run(values, PredictOptions(overlap=8), region=region)
        np.testing.assert_allclose(found.probability[0], brightness(values)[region], atol=1e-3)

    def test_that_is_empty_is_refused(self) -> None:
        with pytest.raises(BadImageError, match="cells: empty region"):
            run(noise(), region=(slice(5, 5), slice(None)))

    @pytest.mark.parametrize("region", [(slice(None),), (slice(None, None, 2), slice(None))])
    def test_that_does_not_fit_is_a_programming_error(self, region: tuple[slice, ...]) -> None:
        with pytest.raises(ValueError, match="region needs 2 slices of step 1"):
            run(noise(), region=region)


class TestChannels:
    @pytest.mark.parametrize("in_channels", [1, 3])
    def test_that_are_no_colours_are_refused(self, in_channels: int) -> None:
        image = image_of(noise(3, 40, 50), axes="cyx")
        with pytest.raises(BadImageError, match=r'^cells: model "bright" .* Pick one channel'):
            run(image, model=fake_model(in_channels=in_channels))

    def test_one_of_them_is_fine(self) -> None:
        stack = noise(3, 40, 50)
        found = run(image_of(stack, axes="cyx").select_channel(1))
        np.testing.assert_allclose(found.probability[0], brightness(stack[1]), atol=1e-3)


class TestStopping:
    def test_a_cancelled_run_stops_before_the_next_tile(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = CancelToken()
        widths = spoil(monkeypatch, lambda _: token.cancel())
        with pytest.raises(Cancelled):
            run(noise(), SMALL, token=token)
        assert len(widths) == 1

    def test_mirror_images_are_polled_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        token = CancelToken()
        widths = spoil(monkeypatch, lambda _: token.cancel())
        with pytest.raises(Cancelled):
            run(noise(), PredictOptions(flips=True), token=token)
        assert len(widths) == 1

    def test_closing_midway_restores_the_threads(self) -> None:
        before = torch.get_num_threads()
        job = predict(fake_model(), image_of(noise()), PredictOptions(128, 32, threads=before + 1))
        next(job)
        next(job)
        assert torch.get_num_threads() == before + 1
        job.close()
        assert torch.get_num_threads() == before

    def test_nothing_of_torch_leaks_out_between_steps(self) -> None:
        job = predict(fake_model(), image_of(noise()), SMALL)
        next(job)
        next(job)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        job.close()


def fail_while(
    monkeypatch: pytest.MonkeyPatch,
    too_much: Callable[[Tensor], bool],
    error: Exception | None = None,
) -> None:
    """Let the network run out of memory on inputs that are too much."""

    def effect(image: Tensor) -> None:
        if too_much(image):
            raise error or torch.OutOfMemoryError("out of memory")

    spoil(monkeypatch, effect)


class TestMemory:
    def test_that_does_not_hold_the_result_is_told_with_its_size(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        zeros = np.zeros

        def full(shape: tuple[int, ...], dtype: object = float) -> np.ndarray:
            if dtype is np.float16:
                raise MemoryError
            return zeros(shape, dtype)

        monkeypatch.setattr(np, "zeros", full)
        with pytest.raises(RwkvSegError, match="the result takes 0 GB, more than there is"):
            run(noise())

    @pytest.mark.parametrize("failing", range(1, 7))
    @pytest.mark.parametrize(
        "error",
        [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("DefaultCPUAllocator: no")],
        ids=["device", "python", "allocator"],
    )
    def test_result_after_a_failure_is_the_reference(
        self, monkeypatch: pytest.MonkeyPatch, failing: int, error: Exception
    ) -> None:
        model = fake_model(context=17)
        stack = image_of(noise(3, 160, 240), axes="zyx")  # 3 planes of 2 tiles
        options = PredictOptions(tile=160, overlap=64)
        reference = run(stack, options, model).probability
        calls = iter(range(1, 1000))
        fail_while(monkeypatch, lambda _: next(calls) == failing, error)
        found = run(stack, options, model)
        assert found.notes == ("not enough memory: went on with tiles of 128 pixels.",)
        np.testing.assert_allclose(found.probability, reference, atol=1e-3)

    def test_batch_goes_first_then_tile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_while(monkeypatch, lambda image: image.numel() > 3 * 130 * 130)
        found = run(noise(300, 500), PredictOptions(tile=256, batch=4))
        assert [note.split(": ")[1] for note in found.notes] == [
            "went on with 2 tiles at a time.",
            "went on with one tile at a time.",
            "went on with tiles of 128 pixels.",
        ]

    def test_smaller_tiles_are_kept_for_the_next_plane(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fail_while(monkeypatch, lambda image: image.shape[-1] > 150)
        found = run(image_of(noise(3, 200, 300), axes="zyx"), PredictOptions(tile=256))
        assert len(found.notes) == 1

    def test_gives_up_with_a_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_while(monkeypatch, lambda _: True)
        with pytest.raises(
            RwkvSegError, match=r"^cells: not enough memory.*128 pixels\. Close other"
        ):
            run(noise(300, 300), PredictOptions(tile=256))

    def test_gives_up_after_six_retreats(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[int] = []
        fail_while(monkeypatch, lambda image: calls.append(len(image)) or True)
        with pytest.raises(RwkvSegError, match="not enough memory"):
            run(noise(600, 600), PredictOptions(tile=512, overlap=0, batch=256))
        assert len(calls) == 7

    def test_other_errors_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fail_while(monkeypatch, lambda _: True, RuntimeError("size mismatch"))
        with pytest.raises(RuntimeError, match="size mismatch"):
            run(noise())

    def test_a_device_note_reaches_the_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen = (torch.device("cpu"), "cuda:0 cannot be used (x): running on the processor.")
        monkeypatch.setattr(module, "choose_device", lambda _: chosen)
        assert run(noise()).notes == (chosen[1],)


class TestFlips:
    def test_average_over_mirror_images(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def corner(image: Tensor) -> Tensor:
            """Find only the top left pixel."""
            logits = torch.zeros(len(image), 2, *image.shape[2:])
            logits[:, 0] = 40
            logits[:, 1, 0, 0] = 80
            return logits

        widths = spoil(monkeypatch, corner)
        found = run(noise(40, 50), PredictOptions(flips=True)).probability[0]
        assert len(widths) == 4
        assert [found[0, 0], found[0, -1], found[-1, 0], found[-1, -1]] == [0.25] * 4
        assert found.sum() == 1

    def test_change_nothing_for_a_network_without_directions(self) -> None:
        plain, flipped = run(noise()), run(noise(), PredictOptions(flips=True))
        np.testing.assert_allclose(flipped.probability, plain.probability, atol=1e-3)


class TestLazyArrays:
    @pytest.fixture
    def _nothing_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source, "WHOLE_PLANE", 0)

    @pytest.mark.usefixtures("_nothing_whole")
    def test_are_read_tile_by_tile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []
        region = ImageData.region

        def recorded(self: ImageData, *place: Any) -> np.ndarray:
            block = region(self, *place)
            sizes.append(block.size)
            return block

        values = noise(500, 600)
        lazy = image_of(da.from_array(values, chunks=64))
        job = predict(fake_model(), lazy, SMALL)
        next(job)
        next(job)  # the intensity window has been measured
        monkeypatch.setattr(ImageData, "region", recorded)
        found = finish(job)
        assert max(sizes) == 128 * 128
        np.testing.assert_allclose(found.probability[0], brightness(values), atol=1e-3)

    def test_are_never_computed_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        computed: list[tuple[int, ...]] = []
        to_array = da.Array.__array__

        def recorded(self: da.Array, *args: Any, **options: Any) -> np.ndarray:
            computed.append(self.shape)
            return to_array(self, *args, **options)

        monkeypatch.setattr(da.Array, "__array__", recorded)
        values = noise(5, 40, 50)
        found = run(image_of(da.from_array(values, chunks=(1, 40, 50)), axes="zyx"))
        assert set(computed) == {(40, 50)}
        np.testing.assert_allclose(found.probability[0], brightness(values), atol=1e-3)

    def test_a_broken_block_is_an_error_of_one_sentence(self) -> None:
        def broken(block: np.ndarray, block_info: Any = None) -> np.ndarray:
            if block_info[0]["chunk-location"] == (1, 1):
                raise ValueError("bad chunk")
            return block

        lazy = da.from_array(noise(), chunks=100).map_blocks(broken, meta=np.empty(0))
        with pytest.raises(BadImageError, match=r"cells: .*cannot be read \(bad chunk\)"):
            run(lazy)


def frames(side: float) -> Model:
    """A model of frames with a side, which it shrinks to a half."""
    made = corrected_model(border=0.5, frame_side=side)
    return replace(made, network=with_shrink(made.network, 2))


@pytest.mark.parametrize("cell", [3, 5])
def test_the_same_scene_in_more_pixels_gives_the_same_mask(cell: int) -> None:
    scene, model = noise(96, 128), frames(111)  # the side of a frame of one pixel for each cell
    large = np.kron(scene, np.ones((cell, cell), np.float32))
    found = [
        finish(predict(one, image_of(large))).probability[0, cell // 2 :: cell, cell // 2 :: cell]
        for one in (model, frames(0))
    ]
    usual = finish(predict(model, image_of(scene))).probability[0]
    wrong = [np.mean((one > 0.5) != (usual > 0.5)) for one in found]
    assert wrong[0] < 0.1 < 0.2 < wrong[1]  # what it has averaged, and single cells


def test_tiles_of_large_frames_show_as_much_of_them() -> None:
    model, options = frames(100), PredictOptions(tile=64, overlap=16)
    fitted, wanted = as_read(model, image_of(noise(300, 300)), options)
    assert fitted.network.config.shrink == 6
    assert (wanted.tile, wanted.overlap) == (192, 48)
    assert as_read(model, image_of(noise(100, 100)), options) == (model, options)


@given(tile=st.integers(32, 2000), share=st.floats(0, 0.5), factor=st.floats(1, 20))
def test_tiles_that_have_grown_are_allowed(tile: int, share: float, factor: float) -> None:
    options = PredictOptions(tile=tile, overlap=int(share * tile)).grown(factor)
    assert options.tile >= tile
    assert options.overlap >= int(share * tile)


def test_what_is_told_of_a_large_frame_is_the_model_that_was_chosen() -> None:
    model = frames(40)
    found = finish(predict(model, image_of(noise(96, 96))))
    assert (found.card, found.model_sha256) == (model.card, model.sha256)


def test_objects_of_large_frames_must_be_larger_to_count() -> None:
    made = frames(32)
    model = replace(made, card=replace(made.card, min_size=50))
    scene = np.zeros((96, 96), np.float32)
    scene[:18, :18] = scene[48:72, 48:72] = 1  # 324 and 576 pixels, in pixels learnt 36 and 64
    image = image_of(scene)
    found = finish(predict(model, image))
    assert found.card == replace(model.card, min_size=450)
    mask = found.mask(image, MaskOptions(separate=False))
    assert (mask[:24, :24].any(), mask[48:72, 48:72].any()) == (False, True)
