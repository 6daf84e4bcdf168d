"""Views are drawn where the evidence is, and carry class and level through every turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.engine.evidence_views import PLAIN, EvidenceSource, Views, draw_views
from napari_rwkvseg.engine.holdout import Deal, deal_blocks, training_pieces
from tests.corrected import CALM, CPU, corrected


def marked(size: int = 200, spot: tuple[int, int] = (180, 20)) -> Evidence:
    """A large plane with evidence on four pixels; the image says which ones."""
    levels = np.full((size, size), UNSEEN, np.uint8)
    levels[spot[0] : spot[0] + 2, spot[1] : spot[1] + 2] = CHANGED
    image = (levels == CHANGED).astype(np.float32)[..., None]
    return Evidence("marked", 0, image, (levels == CHANGED).astype(np.uint8), levels)


def drawn(source: EvidenceSource, count: int = 12, seed: int = 0, share: float = 0.0) -> Views:
    rng = np.random.default_rng(seed)
    return draw_views(source, None, count, 32, PLAIN, share, rng)


def test_most_views_show_the_few_pixels_with_evidence() -> None:
    views = drawn(EvidenceSource([marked()]), 40)
    shown = (views.levels == CHANGED).flatten(1).any(dim=1)
    assert shown.float().mean() > 0.6  # by chance it would be 1 in 40


def test_image_class_and_level_stay_together() -> None:
    views = drawn(EvidenceSource([marked()]))
    assert set(views.levels.unique().tolist()) == {UNSEEN, CHANGED}
    assert torch.equal(views.truths, (views.levels == CHANGED).long())
    assert ((views.images[:, 0] > 0.5) == (views.truths == 1)).float().mean() > 0.99


def test_rare_classes_are_drawn_as_often_as_common_ones() -> None:
    plane = corrected(size=200)
    truth = np.zeros_like(plane.truth)
    truth[150:153, 30:33] = 1
    source = EvidenceSource([replace(plane, truth=truth)])
    shown = (drawn(source, 40).truths == 1).flatten(1).any(dim=1)
    assert shown.float().mean() > 0.3


def test_every_image_is_drawn_equally_often() -> None:
    large, small = corrected(0, 128), corrected(1, 32)
    large, small = (replace(p, truth=np.ones_like(p.truth)) for p in (large, small))
    large.image[:] = 5
    source = EvidenceSource([large, large, large, small])
    shown = drawn(source, 200).images.flatten(1).mean(dim=1)
    assert 70 < int((shown > 4).sum()) < 130


def test_objects_are_drawn_as_often_as_background_however_many_images_show_none() -> None:
    planes = [corrected(seed) for seed in range(12)]
    empty = [replace(plane, truth=np.zeros_like(plane.truth)) for plane in planes[1:]]
    one = replace(planes[0], truth=np.zeros_like(planes[0].truth))
    one.truth[20:40, 20:40] = 1
    shown = (drawn(EvidenceSource([*empty, one]), 100).truths > 0).flatten(1).any(dim=1)
    assert 0.4 < shown.float().mean() < 0.65
    none = (drawn(EvidenceSource(empty), 20).truths > 0).any()
    assert not none


def test_the_same_seed_draws_the_same() -> None:
    source = EvidenceSource([corrected()])
    first, second, other = (drawn(source, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)


def test_the_share_of_replayed_views_is_as_wanted_and_they_are_marked() -> None:
    fresh, replay = (EvidenceSource([corrected(seed)]) for seed in (0, 1))
    rng = np.random.default_rng(0)
    views = draw_views(fresh, replay, 100, 16, PLAIN, 0.3, rng)
    assert 20 <= int(views.replay.sum()) <= 40
    assert not drawn(fresh, 5, share=1.0).replay.any()


def test_views_can_be_chosen_and_moved() -> None:
    views = drawn(EvidenceSource([corrected()]), 4)
    two = views.select(torch.tensor([3, 1])).to(CPU)
    assert torch.equal(two.images, views.images[[3, 1]])
    assert torch.equal(two.levels[0], views.levels[3])
    assert two.truths.shape == (2, 32, 32)
    assert two.replay.tolist() == [False, False]


def test_no_held_out_pixel_is_ever_drawn_while_the_evidence_grows() -> None:
    """Held-out pixels are given a value that occurs nowhere else: it must never be seen."""
    secret = 7
    deals: dict[str, Deal] = {}
    rng = np.random.default_rng(0)
    for grown in range(1, 11):
        pieces = []
        for seed in range(3):
            plane = corrected(seed)
            levels = np.where(np.arange(64)[:, None] < 6.4 * grown, REVIEWED, UNSEEN)
            plane = replace(plane, levels=np.broadcast_to(levels, (64, 64)).astype(np.uint8))
            deal = deal_blocks(deals.get(str(seed), Deal((64, 64))), str(seed), [plane])
            deals[str(seed)] = deal
            image, truth = plane.image.copy(), plane.truth.copy()
            image[deal.mask()], truth[deal.mask()] = secret, secret
            pieces += training_pieces(replace(plane, image=image, truth=truth), deal)
        for _ in range(20):
            calm = replace(CALM, free_rotation=0.5, contrast=0, brightness=0, colour=0, gamma=1)
            views = draw_views(EvidenceSource(pieces), None, 2, 32, calm, 0.0, rng)
            assert float(views.images.max()) < 1.5
            assert int(views.truths.max()) < secret
    assert sum(deal.mask().sum() for deal in deals.values()) == 15 * 16 * 16  # five blocks of each
