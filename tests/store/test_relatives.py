"""What a retrain may turn to besides the model in use."""

import logging

from napari_rwkvseg.store.relatives import relatives
from tests.store.model_builders import small_model


def made(library, seed, parent, proven):
    model = small_model(seed=seed, parent=parent, metrics={"proven_better": proven})
    return library.install(model, name="nuclei", activate=bool(proven))


def test_what_was_kept_aside_and_the_origin_are_loaded(library):
    bundled = library.versions("nuclei")[0]
    active = made(library, 1, bundled.sha256, 1.0)
    aside = made(library, 2, active.sha256, 0.0)
    found = relatives(library, "nuclei", active.sha256)
    assert found.aside.sha256 == aside.sha256
    assert found.origin.sha256 == bundled.sha256
    none = relatives(library, "nuclei", bundled.sha256)
    assert (none.aside, none.origin) == (None, None)


def test_damaged_ones_are_done_without(library, caplog):
    bundled = library.versions("nuclei")[0]
    active = made(library, 1, bundled.sha256, 1.0)
    aside = made(library, 2, active.sha256, 0.0)
    data = bytearray(aside.path.read_bytes())
    data[-1] ^= 1
    aside.path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        found = relatives(library, "nuclei", active.sha256)
    assert found.aside is None
    assert found.origin.sha256 == bundled.sha256
    assert aside.path.name in caplog.text
