import json

import pytest

from napari_rwkvseg.engine.card import RESEARCH_ONLY, ModelCard
from napari_rwkvseg.network.config import base, tiny
from napari_rwkvseg.store.document import Document, check_schema, read_document, write_document
from napari_rwkvseg.store.refusal import Refusal
from tests.store.model_builders import CARD, SMALL


def values():
    return json.loads(write_document(Document("1.2", SMALL, CARD)))


def refuse(changed, **options):
    with pytest.raises(Refusal) as caught:
        read_document(json.dumps(changed), **options)
    return caught.value


@pytest.mark.parametrize("config", [SMALL, tiny(), base(1, 2)])
def test_what_is_written_is_read_back(config):
    document = Document("1.2", config, CARD)
    assert read_document(write_document(document)) == document


def test_entries_with_a_default_may_be_absent():
    changed = values()
    del changed["card"]["seed"], changed["config"]["depths"]
    assert read_document(json.dumps(changed)).card.seed == 0


def test_text_is_kept_as_unicode_so_that_it_has_one_spelling():
    assert "Zellen, größer" in write_document(Document("1.2", SMALL, CARD))


class TestSchema:
    def test_a_newer_one_is_refused_naming_both(self):
        refusal = refuse(values() | {"schema": 3})
        assert refusal.reason == "has format 3, this version reads up to 1"
        assert refusal.remedy == "Update napari-rwkvseg to open it"

    def test_a_newer_one_is_named_even_if_all_else_is_foreign(self):
        assert "has format 2" in refuse({"schema": 2, "world": []}).reason

    @pytest.mark.parametrize("schema", [None, True, "1", 1.0, -1, [1], {}])
    def test_it_must_be_a_whole_number(self, schema):
        assert "no format number" in refuse(values() | {"schema": schema}).reason

    @pytest.mark.parametrize("document", [[], None, "text", 1, {}])
    def test_it_must_be_there(self, document):
        assert "no format number" in refuse(document).reason

    def test_an_older_one_is_migrated_in_memory(self):
        def migrate(old):
            return {**old, "card": {**old["card"], "title": old["card"]["title"].upper()}}

        old = values() | {"schema": 0}
        assert read_document(json.dumps(old), {0: migrate}).card.title == "ZELLEN, GRÖSSER"
        assert check_schema(json.dumps(old), {0: migrate})["schema"] == 1

    def test_an_older_one_without_a_way_is_refused_naming_both(self):
        refusal = refuse(values() | {"schema": 0})
        assert refusal.reason == "has format 0, this version reads from 1"


class TestEntries:
    @pytest.mark.parametrize("key", ["plugin", "config", "card"])
    def test_none_may_be_absent(self, key):
        changed = values()
        del changed[key]
        assert "lacks entries" in refuse(changed).reason

    def test_none_may_be_added(self):
        assert "unknown ones" in refuse(values() | {"code": "x"}).reason

    @pytest.mark.parametrize("key", ["plugin", "config", "card"])
    @pytest.mark.parametrize("wrong", [None, 5, [], True])
    def test_types_are_checked(self, key, wrong):
        refuse(values() | {key: wrong})

    def test_classes_of_card_and_network_must_agree(self):
        changed = values()
        changed["card"]["class_names"] = ["a", "b"]
        assert refuse(changed).reason == (
            "names 2 classes and background, its network tells apart 2"
        )


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("widths", 4),
        ("widths", [4, 4, 4]),
        ("widths", [4, 4, 4, "4"]),
        ("widths", [4, 4, 4, 5000]),
        ("widths", [4, 4, 4, 4.5]),
        ("widths", [4] * 65),
        ("depths", [16, 16, 16, 17]),
        ("depths", [1, 1, 1, 0]),
        ("widths", [4, 4, 4, 0]),
        ("pooled_keys", [1, 1, 1, 0]),
        ("in_channels", 0),
        ("stem_width", 0),
        ("expansion", 0),
        ("heads", 0),
        ("heads", True),
        ("heads", 3),
        ("heads", 2.0),
        ("in_channels", -1),
        ("in_channels", 10**30),
        ("gate", 1),
        ("mixer", "magic"),
        ("mixer", "x" * 65),
        ("decoder", None),
        ("schedule", []),
        ("schedule", {"levels": []}),
        ("schedule", {"levels": [{"heads": [{"order": [], "extent": "global"}]}] * 4}),
        ("schedule", {"levels": {"levels": {}}}),
        ("unknown", 1),
    ],
)
def test_networks_that_cannot_be_are_refused(key, wrong):
    changed = values()
    changed["config"][key] = wrong
    reason = refuse(changed).reason
    assert "network" in reason
    assert len(reason) < 200


def test_deep_nesting_in_a_network_is_refused():
    nested = []
    for _ in range(300):
        nested = [nested]
    changed = values()
    changed["config"]["schedule"] = {"levels": nested}
    assert "schedule" in refuse(changed).reason


def test_the_largest_numbers_are_allowed():
    changed = values()
    changed["config"]["stem_width"], changed["config"]["attention_side"] = 4096, 0
    assert read_document(json.dumps(changed)).config.stem_width == 4096


def test_64_blocks_are_allowed():
    changed = values()
    changed["config"]["depths"] = [16] * 4
    assert read_document(json.dumps(changed)).config.depths == (16,) * 4


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("name", 5),
        ("title", None),
        ("notice", ["text"]),
        ("class_names", "cell"),
        ("class_names", []),
        ("class_names", [""]),
        ("class_names", [1]),
        ("class_names", {"cell": 1}),
        ("objects", 1),
        ("objects", "yes"),
        ("percentiles", [1]),
        ("percentiles", [1, 2, 3]),
        ("percentiles", [99, 1]),
        ("percentiles", [5, 5]),
        ("percentiles", [-1, 99]),
        ("percentiles", [1, 101]),
        ("percentiles", ["1", "99"]),
        ("percentiles", [False, True]),
        ("percentiles", "19"),
        ("frame_side", -1.0),
        ("frame_side", "large"),
        ("min_size", -1),
        ("min_size", 2.5),
        ("peak", 1.5),
        ("peak", "sure"),
        ("seed", 1.5),
        ("seed", True),
        ("steps", -1),
        ("metrics", []),
        ("metrics", {"dice": "0.9"}),
        ("metrics", {"dice": None}),
        ("metrics", {"dice": True}),
        ("metrics", {"dice_mean": 10**400}),  # no window could format it
        ("metrics", {"n": -1e16}),
        ("metrics", {"held_out_dice": 0.5}),  # the list of versions shows both or none
        ("metrics", {"held_out_dice_before": 0.5}),
        ("metrics", {"replay_dice": 0.5}),
        ("metrics", {"x" * 65: 1.0}),
        ("metrics", {str(number): 1.0 for number in range(65)}),
        ("object_width", 10**400),
        ("object_width", 1e7),
        ("frame_side", 0.5),
        ("min_size", 2**63),
        ("seed", 10**400),
        ("title", "x" * 2001),
        ("modality", "x" * 300_000),
        ("class_names", ["x" * 10_001]),
    ],
)
def test_cards_with_wrong_values_are_refused_by_entry(key, wrong):
    changed = values()
    changed["card"][key] = wrong
    assert refuse(changed).reason.startswith(f"has a card with {key} = ")


def test_texts_of_a_full_page_and_scores_with_what_was_before_are_read():
    changed = values()
    metrics = {"held_out_dice": 0.5, "held_out_dice_before": 0.25, "changed_pixels": 10**12}
    changed["card"] |= {"limits": "x" * 2000, "metrics": metrics}
    card = read_document(json.dumps(changed)).card
    assert (len(card.limits), card.metrics) == (2000, metrics)


def test_a_card_cannot_say_that_it_is_for_diagnosis():
    changed = values()
    changed["card"]["notice"] = "FDA approved for diagnosis."
    assert read_document(json.dumps(changed)).card.notice == RESEARCH_ONLY


def test_cards_with_equal_classes_are_refused():
    changed = values()
    changed["card"]["class_names"] = ["cell", "cell"]
    changed["config"]["n_classes"] = 3
    assert "class_names" in refuse(changed).reason


def test_cards_with_unknown_or_missing_entries_are_refused():
    changed = values()
    changed["card"]["patient"] = "x"
    assert refuse(changed).reason == "is damaged: its card has unknown entries"
    changed = values()
    del changed["card"]["title"]
    assert refuse(changed).reason == "is damaged: its card lacks entries"


@pytest.mark.parametrize("bad", [{"metrics": {"dice": float("nan")}}, {"title": object()}])
def test_cards_that_json_cannot_keep_are_not_written(bad):
    card = ModelCard(**{"name": "a", "title": "A", "modality": "m", "class_names": ("c",)} | bad)
    with pytest.raises(Refusal, match="JSON cannot keep"):
        write_document(Document("1.2", SMALL, card))


def test_cards_that_could_not_be_read_are_not_written():
    card = ModelCard("a", "A", "m", ("c",), percentiles=(5.0, 5.0))
    with pytest.raises(Refusal, match="percentiles"):
        write_document(Document("1.2", SMALL, card))
