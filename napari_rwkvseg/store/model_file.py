"""A model as one safetensors file: weights, card, checksum, self-test. Written all or nothing.

Reading goes: caps from the raw bytes, format, checksum, description, names and shapes, finite
values, a fresh network, self-test. Only a model that passed all of it is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import Tensor

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import SegmentationNetwork, build_network
from napari_rwkvseg.store.atomic import sweep_temporaries, write_atomic
from napari_rwkvseg.store.checksum import (
    CHECKSUM_KEY,
    DOCUMENT_KEY,
    checksum,
    document_of,
    verify,
)
from napari_rwkvseg.store.document import Document, check_schema, read_document, write_document
from napari_rwkvseg.store.refusal import Refusal, refusals_name, shown
from napari_rwkvseg.store.safetensor_header import (
    TensorEntry,
    parse_header,
    read_whole,
    with_metadata,
)
from napari_rwkvseg.store.self_test import check_logits, logits_of

LOGITS = "self_test/logits"  # no module name contains a slash
SMALL_NETWORK = 1 << 25  # numbers

Builder = Callable[[NetworkConfig], SegmentationNetwork]


@dataclass(frozen=True)
class EncodedModel:
    """A model as the bytes of its file.

    Attributes
    ----------
    data : bytes
        The whole file.
    sha256 : str
        Checksum of the content.
    """

    data: bytes
    sha256: str


def write_model(
    path: str | Path, model: Model, *, half: bool = False, build: Builder = build_network
) -> str:
    """Save a model; the file is either the old or the new one, never a part.

    Parameters
    ----------
    path : str or Path
        Its folder must exist.
    model : Model
        Network and card. The network may be on any device; it is not changed.
    half : bool
        Store weights that fit as 16-bit floats: half the size, the logits differ a little.
    build : callable
        Makes a network from its configuration.

    Returns
    -------
    str
        SHA-256 of the content.

    Raises
    ------
    ModelFileError
        If the disk refuses, a weight is not finite, or card and network do not fit.
    """
    path = Path(path)
    with refusals_name(path.name, "saved"):
        encoded = encode_model(model, half=half, build=build)
        sweep_temporaries(path.parent)
        write_atomic(path, encoded.data)
    return encoded.sha256


def read_model(path: str | Path, *, build: Builder = build_network) -> Model:
    """Load a model after checking everything about its file.

    Parameters
    ----------
    path : str or Path
        A safetensors file of this plugin.
    build : callable
        Makes a network from its configuration.

    Returns
    -------
    Model
        On the CPU, in evaluation mode, weights in 32-bit floats.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged, too large, of a newer format, or fails its
        self-test. The message names file, reason and remedy.
    """
    path = Path(path)
    with refusals_name(path.name):
        return decode_model(read_whole(path), build=build)


@cache
def plugin_version() -> str:
    """Return the version of the plugin; the package's metadata are read once."""
    return version("napari-rwkvseg")


def encode_model(
    model: Model, *, half: bool = False, build: Builder = build_network
) -> EncodedModel:
    """Return the file of a model, see `write_model`.

    Raises
    ------
    Refusal
        If a weight is not finite, or card and network do not fit.
    """
    config = model.network.config
    text = write_document(Document(plugin_version(), config, model.card))
    stored = {name: _stored(value, half) for name, value in model.network.state_dict().items()}
    _check_finite(stored)
    fresh = _fill(_new_network(config, build), stored)
    stored[LOGITS] = logits_of(fresh, config.in_channels)
    _check_finite(stored)
    raw = safetensors_torch.save(stored)
    header = parse_header(raw, len(raw))  # refuses what could not be read again
    sha256 = checksum(text, header, raw)
    return EncodedModel(
        with_metadata(raw, header, {DOCUMENT_KEY: text, CHECKSUM_KEY: sha256}), sha256
    )


def decode_model(raw: bytes, *, build: Builder = build_network) -> Model:
    """Return the model in the bytes of a file, see `read_model`.

    Raises
    ------
    Refusal
        If any check fails.
    """
    header = parse_header(raw, len(raw))
    text = document_of(header)
    check_schema(text)  # before the checksum, which a newer format may compute in another way
    sha256 = verify(header, raw)
    document = read_document(text)
    network = _matching_network(document.config, header.tensors, build)
    stored = _tensors(raw)
    _check_finite(stored)
    logits = stored.pop(LOGITS)
    check_logits(_fill(network, stored), document.config.in_channels, logits)
    return Model(network, document.card, sha256)


def encode_for_library(source: str | Path | Model) -> tuple[str, EncodedModel]:
    """Return the name on the card, and the file's bytes, of a model or of a file that is sound.

    Raises
    ------
    ModelFileError
        If the file fails a check, or the model cannot be saved.
    """
    if isinstance(source, Model):
        with refusals_name(source.card.name, "saved"):
            return source.card.name, encode_model(source)
    path = Path(source)
    with refusals_name(path.name):
        raw = read_whole(path)
        model = decode_model(raw)
    return model.card.name, EncodedModel(raw, model.sha256)


def _stored(value: Tensor, half: bool) -> Tensor:
    """Return an own, contiguous copy on the CPU: tied weights would share memory."""
    # a variance may be beyond what 16 bits hold: then it keeps 32
    dtype = torch.float16 if half and not bool(value.half().isinf().any()) else torch.float32
    copy = value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype, copy=True)
    return copy.contiguous()


def _check_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise Refusal(
                f"holds numbers that are not finite in {shown(name)}", "Use an earlier version"
            )


def _new_network(config: NetworkConfig, build: Builder) -> SegmentationNetwork:
    """Build without disturbing the random numbers of a training that runs beside."""
    with torch.random.fork_rng(devices=[]):
        return build(config)


def _matching_network(
    config: NetworkConfig, tensors: Sequence[TensorEntry], build: Builder
) -> SegmentationNetwork:
    """Build the network that a file describes, provided that its tensors fit."""
    try:
        if not _is_small(config):  # first without memory: the description may be a trap
            with torch.device("meta"):
                _check_same_tensors(_new_network(config, build), tensors)
        network = _new_network(config, build)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise Refusal("describes a network that cannot be built") from error
    _check_same_tensors(network, tensors)
    return network


def _is_small(config: NetworkConfig) -> bool:
    """Whether the network stays within about 100 MB, whatever its parts; a generous estimate."""
    ends = config.in_channels + config.n_classes + config.stem_width + config.detail_width
    levels = sum(d * w * w for d, w in zip(config.depths, config.widths, strict=True))
    return 64 * (config.expansion * levels + (ends + max(config.widths)) ** 2) <= SMALL_NETWORK


def _check_same_tensors(network: SegmentationNetwork, tensors: Sequence[TensorEntry]) -> None:
    """Refuse missing and foreign names, then other kinds and shapes; the message shows one."""
    expected = {name: _kind(value) for name, value in network.state_dict().items()}
    found = {entry.name: (entry.dtype != "I64", entry.shape) for entry in tensors}
    if found.pop(LOGITS, None) is None:
        raise Refusal("has no self-test")
    if different := sorted(expected.keys() ^ found.keys()):
        state = "lacks" if different[0] in expected else "has an unknown"
        raise Refusal(f"does not fit its network: it {state} tensor {shown(different[0])}")
    for name, kind in expected.items():
        if found[name] != kind:
            raise Refusal(f"does not fit its network: {name} is {found[name][1]}, not {kind[1]}")


def _kind(value: Tensor) -> tuple[bool, tuple[int, ...]]:
    """Return whether a tensor holds floats, and its shape."""
    return value.is_floating_point(), tuple(value.shape)


def _tensors(raw: bytes) -> dict[str, Tensor]:
    try:
        return safetensors_torch.load(raw)
    except SafetensorError as error:
        raise Refusal("is damaged: safetensors refuses it") from error


def _fill(network: SegmentationNetwork, stored: Mapping[str, Tensor]) -> SegmentationNetwork:
    """Load weights, strictly, into a fresh network; 16-bit floats become 32-bit ones."""
    try:
        network.load_state_dict(dict(stored))
    except RuntimeError as error:
        raise Refusal("does not fit its network") from error
    return network.eval()
