from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from napari_rwkvseg.store.formats import read_image
from tests.store.formats.format_files import GREY, gif, picture

RED = np.zeros((64, 80, 3), np.uint8) + np.array([200, 10, 0], np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif"])
def test_grey_values_return(tmp_path, name):
    image = read_image(picture(tmp_path / name))
    assert np.array_equal(image.plane()[..., 0], GREY)


def test_sixteen_bits_stay_sixteen(tmp_path):
    values = GREY.astype(np.uint16) * 257
    image = read_image(picture(tmp_path / "a.png", values))
    assert image.array.dtype == np.uint16
    assert np.array_equal(image.array, values)


def test_palette_becomes_its_colours(tmp_path):
    image = read_image(picture(tmp_path / "a.png", RED, "P"))
    assert np.array_equal(image.array, np.asarray(Image.fromarray(RED).convert("P").convert("RGB")))


def test_transparent_palette_keeps_alpha_out_of_the_plane(tmp_path):
    Image.fromarray(RED).convert("P").save(tmp_path / "a.png", transparency=0)
    image = read_image(tmp_path / "a.png")
    assert image.array.shape == (64, 80, 4)
    assert image.n_channels == 3


def test_bilevel_is_boolean(tmp_path):
    image = read_image(picture(tmp_path / "a.png", (GREY > 127) * np.uint8(255), "1"))
    assert np.array_equal(image.array, GREY > 127)


def test_the_second_picture_of_a_photograph_is_left_out(tmp_path):
    small = Image.fromarray(RED[:32, :40])
    Image.fromarray(RED).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small])
    image = read_image(tmp_path / "a.jpg")
    assert (image.axes, image.plane_shape) == ("yxs", (64, 80))


class TestAnimation:
    def test_of_grey_frames(self, tmp_path):
        image = read_image(gif(tmp_path / "a.gif"), axes="tyx")
        assert image.spatial_shape == (3, 64, 80)
        assert np.array_equal(image.array[1], np.roll(GREY, 7, 0))

    def test_of_colours_is_asked_for(self, tmp_path):
        first, second = Image.fromarray(RED), Image.fromarray(RED[..., ::-1].copy())
        first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
        with pytest.raises(AmbiguousAxesError) as caught:
            read_image(tmp_path / "a.gif")
        assert caught.value.choices[0] == "tyxs"

    def test_that_turns_to_colour_has_three_samples_throughout(self, tmp_path):
        grey, red = Image.fromarray(GREY), Image.fromarray(RED)
        grey.save(tmp_path / "a.png", save_all=True, append_images=[red.convert("L"), grey])
        image = read_image(tmp_path / "a.png", axes="zyx")
        assert image.lead_shape == (3,)


def test_cut_picture_is_refused(tmp_path):
    path = picture(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadImageError, match=r"a\.png: truncated picture"):
        read_image(path)


def test_pillow_s_own_limit_is_told_as_ours(tmp_path):
    picture(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[18:26] = np.array([90_000, 90_000], "<i4").tobytes()
    (tmp_path / "a.bmp").write_bytes(data)
    with pytest.raises(BadImageError, match="exceeds the pixel limit"):
        read_image(tmp_path / "a.bmp")
