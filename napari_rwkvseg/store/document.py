"""The description inside a model file: schema, plugin version, network, card; checked as JSON.

A newer schema is refused, an older one is migrated in memory; the file is never rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from napari_rwkvseg.engine.card import RESEARCH_ONLY, ModelCard
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.store.refusal import OTHER_FILE, Refusal, shown, strict_json

SCHEMA = 1
MAX_NUMBER = 4096  # widths, depths, sides: far above any sensible network
MAX_ITEMS = 64
MAX_NESTING = 8
MAX_BLOCKS = 64
MAX_TEXT = 2000  # characters of a text on a card: what a label draws at once
MAX_NAMES = 10_000  # characters of all names of classes together
MAX_SCORE = 1e15  # of a card's numbers; every whole one below it is exact
MAX_COUNT = 2**63 - 1  # of a seed, of steps, of pixels: what 64 bits hold
MAX_LENGTH = 1e6  # px, widths and sides on a card
COMPARED = ("held_out_dice", "replay_dice")  # kept with what they were before
BEFORE = "_before"
ENTRIES = {"schema", "plugin", "config", "card"}

Migration = Callable[[dict[str, Any]], dict[str, Any]]
MIGRATIONS: Mapping[int, Migration] = {}  # from a schema to the next one


@dataclass(frozen=True)
class Document:
    """What a model file says about itself.

    Attributes
    ----------
    plugin : str
        Version of the plugin that wrote the file.
    config : NetworkConfig
        Shape of the network.
    card : ModelCard
        Provenance and scores.
    """

    plugin: str
    config: NetworkConfig
    card: ModelCard


def write_document(document: Document) -> str:
    """Return the JSON text of a description; `read_document` gives it back.

    Raises
    ------
    Refusal
        If the card holds what JSON cannot, such as NaN, or does not fit the network.
    """
    values = {
        "schema": SCHEMA,
        "plugin": document.plugin,
        "config": document.config.to_dict(),
        "card": document.card.to_dict(),
    }
    try:
        # as Unicode: escaped, \u00e9 and \u00E9 would be two spellings of one text
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise Refusal(f"has a card that JSON cannot keep: {error}", "Correct the card") from error
    read_document(text)
    return text


def check_schema(text: str, migrations: Mapping[int, Migration] = MIGRATIONS) -> dict[str, Any]:
    """Return the entries of a description, migrated to the schema of this version.

    Raises
    ------
    Refusal
        If it was written for a newer schema, or for one that can no longer be read.
    """
    values = strict_json(text)
    schema = values.get("schema") if isinstance(values, dict) else None
    if type(schema) is not int or schema < 0:
        raise Refusal("is damaged: its description has no format number")
    if schema > SCHEMA:
        raise Refusal(
            f"has format {shown(schema)}, this version reads up to {SCHEMA}",
            "Update napari-rwkvseg to open it",
        )
    for step in range(schema, SCHEMA):
        if step not in migrations:
            raise Refusal(
                f"has format {schema}, this version reads from {SCHEMA}",
                "Open it with an older napari-rwkvseg and save it again",
            )
        values = {**migrations[step](values), "schema": step + 1}
    return dict(values)


def read_document(text: str, migrations: Mapping[int, Migration] = MIGRATIONS) -> Document:
    """Check every value of a description and build its objects.

    Parameters
    ----------
    text : str
        The raw JSON.
    migrations : mapping of int to callable
        The step from each older schema to the next.

    Raises
    ------
    Refusal
        If an entry is missing, unknown, of the wrong type, absurdly large, or does not fit.
    """
    values = check_schema(text, migrations)
    if set(values) != ENTRIES or not isinstance(values["plugin"], str):
        raise Refusal("is damaged: its description lacks entries or has unknown ones")
    document = Document(values["plugin"], _config(values["config"]), _card(values["card"]))
    classes = len(document.card.class_names) + 1
    if document.config.n_classes != classes:
        raise Refusal(
            f"names {classes - 1} classes and background, its network tells apart "
            f"{document.config.n_classes}",
            OTHER_FILE,
        )
    return document


def _config(values: Any) -> NetworkConfig:
    _check_like(values, NetworkConfig().to_dict(), "network")
    try:
        config = NetworkConfig.from_dict(values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Refusal(f"describes a network that cannot be: {shown(str(error), 120)}") from error
    sides = (config.in_channels, config.stem_width, config.expansion)
    if min(*sides, *config.widths, *config.depths, *config.pooled_keys) < 1:
        raise Refusal("describes a network with a part of size 0", OTHER_FILE)
    if sum(config.depths) > MAX_BLOCKS:
        raise Refusal(f"describes a network of {sum(config.depths)} blocks", OTHER_FILE)
    return config


def _check_like(values: Any, sample: dict[str, Any], owner: str) -> None:
    """Refuse entries that are unknown, of another type than in the sample, or too large."""
    if not isinstance(values, dict) or not set(values) <= set(sample):
        raise Refusal(f"is damaged: its {owner} has unknown entries")
    for key, value in values.items():
        if type(value) is not type(sample[key]) or not _is_modest(value):
            raise Refusal(f"has a {owner} with {key} = {shown(value)}", OTHER_FILE)


def _is_modest(value: Any, nesting: int = 0) -> bool:
    """Whether lists, texts, numbers and depth are of a size that a network may need."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        inside = len(value) <= MAX_ITEMS and nesting < MAX_NESTING
        return inside and all(_is_modest(item, nesting + 1) for item in value)
    if isinstance(value, str):
        return len(value) <= MAX_ITEMS
    return value is None or (isinstance(value, int) and 0 <= value <= MAX_NUMBER)


def _card(values: Any) -> ModelCard:
    known = {field.name: field for field in fields(ModelCard)}
    if not isinstance(values, dict) or not set(values) <= set(known):
        raise Refusal("is damaged: its card has unknown entries")
    missing = {name for name, f in known.items() if f.default is f.default_factory is MISSING}
    if not missing <= set(values):
        raise Refusal("is damaged: its card lacks entries")
    for name, value in values.items():
        if not CARD_CHECKS.get(name, _is_text)(value):
            raise Refusal(f"has a card with {name} = {shown(value)}", OTHER_FILE)
    # what it is not for is for the program to say, not for a file
    return ModelCard.from_dict({**values, "notice": RESEARCH_ONLY})


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= MAX_SCORE  # not NaN: it compares as False


def _is_length(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= MAX_LENGTH


def _is_class_list(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_NUMBER:
        return False
    if not all(isinstance(name, str) and name for name in value):
        return False
    return len({*value}) == len(value) and sum(map(len, value)) <= MAX_NAMES


def _is_percentile_pair(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
        return False
    return bool(0 <= value[0] < value[1] <= 100)


def _is_scores(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        return False
    paired = all((name in value) == (name + BEFORE in value) for name in COMPARED)
    short = all(len(name) <= MAX_ITEMS for name in value)
    return paired and short and all(map(_is_number, value.values()))


CARD_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "class_names": _is_class_list,
    "objects": lambda value: isinstance(value, bool),
    "percentiles": _is_percentile_pair,
    "object_width": _is_length,
    "frame_side": lambda value: _is_length(value) and (value == 0 or value >= 1),
    "min_size": _is_count,
    "peak": lambda value: _is_number(value) and 0 <= value <= 1,
    "seed": _is_count,
    "steps": _is_count,
    "metrics": _is_scores,
}
