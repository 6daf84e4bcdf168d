"""No search for garbage while much is loaded, and none right afterwards either."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from napari_rwkvseg.engine.quiet import quietly

YOUNG, OLD = (0, 1), 2


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    before = gc.isenabled()
    gc.enable()
    yield
    gc.unfreeze()
    (gc.enable if before else gc.disable)()


def holds(generation: int, thing: object) -> bool:
    return any(one is thing for one in gc.get_objects(generation=generation))


def searches_while(n_objects: int) -> int:
    """Make objects that stay in a quiet block; return how many searches that starts."""
    started: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        started.append(phase)

    gc.callbacks.append(note)
    try:
        with quietly():
            kept = [[] for _ in range(n_objects)]  # type: ignore[var-annotated]
        del kept
    finally:
        gc.callbacks.remove(note)
    return started.count("start")


def test_nothing_is_searched_however_much_is_made() -> None:
    assert searches_while(50_000) == 0
    assert gc.isenabled()


def test_what_was_made_is_old_afterwards() -> None:
    with quietly():
        made = [object()]
        assert holds(0, made)
    assert holds(OLD, made)
    assert not any(holds(generation, made) for generation in YOUNG)


def test_garbage_made_inside_is_found_later() -> None:
    class Ring:
        pass

    with quietly():
        ring = Ring()
        ring.itself = ring  # type: ignore[attr-defined]
        del ring
    assert any(type(one) is Ring for one in gc.get_objects())
    gc.collect()
    assert not any(type(one) is Ring for one in gc.get_objects())


def test_overlapping_blocks_end_with_the_last_one() -> None:
    first, second = quietly(), quietly()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_an_error_inside_ends_the_rest() -> None:
    with pytest.raises(ImportError), quietly():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with quietly():
        made = [object()]
    assert not gc.isenabled()
    assert not holds(OLD, made)


def test_what_somebody_froze_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with quietly():
        pass
    assert gc.get_freeze_count() >= frozen > 0
