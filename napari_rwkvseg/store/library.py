"""The models a user can choose from: bundled with the plugin, and own ones with their versions.

Importing this module does not import torch; loading and installing do.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.errors import ModelFileError, ModelNotFoundError
from napari_rwkvseg.store.model_header import ModelSummary, read_summary
from napari_rwkvseg.store.own_models import EXTENSION, SHORT, OwnModels, check_name, name_taken
from napari_rwkvseg.store.trash import TrashedModel, list_trash

DATA_VARIABLE = "NAPARI_RWKVSEG_DATA"
BUNDLED = Path(__file__).parent.parent / "models"

PROVEN = "proven_better"  # on the card of a retrained model: 1 if the judge said so, else 0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """One version of a model.

    Attributes
    ----------
    name : str
        Under which the library knows it; the card inside the file may say another one.
    path : Path
        Where it lies.
    summary : ModelSummary
        Card, checksum, plugin version, size.
    bundled : bool
        Whether it came with the plugin.
    active : bool
        Whether the name stands for it now.
    """

    name: str
    path: Path
    summary: ModelSummary
    bundled: bool
    active: bool

    @property
    def sha256(self) -> str:
        """Checksum of its content."""
        return self.summary.sha256

    @property
    def card(self) -> ModelCard:
        """Provenance and scores, under the library's name."""
        return replace(self.summary.card, name=self.name)


def data_folder() -> Path:
    """Return the user's data folder, or the one that ``NAPARI_RWKVSEG_DATA`` names."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-rwkvseg", False)


class Library:
    """Bundled and own models by name.

    A name may have a bundled and several own versions; it stands for one of them. Every method
    looks at the folders anew, so that other programs' changes are seen.

    Parameters
    ----------
    root : Path, optional
        Folder of own models; by default ``models`` in `data_folder`. Made when first needed.
    bundled : Path
        Folder of the models that come with the plugin, files ``<name>.safetensors``.
    """

    def __init__(self, root: Path | None = None, bundled: Path = BUNDLED) -> None:
        self._own = OwnModels(data_folder() / "models" if root is None else root)
        self._bundled = bundled

    @property
    def root(self) -> Path:
        """Folder of own models."""
        return self._own.root

    def names(self) -> tuple[str, ...]:
        """Return the names to choose from: bundled ones first, each group in order."""
        bundled = sorted(path.stem for path in self._bundled.glob(f"*{EXTENSION}"))
        return tuple(dict.fromkeys([*bundled, *sorted(self._own.files())]))

    def path(self, name: str) -> Path:
        """Return the file of the active version.

        Raises
        ------
        ModelNotFoundError
            If there is no such model; the message lists the valid names.
        """
        # without a pointer never an own version that was set aside, if there is a bundled one
        found = self._own.active(name) or self._bundled_file(name)
        own = self._own.files().get(name, [])
        if found is None and not own:
            known = ", ".join(self.names()) or "none is installed"
            raise ModelNotFoundError(f"No model named {name!r}. Choose one of: {known}.")
        return found or own[-1]

    def card(self, name: str) -> ModelCard:
        """Return the card of the active version; reads only the file's header.

        Raises
        ------
        ModelNotFoundError
            If there is no such model.
        ModelFileError
            If its header is damaged.
        """
        return replace(read_summary(self.path(name)).card, name=name)

    def load(self, name_or_path: str | Path) -> Model:
        """Load a model by name, or from any file, after all checks of `read_model`.

        Parameters
        ----------
        name_or_path : str or Path
            A text with a slash or the ending ``.safetensors`` is a path.

        Raises
        ------
        ModelNotFoundError
            If there is no such model.
        ModelFileError
            If the file fails a check.
        """
        from napari_rwkvseg.store.model_file import read_model

        if _is_path(name_or_path):
            return read_model(name_or_path)
        name = str(name_or_path)
        model = read_model(self.path(name))
        return replace(model, card=replace(model.card, name=name))

    def versions(self, name: str) -> tuple[Version, ...]:
        """Return all versions of a model: the bundled one, then own ones in order of arrival.

        A version whose header is damaged is left out, with a logged warning.

        Raises
        ------
        ModelNotFoundError
            If there is no such model.
        """
        active = self.path(name)
        bundled = self._bundled_file(name)
        found = [] if bundled is None else [_version(name, bundled, True, active)]
        found += [_version(name, path, False, active) for path in self._own.files().get(name, [])]
        return tuple(version for version in found if version is not None)

    def aside(self, name: str, parent: str) -> Version | None:
        """Return the newest version that was made from another one and not proven better then.

        Parameters
        ----------
        name : str
            Name in the library.
        parent : str
            Checksum of what it was made from.

        Returns
        -------
        Version or None
            None if there is none, or it was chosen: a name that has no other version stands for it
            without that. One that was better and is not active is one that somebody went back from.
        """
        versions = self.versions(name) if name in self.names() else ()
        made = [version for version in versions if version.card.parent == parent]
        if not made or made[-1].card.metrics.get(PROVEN, 1):
            return None
        return None if made[-1].path == self._own.active(name) else made[-1]

    def load_version(self, version: Version) -> Model:
        """Load one version, active or not, under the library's name.

        Raises
        ------
        ModelFileError
            If the file fails a check.
        """
        model = self.load(version.path)
        return replace(model, card=replace(model.card, name=version.name))

    def install(
        self, source: str | Path | Model, *, name: str | None = None, activate: bool = True
    ) -> Version:
        """Add a model as a version; installing the same content again changes nothing.

        Parameters
        ----------
        source : str, Path or Model
            A model file, which is copied bit for bit after all checks, or a model.
        name : str, optional
            Name in the library; by default the card's.
        activate : bool
            Whether the name shall stand for this version from now on.

        Raises
        ------
        ModelFileError
            If the file fails a check, the name is not valid, or the disk refuses.
        """
        from napari_rwkvseg.store.model_file import encode_for_library

        card_name, encoded = encode_for_library(source)
        name = check_name(card_name if name is None else name)
        self._own.add(name, encoded.sha256, encoded.data, activate)
        return self._find_version(name, encoded.sha256)

    def activate(self, name: str, sha256: str) -> Version:
        """Let a name stand for another of its versions, bit for bit what it was.

        Parameters
        ----------
        name : str
            Name in the library.
        sha256 : str
            Checksum of the version, or its first digits.

        Raises
        ------
        ModelNotFoundError
            If there is no such model or version.
        ModelFileError
            If the disk refuses.
        """
        version = self._find_version(name, sha256)
        self._own.point(name, "" if version.bundled else version.sha256)
        return replace(version, active=True)

    def rollback(self, name: str) -> Version:
        """Go back to the version that the active one was made from, bit for bit what it was.

        Raises
        ------
        ModelNotFoundError
            If there is no such model, or the active version's parent is not in the library.
        ModelFileError
            If the disk refuses.
        """
        parent = read_summary(self.path(name)).card.parent
        if not parent:
            raise ModelNotFoundError(
                f"The active version of {name!r} was not made from another one. "
                "Choose a version to activate."
            )
        return self.activate(name, parent)

    def rename(self, name: str, new_name: str) -> None:
        """Give all own versions of a model another name; their content does not change.

        Raises
        ------
        ModelNotFoundError
            If there is no such model.
        ModelFileError
            If the new name is taken or not valid, the model is bundled, or the disk refuses.
        """
        self._check_own(name)
        if new_name in self.names():
            raise name_taken(new_name)
        self._own.rename(name, new_name)

    def delete(self, name: str) -> TrashedModel:
        """Move all own versions of a model to the trash folder; returns what `restore` needs.

        Raises
        ------
        ModelNotFoundError
            If there is no such model.
        ModelFileError
            If the model is bundled, or the disk refuses.
        """
        self._check_own(name)
        return self._own.delete(name)

    def deleted(self) -> tuple[TrashedModel, ...]:
        """Return what lies in the trash folder, the latest last."""
        return list_trash(self.root)

    def restore(self, trashed: TrashedModel) -> None:
        """Undo a `delete`; a version that became active meanwhile stays active.

        Raises
        ------
        ModelFileError
            If it was restored already, or the disk refuses.
        """
        self._own.restore(trashed)

    def _bundled_file(self, name: str) -> Path | None:
        path = self._bundled / f"{name}{EXTENSION}"
        return path if path.parent == self._bundled and path.is_file() else None

    def _check_own(self, name: str) -> None:
        self.path(name)
        if name not in self._own.files():
            raise ModelFileError(
                f"Model {name!r} comes with the plugin and stays as it is. "
                "Rename or delete own models only."
            )

    def _find_version(self, name: str, sha256: str) -> Version:
        versions = self.versions(name)
        fitting = [v for v in versions if sha256 and v.sha256.startswith(sha256)]
        if len({version.sha256 for version in fitting}) != 1:
            known = ", ".join(version.sha256[:SHORT] for version in versions)
            raise ModelNotFoundError(
                f"Model {name!r} has no single version {sha256!r}. Choose one of: {known}."
            )
        return fitting[0]


def _is_path(name_or_path: str | Path) -> bool:
    if isinstance(name_or_path, Path):
        return True
    return name_or_path.endswith(EXTENSION) or bool({"/", os.sep} & set(name_or_path))


def _version(name: str, path: Path, bundled: bool, active: Path) -> Version | None:
    try:
        summary = read_summary(path)
    except ModelFileError as error:
        logger.warning("left out: %s", error)
        return None
    return Version(name, path, summary, bundled, path == active)
