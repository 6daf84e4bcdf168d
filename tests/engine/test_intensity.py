from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_rwkvseg.engine import intensity
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.intensity import (
    Window,
    measure_window,
    normalise,
    to_channels,
    window_of,
    wrong_channels,
)
from napari_rwkvseg.engine.progress import Cancelled, CancelToken
from napari_rwkvseg.errors import BadImageError

ALL = (0.0, 100.0)
USUAL = (1.0, 99.8)


def image_of(array: Any, **clues: Any) -> ImageData:
    return interpret(array, name="cells", **clues)


def ramp() -> np.ndarray:
    return np.arange(100 * 100, dtype=np.uint16).reshape(100, 100)


class TestWindowOf:
    def test_takes_percentiles_from_values_that_occur(self) -> None:
        assert window_of(np.arange(1000), USUAL) == Window(10, 997)

    def test_ignores_what_is_not_finite(self) -> None:
        values = np.array([np.nan, 1, 2, 3, np.inf, -np.inf])
        assert window_of(values, ALL) == Window(1, 3)

    @pytest.mark.parametrize("n", [256, 1000, 5120])
    def test_a_hot_pixel_never_counts(self, n: int) -> None:
        values = np.arange(n, dtype=np.float32)
        values[7] = 1e30
        assert window_of(values, USUAL).high <= n

    def test_falls_back_to_the_extremes_of_a_nearly_empty_image(self) -> None:
        values = np.zeros(10_000)
        values[:3] = 200
        assert window_of(values, USUAL) == Window(0, 200)

    def test_of_equal_values_is_constant(self) -> None:
        assert window_of(np.full(9, 7), USUAL) == Window(7, 7)
        assert window_of(np.full(9, 7), USUAL).constant

    def test_of_one_pixel_more_is_not(self) -> None:
        assert not window_of(np.array([7, 8]), USUAL).constant

    def test_reads_booleans_and_values_beyond_float32(self) -> None:
        assert window_of(np.array([True, False]), ALL) == Window(0, 1)
        assert window_of(np.array([1e300, 1.0, 2.0]), ALL) == Window(1, 2)

    def test_of_nothing_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no finite value"):
            window_of(np.full(4, np.nan), USUAL)


class TestNormalise:
    def test_is_linear_and_clipped(self) -> None:
        values = np.array([-100, 10, 15, 20, 30, 99], np.float32)
        expected = [-1, 0, 0.5, 1, 2, 3]
        assert normalise(values, Window(10, 20)).tolist() == expected

    def test_puts_zero_where_not_finite(self) -> None:
        values = np.array([np.nan, np.inf, -np.inf, 20], np.float32)
        assert normalise(values, Window(10, 20)).tolist() == [0, 0, 0, 1]

    def test_of_a_constant_window_is_empty(self) -> None:
        assert normalise(np.array([7, 8], np.float32), Window(7, 7)).tolist() == [0, 0]

    def test_leaves_the_input_alone(self) -> None:
        values = np.array([10, np.nan], np.float32)
        normalise(values, Window(0, 1))
        assert values[0] == 10
        assert np.isnan(values[1])

    @given(hnp.arrays(np.float32, (4, 4, 1), elements=st.floats(width=32)))
    def test_of_anything_is_finite_and_in_range(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        window = window_of(finite, USUAL) if finite.size else Window(0, 0)
        found = normalise(values, window)
        assert found.dtype == np.float32
        assert found.min() >= -1
        assert found.max() <= 3

    @given(
        hnp.arrays(np.float32, (5, 5), elements=st.integers(-1000, 1000)),
        st.sampled_from([2.0, 8.0]),
        st.integers(-500, 500),
    )
    def test_forgets_gain_and_offset(self, values: np.ndarray, gain: float, offset: int) -> None:
        changed = (values * gain + offset).astype(np.float32)
        before = normalise(values, window_of(values, USUAL))
        after = normalise(changed, window_of(changed, USUAL))
        np.testing.assert_allclose(after, before, atol=1e-6)


class TestToChannels:
    def test_repeats_grey(self) -> None:
        grey = np.random.default_rng(0).random((4, 5, 1), np.float32)
        three = to_channels(grey, 3)
        assert three.shape == (4, 5, 3)
        assert all((three[..., i] == grey[..., 0]).all() for i in range(3))

    def test_weighs_colours_by_luminance(self) -> None:
        pure = np.eye(3, dtype=np.float32)[None]
        found = to_channels(pure, 1)
        assert found.shape == (1, 3, 1)
        np.testing.assert_allclose(found[0, :, 0], [0.299, 0.587, 0.114], rtol=1e-6)

    def test_keeps_white_white(self) -> None:
        assert to_channels(np.ones((1, 1, 3), np.float32), 1).item() == pytest.approx(1)

    def test_leaves_the_right_number_alone(self) -> None:
        plane = np.ones((4, 5, 2), np.float32)
        assert to_channels(plane, 2) is plane

    @pytest.mark.parametrize(("channels", "n"), [(2, 1), (4, 3), (3, 2)])
    def test_refuses_anything_else(self, channels: int, n: int) -> None:
        with pytest.raises(BadImageError, match=f"^cells: .*the image has {channels} channels"):
            to_channels(np.ones((4, 5, channels), np.float32), n, "cells")

    def test_the_message_names_model_layer_and_remedy(self) -> None:
        assert str(wrong_channels("cells", 5, 1, "nuclei")) == (
            'cells: model "nuclei" reads 1 channel, the image has 5 channels. '
            "Pick one channel under Axes."
        )
        assert "reads 1 channel or RGB," in str(wrong_channels("cells", 5, 3))


class TestMeasureWindow:
    def test_of_a_plane_equals_that_of_its_values(self) -> None:
        window, notes = measure_window(image_of(ramp()), USUAL)
        assert (window, notes) == (window_of(ramp(), USUAL), ())

    def test_covers_the_whole_stack(self) -> None:
        stack = np.stack([ramp(), ramp() + 20_000])
        assert measure_window(image_of(stack, axes="zyx"), ALL)[0] == Window(0, 29_999)

    def test_covers_all_colours(self) -> None:
        colours = np.stack([ramp(), ramp() * 2, ramp() * 3], axis=-1)
        assert measure_window(image_of(colours, rgb=True), ALL)[0] == Window(0, 29_997)

    def test_thins_a_large_image_evenly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(intensity, "SAMPLE_VALUES", 2500)
        window, _ = measure_window(image_of(ramp()), USUAL)
        exact = window_of(ramp(), USUAL)
        assert window == window_of(ramp()[::2, ::2], USUAL)
        assert window.high == pytest.approx(exact.high, abs=200)

    def test_finds_the_bright_spot_that_the_sample_missed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(intensity, "SAMPLE_VALUES", 100)
        values = np.zeros((100, 100), np.uint8)
        values[55, 55] = 9
        assert measure_window(image_of(values), USUAL) == (Window(0, 9), ())

    def test_reads_blocks_of_a_huge_image_only_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(intensity, "BLOCK_SIDE", 25)
        monkeypatch.setattr(intensity, "SWEEP_VALUES", 5000)
        reads = count_reads(monkeypatch)
        measure_window(image_of(ramp()), USUAL)
        assert len(reads) == 8  # every second of 16
        assert max(reads) == 25 * 25

    def test_reads_all_blocks_before_it_calls_an_image_constant(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(intensity, "BLOCK_SIDE", 25)
        monkeypatch.setattr(intensity, "SWEEP_VALUES", 5000)
        values = np.zeros((100, 100), np.float32)
        values[:25, 25:50] = 5
        values[0, 0] = np.nan
        window, notes = measure_window(image_of(values), ALL)
        assert window == Window(0, 5)
        assert notes == ("1 non-finite pixel masked.",)

    def test_says_when_the_count_is_incomplete(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(intensity, "BLOCK_SIDE", 25)
        monkeypatch.setattr(intensity, "SWEEP_VALUES", 5000)
        values = ramp().astype(np.float32)
        values[0, :2] = np.inf
        notes = measure_window(image_of(values), USUAL)[1]
        assert notes == ("at least 2 non-finite pixels masked.",)

    def test_counts_a_pixel_once_whatever_its_colours(self) -> None:
        values = np.random.default_rng(0).random((20, 20, 3), np.float32)
        values[3, 3] = np.nan
        values[4, 4, 1] = np.inf
        notes = measure_window(image_of(values, rgb=True), USUAL)[1]
        assert notes == ("2 non-finite pixels masked.",)

    @pytest.mark.parametrize("hot", [1e30, -1e30])
    def test_mentions_outliers_on_either_side(self, hot: float) -> None:
        values = ramp().astype(np.float32)
        values[5, 5] = hot
        assert measure_window(image_of(values), USUAL)[1] == (
            f"outliers up to {hot:.3g} ignored in the intensity range.",
        )

    def test_masked_and_constant_are_both_said(self) -> None:
        values = np.full((20, 20), 3, np.float32)
        values[0, 0] = np.nan
        window, notes = measure_window(image_of(values), USUAL)
        assert window.constant
        assert notes == ("1 non-finite pixel masked.", "constant image: the mask is empty.")

    def test_of_no_finite_pixel_is_refused(self) -> None:
        with pytest.raises(BadImageError, match="cells: no finite pixel"):
            measure_window(image_of(np.full((20, 20), np.nan)), USUAL)

    def test_of_few_finite_pixels_off_the_sample_is_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(intensity, "SAMPLE_VALUES", 100)
        values = np.full((100, 100), np.nan, np.float32)
        values[1, 1:3] = 4, 6
        assert measure_window(image_of(values), USUAL)[0] == Window(4, 6)

    def test_stops_at_the_next_block_when_cancelled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(intensity, "BLOCK_SIDE", 50)
        token = CancelToken()
        array = da.from_array(ramp(), chunks=50)

        def cancel(block: np.ndarray) -> np.ndarray:
            token.cancel()
            return block

        reads = count_reads(monkeypatch)
        with pytest.raises(Cancelled):
            measure_window(image_of(array.map_blocks(cancel, meta=np.empty(0))), USUAL, token)
        assert len(reads) == 1


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many values each read of an image returns."""
    reads: list[int] = []
    region = ImageData.region

    def counted(self: ImageData, *place: Any) -> np.ndarray:
        block = region(self, *place)
        reads.append(block.size)
        return block

    monkeypatch.setattr(ImageData, "region", counted)
    return reads
