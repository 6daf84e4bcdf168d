"""The card of a retrained model: lineage, counts, scores; nothing about the images."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.engine.retrain import Candidate
from napari_rwkvseg.store.document import MAX_TEXT
from napari_rwkvseg.store.ledger import SHARE, WORSE
from napari_rwkvseg.store.library import PROVEN


def retrained_card(
    model: Model, found: Candidate, names: tuple[str, ...], count: EvidenceCount, seed: int
) -> ModelCard:
    """Return the card of a candidate.

    Parameters
    ----------
    model : Model
        The old one.
    found : Candidate
        What came out.
    names : tuple of str
        Its classes, in label order.
    count : EvidenceCount
        Pixels of the corrections that are new to it.
    seed : int
        Of the run.
    """
    old, tuned = model.card, found.tuned
    return replace(
        old,
        class_names=names,
        object_width=round(found.object_width, 1),
        frame_side=round(found.frame_side, 1),
        min_size=found.limits.min_size,
        peak=found.limits.peak,
        data=_with(old.data, "corrections"),
        data_licence=_with(old.data_licence, "corrections: not stated"),
        command=f"napari-rwkvseg finetune --steps {tuned.planned} --seed {seed}",
        seed=seed,
        steps=tuned.steps,
        metrics=_metrics(count, found),
        parent=model.sha256,
        created=datetime.now(UTC).date().isoformat(),
    )


def _with(text: str, added: str) -> str:
    """Return a list in words with something added, once, no longer than a card may hold."""
    if text.endswith(added):
        return text
    return "; ".join(filter(None, (text[: MAX_TEXT - len(added) - 2], added)))


def _metrics(count: EvidenceCount, found: Candidate) -> dict[str, float]:
    """Return counts and scores: of held-out corrections, never of a test set."""
    fresh, replay = found.verdict.fresh, found.verdict.replay
    metrics: dict[str, float] = {
        "held_out_dice": fresh.new_dice,
        "held_out_dice_before": fresh.old_dice,
        "gain_low": fresh.low,
        "gain_high": fresh.high,
        "blocks": fresh.n,
        "changed_pixels": count.changed,
        "reviewed_pixels": count.reviewed,
        SHARE: found.share,
        PROVEN: float(found.verdict.answer == "better"),
    }
    if found.verdict.answer == "worse":
        metrics[WORSE] = 1.0
    if replay is not None:
        metrics |= {"replay_dice": replay.new_dice, "replay_dice_before": replay.old_dice}
    return metrics
