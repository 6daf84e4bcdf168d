from __future__ import annotations

import importlib.util

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from napari_rwkvseg.store.formats import read_image

VOLUME = np.arange(3 * 64 * 80, dtype=np.uint16).reshape(3, 64, 80)
AXES = [
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def ome_zarr(path, axes=AXES, scale=(2.0, 0.5, 0.25), version="0.5", array=VOLUME):
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    group.create_array("0", data=array, chunks=(1, 32, 40))
    group.create_array("1", data=array[:, ::2, ::2], chunks=(1, 32, 40))
    transform = [{"type": "scale", "scale": list(scale)}] if scale else []
    datasets = [{"path": str(i), "coordinateTransformations": transform} for i in range(2)]
    description = [{"axes": axes, "datasets": datasets}]
    if version == "0.5":
        group.attrs["ome"] = {"version": version, "multiscales": description}
    else:
        group.attrs["multiscales"] = description
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_read_lazily_at_its_finest_level(tmp_path, version):
    image = read_image(ome_zarr(tmp_path / "a.zarr", version=version))
    assert isinstance(image.array, da.Array)
    assert (image.axes, image.spacing, image.units) == ("zyx", (2.0, 0.5, 0.25), ("µm",) * 3)
    assert np.array_equal(image.plane((1,))[..., 0], VOLUME[1])


def test_ome_zarr_without_scale_is_in_its_units_of_one(tmp_path):
    assert read_image(ome_zarr(tmp_path / "a.zarr", scale=())).spacing == (1.0, 1.0, 1.0)


def test_ome_zarr_has_a_scale_for_all_levels_as_well(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", version="0.4")
    group = zarr.open_group(path, mode="a")
    described = group.attrs["multiscales"]
    described[0]["coordinateTransformations"] = [{"type": "scale", "scale": [3.0, 2.0, 2.0]}]
    group.attrs["multiscales"] = described
    assert read_image(path).spacing == (6.0, 1.0, 0.5)


def test_chunks_beyond_the_border_of_a_shard_are_not_absent(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(70, 70), chunks=(16, 16), shards=(64, 64), dtype="uint8"
    )
    array[:] = 7
    assert read_image(tmp_path / "a.zarr").notes == ()


def test_a_damaged_chunk_is_named(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(64, 80), chunks=(64, 80), dtype="uint8",
        compressors=zarr.codecs.GzipCodec(), fill_value=0,
    )  # fmt: skip
    array[:] = np.random.default_rng(0).integers(0, 255, (64, 80), np.uint8)
    chunk = next(path for path in (tmp_path / "a.zarr" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(BadImageError, match="cannot be read"):
        read_image(tmp_path / "a.zarr").plane()


def test_other_axis_names_are_samples(tmp_path):
    image = read_image(ome_zarr(tmp_path / "a.zarr", axes=["well", "y", "x"]))
    assert (image.axes, image.units) == ("nyx", ("pixel",) * 3)


@pytest.mark.parametrize(
    ("axes", "transform", "reason"),
    [
        (AXES, [{"type": "scale", "scale": 5}], "object of type 'int'"),
        (AXES, [{"type": "scale"}], "lacks 'scale'"),
        (AXES, ["scale"], "'str' object"),
        ([{}, {}, {}], [], "lacks 'name'"),
    ],
)
def test_ome_zarr_described_wrongly_ends_in_one_sentence(tmp_path, axes, transform, reason):
    path = ome_zarr(tmp_path / "a.zarr", axes=axes, version="0.4")
    group = zarr.open_group(path, mode="a")
    described = group.attrs["multiscales"]
    described[0]["coordinateTransformations"] = transform
    group.attrs["multiscales"] = described
    with pytest.raises(BadImageError, match=f"a.zarr: damaged or unusual zarr .*{reason}"):
        read_image(path)


def test_ome_zarr_without_a_list_of_levels_is_its_first(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", version="0.4")
    zarr.open_group(path, mode="a").attrs["multiscales"] = [{"axes": AXES}]
    image = read_image(path)
    assert (image.axes, image.spacing, image.units) == ("zyx", (1.0,) * 3, ("µm",) * 3)


def test_plain_array_of_three_axes_is_asked_for(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=VOLUME)
    with pytest.raises(AmbiguousAxesError):
        read_image(tmp_path / "a.zarr")


def test_group_without_an_image_is_refused(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_group("0")
    with pytest.raises(BadImageError, match="no array in the group"):
        read_image(tmp_path / "a.zarr")


def test_without_the_package_it_is_named(tmp_path, monkeypatch):
    path = ome_zarr(tmp_path / "a.zarr")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadImageError, match="Install the package zarr"):
        read_image(path)
