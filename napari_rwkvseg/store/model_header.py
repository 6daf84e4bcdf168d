"""What a model file tells without loading it: card, checksum, size. Never imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.store.checksum import CHECKSUM_KEY, METADATA_KEYS, document_of
from napari_rwkvseg.store.document import read_document
from napari_rwkvseg.store.refusal import Refusal, refusals_name
from napari_rwkvseg.store.safetensor_header import read_header

SHA_DIGITS = 64


@dataclass(frozen=True)
class ModelSummary:
    """The header of a model file, not yet compared with its weights.

    Attributes
    ----------
    card : ModelCard
        Provenance and scores.
    config : NetworkConfig
        Shape of the network.
    sha256 : str
        The checksum the file claims; `read_model` checks it.
    plugin : str
        Version of the plugin that wrote the file.
    file_bytes : int
        Size of the file.
    """

    card: ModelCard
    config: NetworkConfig
    sha256: str
    plugin: str
    file_bytes: int


def read_summary(path: Path) -> ModelSummary:
    """Read a model file's header.

    Parameters
    ----------
    path : Path
        A safetensors file of this plugin.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is too large, of a newer format, or its header is invalid.
    """
    with refusals_name(path.name):
        header = read_header(path)
        document = read_document(document_of(header))
        claimed = header.metadata.get(CHECKSUM_KEY, "")
        if set(header.metadata) != METADATA_KEYS or not _is_sha256(claimed):
            raise Refusal("is damaged: its metadata are not those of a model")
        return ModelSummary(
            document.card, document.config, claimed, document.plugin, header.file_bytes
        )


def read_card(path: Path) -> ModelCard:
    """Read a model file's card, see `read_summary`."""
    return read_summary(path).card


def _is_sha256(text: str) -> bool:
    return len(text) == SHA_DIGITS and set(text) <= set("0123456789abcdef")
