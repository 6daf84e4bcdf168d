from __future__ import annotations

import stat
import threading
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_rwkvseg.store import image_id
from napari_rwkvseg.store.image_id import install_salt, salted_id, sampled_pixels
from tests.store.journaling import noise


def known_as(image: object, salt: bytes = b"salt") -> str:
    return salted_id(salt, image, sampled_pixels(image))


def test_equal_pixels_have_one_id_and_other_pixels_another() -> None:
    image = noise()
    other = image.copy()
    other[20, 10] ^= 1
    assert known_as(image) == known_as(image.copy())
    assert len({known_as(image), known_as(other), known_as(image.T), known_as(image, b"x")}) == 4
    assert known_as(image) != known_as(image.view(np.int8))


def test_a_view_is_known_by_what_it_shows() -> None:
    image = noise()
    assert known_as(image[::-1]) == known_as(image[::-1].copy())


def test_of_a_lazy_image_only_samples_are_computed() -> None:
    touched = []

    def block(block_info: dict[None, dict[str, object]]) -> np.ndarray:
        touched.append(block_info[None]["chunk-location"])
        return np.ones((1, 64, 64), np.uint8)

    image = da.map_blocks(
        block, chunks=((1,) * 100, (64,) * 20, (64,) * 20), dtype=np.uint8, meta=np.empty((0, 0, 0))
    )
    assert len(known_as(image)) == 32
    assert len(set(touched)) <= 4 * (4 * 2) ** 2
    assert {place[0] for place in touched} == {0, 33, 66, 99}  # type: ignore[index]


def test_samples_of_a_large_image_reach_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_id, "WHOLE_BYTES", 100)
    image = noise((300, 500))
    other = image.copy()
    other[-1, -1] ^= 1
    assert known_as(image) != known_as(other)
    assert sum(map(len, sampled_pixels(image))) == 16 * 64 * 64


def test_the_salt_lasts_and_is_for_its_owner_only(tmp_path: Path) -> None:
    salt = install_salt(tmp_path)
    assert len(salt) == 32
    assert install_salt(tmp_path) == salt
    assert stat.S_IMODE((tmp_path / ".salt").stat().st_mode) == 0o600


def test_a_salt_that_was_cut_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".salt").write_bytes(b"short")
    assert len(install_salt(tmp_path)) == 32


def test_programs_that_start_together_agree_on_the_salt(tmp_path: Path) -> None:
    barrier, salts = threading.Barrier(8), set()

    def start() -> None:
        barrier.wait()
        salts.add(install_salt(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(salts) == 1
