"""Say that a layer was saved; apart from the writers, whose file formats take long to load."""

from __future__ import annotations

from psygnal import SignalInstance

written = SignalInstance((object,))
"""Emitted with the array of a layer once it is in a file; napari itself tells nobody."""
