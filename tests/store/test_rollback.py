"""One step back: to the version that the active one was made from."""

from __future__ import annotations

import pytest

from napari_rwkvseg.errors import ModelNotFoundError
from napari_rwkvseg.store.library import Library
from tests.store.model_builders import small_model


def test_one_step_back_is_bit_for_bit_what_was(library: Library) -> None:
    first = library.install(small_model(1))
    content = first.path.read_bytes()
    second = library.install(small_model(2, parent=first.sha256))
    assert library.load("cells").sha256 == second.sha256
    back = library.rollback("cells")
    assert (back.sha256, back.active) == (first.sha256, True)
    assert library.path("cells").read_bytes() == content
    assert len(library.versions("cells")) == 2


def test_a_rollback_is_undone_by_activating(library: Library) -> None:
    first = library.install(small_model(1))
    second = library.install(small_model(2, parent=first.sha256))
    library.rollback("cells")
    library.activate("cells", second.sha256)
    assert library.load("cells").sha256 == second.sha256


def test_back_to_the_bundled_version(library: Library) -> None:
    (bundled,) = library.versions("nuclei")
    library.install(small_model(3, parent=bundled.sha256), name="nuclei")
    assert not library.versions("nuclei")[0].active
    assert library.rollback("nuclei").bundled
    assert library.load("nuclei").sha256 == bundled.sha256


def test_the_parent_counts_not_the_order_of_arrival(library: Library) -> None:
    first = library.install(small_model(1))
    library.install(small_model(5), activate=False)
    library.install(small_model(2, parent=first.sha256))
    assert library.rollback("cells").sha256 == first.sha256


def test_a_model_from_scratch_has_nowhere_to_go_back_to(library: Library) -> None:
    library.install(small_model(1))
    with pytest.raises(ModelNotFoundError, match="was not made from another one"):
        library.rollback("cells")


def test_a_parent_that_is_not_there_is_named(library: Library) -> None:
    library.install(small_model(1, parent="c" * 64))
    with pytest.raises(ModelNotFoundError, match="has no single version 'cccc"):
        library.rollback("cells")
