"""The Python door: arrays in, masks out."""

from __future__ import annotations

import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_rwkvseg.api import Segmenter
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Progress, finish
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from tests.fakes import fake_model

ONE_THREAD = PredictOptions(threads=1, device="cpu")


def segmenter(**model: object) -> Segmenter:
    return Segmenter(fake_model(**model), ONE_THREAD)  # type: ignore[arg-type]


def squares(shape: tuple[int, ...] = (40, 60)) -> NDArray[np.uint8]:
    """Two bright squares of 8×8, the second with a dark middle pixel."""
    image = np.zeros(shape, np.uint8)
    image[..., 5:13, 5:13] = image[..., 20:28, 30:38] = 200
    image[..., 24, 34] = 0
    return image


class TestPredict:
    def test_bright_becomes_class_1(self) -> None:
        found = segmenter().predict(squares())
        assert found.dtype == np.uint8
        assert np.array_equal(found, squares() > 0)

    def test_objects_are_numbered_on_request_or_if_the_model_is_one_of_objects(self) -> None:
        asked = segmenter().predict(squares(), objects=True)
        natural = segmenter(objects=True).predict(squares())
        assert np.array_equal(asked, natural)
        assert asked.dtype == np.int32
        assert np.unique(asked).tolist() == [0, 1, 2]
        assert segmenter(objects=True).predict(squares(), objects=False).max() == 1

    def test_options_of_the_mask_are_heeded(self) -> None:
        model = segmenter()
        assert model.predict(squares(), fill_holes=True)[24, 34] == 1
        assert model.predict(squares(), min_size=64).sum() == 64
        assert model.predict(squares(), threshold=0).all()

    def test_what_the_model_calls_too_small_is_left_out_unless_asked_for(self) -> None:
        model = segmenter(min_size=64)
        assert model.predict(squares()).sum() == 64
        assert model.predict(squares(), min_size=0).sum() == 64 + 63

    def test_what_the_model_is_nowhere_sure_of_is_left_out_unless_asked_for(self) -> None:
        image = squares()
        image[20:28, 30:38] = 120
        model = segmenter(peak=0.99)
        assert model.predict(image).sum() == 64
        assert model.predict(image, peak=0).sum() == 128

    def test_colours_are_recognised_channels_are_not(self) -> None:
        grey = squares()
        assert segmenter().predict(np.stack([grey] * 3, axis=-1)).shape == (40, 60)
        assert segmenter().predict(np.stack([grey] * 4, axis=-1)).shape == (40, 60)
        with pytest.raises(AmbiguousAxesError):
            segmenter().predict(np.stack([grey] * 3))

    def test_axes_say_what_a_stack_is(self) -> None:
        stack = squares((3, 40, 60))
        slices = segmenter().predict(stack, axes="zyx", objects=True)
        frames = segmenter().predict(stack, axes="tyx", objects=True)
        assert (slices.max(), frames.max()) == (2, 6)

    def test_one_channel_can_be_chosen(self) -> None:
        channels = np.stack([np.zeros_like(squares()), squares()])
        found = segmenter().predict(channels, axes="cyx", channel=1)
        assert np.array_equal(found, squares() > 0)
        with pytest.raises(BadImageError, match="no channel 2"):
            segmenter().predict(channels, axes="cyx", channel=2)

    def test_lazy_arrays_and_known_images_are_taken_as_they_are(self) -> None:
        lazy = da.from_array(squares(), chunks=16)
        known = interpret(squares(), name="known")
        assert np.array_equal(segmenter().predict(lazy), segmenter().predict(known))

    def test_touching_slices_far_apart_are_parted_by_their_spacing(self) -> None:
        rows, cols = np.indices((40, 40))
        inside = np.hypot(rows - 20, cols - 20)
        stack = np.stack([(inside < r) * np.uint8(200) for r in (6, 10, 6, 2, 6, 10, 6)])

        def count(step: float) -> int:
            image = interpret(
                stack, name="balls", axes="zyx", spacing=(step, 1, 1), units=("mm",) * 3
            )
            return int(segmenter().predict(image, objects=True).max())

        assert (count(5.0), count(0.1)) == (2, 1)


class TestProbabilities:
    def test_there_is_one_map_per_class(self) -> None:
        found = segmenter(class_names=("grey", "white")).probabilities(squares())
        assert found.shape == (2, 40, 60)
        assert found.dtype == np.float16
        assert found[1, 6, 6] > 0.9
        assert found[:, 0, 0].max() < 0.1


class TestJob:
    def test_it_tells_its_progress_and_returns_mask_and_prediction(self) -> None:
        events: list[Progress] = []
        job = segmenter().job(interpret(squares(), name="a"), MaskOptions())
        result = finish(job, events.append)
        assert events[-1].done == events[-1].total
        assert result.prediction.card.name == "bright"
        assert np.array_equal(result.labels, squares() > 0)

    def test_it_can_be_cancelled(self) -> None:
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            finish(segmenter().job(interpret(squares(), name="a"), MaskOptions(), token))


def test_the_package_hands_out_the_door_without_torch_napari_or_qt() -> None:
    script = (
        "import sys, napari_rwkvseg\n"
        "from napari_rwkvseg import Segmenter, list_models, load_model\n"
        "list_models()\n"
        "print(sorted({'torch', 'napari', 'qtpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
