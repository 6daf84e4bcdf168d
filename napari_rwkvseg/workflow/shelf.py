"""Keeping models: import, export, delete, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.runner import JobResult, Runner, ignore_progress
from napari_rwkvseg.workflow.state import State


class ModelSource(Protocol):
    """Where models come from; the library in the store."""

    def names(self) -> Sequence[str]:
        """Return the names of all models."""

    def card(self, name: str) -> ModelCard:
        """Return a card without loading the weights."""

    def load(self, name_or_path: str | Path) -> Model:
        """Return a model, ready to predict."""

    def path(self, name: str) -> Path:
        """Return the file of a model."""

    def install(self, source: str | Path | Model) -> Any:
        """Add a model file after all checks; the result has a `name`."""

    def versions(self, name: str) -> Sequence[Any]:
        """Return all versions of a model: the bundled one, then own ones in order of arrival."""

    def load_version(self, version: Any) -> Model:
        """Return one of these, active or not, under the name of the library."""

    def activate(self, name: str, sha256: str) -> Any:
        """Let a name stand for another of its versions; returns that version."""

    def delete(self, name: str) -> Any:
        """Move an own model to the trash; returns what `restore` needs."""

    def restore(self, trashed: Any) -> None:
        """Undo a `delete`."""


class Shelf:
    """What the Models tab can ask for.

    Parameters
    ----------
    library : ModelSource
        The models.
    state : State
        `message` is written here.
    runner : Runner
        Checks imported files, which takes seconds.
    reload : callable
        Called with the name of a model to choose (or "") whenever the library changed.
    """

    def __init__(
        self, library: ModelSource, state: State, runner: Runner, reload: Callable[[str], None]
    ) -> None:
        self.library = library
        self._state = state
        self._runner = runner
        self._reload = reload
        self._trashed: list[tuple[str, Any]] = []  # names, and what brings them back

    def import_file(self, path: Path) -> None:
        """Check a model file and add it to the library."""
        self._say(f"Checking {path.name}…", Tone.HINT)
        job = _install(self.library, path)
        self._runner.start(job, CancelToken(), ignore_progress, self._imported)

    def export(self, card: ModelCard, path: Path) -> None:
        """Copy the file of a model, bit for bit."""
        try:
            write_atomic(path, self.library.path(card.name).read_bytes())
        except (OSError, RwkvSegError) as error:
            reason = getattr(error, "strerror", None) or error
            self._say(f"{path.name} could not be written ({reason}). Choose another folder.")
        else:
            self._say(
                f"Saved {path.name}. A model may remember images it was trained on: share it "
                "only if you may share those.",
                Tone.DONE,
            )

    def delete(self, card: ModelCard) -> None:
        """Move a model to the trash; `undo` brings it back."""
        try:
            trashed = self.library.delete(card.name)
        except RwkvSegError as error:
            self._say(str(error))
        else:
            self._trashed.append((card.name, trashed))
            self._say(f"Deleted {card.name}.", Tone.NOTE)
            self._reload("")

    @property
    def can_undo(self) -> bool:
        """Whether a deleted model can be brought back."""
        return bool(self._trashed)

    def undo(self) -> None:
        """Bring the model back that was deleted last, and choose it; nothing if all are back."""
        if not self._trashed:
            return
        name, trashed = self._trashed[-1]
        try:
            self.library.restore(trashed)
        except RwkvSegError as error:
            self._say(str(error))
            self._reload("")
        else:
            self._trashed.pop()
            self._say(f"{name} is back.", Tone.DONE)
            self._reload(name)

    def _imported(self, result: JobResult) -> None:
        if result.error:
            self._say(result.error)
        elif result.value is not None:
            self._say(f"Added {result.value}.", Tone.DONE)
            self._reload(result.value)

    def _say(self, text: str, tone: Tone = Tone.ERROR) -> None:
        self._state.message = Message(text, tone)


def _install(library: ModelSource, path: Path) -> Job[str]:
    yield Progress(0, 1, f"Checking {path.name}")
    return str(library.install(path).name)
