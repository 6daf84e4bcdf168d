"""What is kept of a text that has no room for more."""

from __future__ import annotations

from dataclasses import replace

from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.engine.finetune import Finetuned
from napari_rwkvseg.engine.judge import PartScore, Verdict
from napari_rwkvseg.engine.retrain import Candidate
from napari_rwkvseg.store.document import Document, read_document, write_document
from napari_rwkvseg.store.retrained_card import retrained_card
from tests.corrected import model

NOTHING = PartScore(0, 0, (), 0.5, 0.5, 0.0, 0.0, 0, 0.0, 0.0, 0)


def test_a_card_that_is_full_can_be_retrained() -> None:
    start = model()
    start = replace(start, card=replace(start.card, data="x" * 2000, data_licence="y" * 1999))
    found = Candidate(Finetuned(start.network, 1, 1), Verdict("cannot tell", "", NOTHING, None))
    made = retrained_card(start, found, start.card.class_names, EvidenceCount(0, 0, 0), seed=0)
    card = read_document(write_document(Document("1.2", start.network.config, made))).card
    assert (len(card.data), card.data[-15:]) == (2000, "xx; corrections")
    assert card.data_licence.endswith("yy; corrections: not stated")
