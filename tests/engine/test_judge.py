"""The judge: same pixels for both, an interval, and a verdict in words."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rwkvseg.engine.judge import Verdict, judge


def counts(*blocks: tuple[int, int, int]) -> np.ndarray:
    """One class: right, found and wanted pixels of each block."""
    return np.array(blocks, float)[:, None, :]


def verdict(old: np.ndarray, new: np.ndarray, replay: list[bool] | None = None) -> Verdict:
    again = replay or [False] * len(old)
    images = ["known" if known else "new" for known in again]
    return compare(old, new, again, images)


def compare(
    old: np.ndarray,
    new: np.ndarray,
    replay: list[bool] | None = None,
    images: list[str] | None = None,
    names: tuple[str, ...] = ("disc",),
    look: int = 1,
) -> Verdict:
    """Judge blocks that are not divided into parts, (blocks, K, 3)."""
    n = len(old)
    return judge(
        old[:, None], new[:, None], np.full((n, 1), 100), replay or [False] * n,
        images or ["new"] * n, names, look=look,
    )  # fmt: skip


HALF = counts(*[(50, 100, 100)] * 4)
GOOD = counts(*[(90, 100, 100)] * 4)


def test_a_gain_in_every_block_is_better_and_the_same_loss_is_worse() -> None:
    better, worse = verdict(HALF, GOOD), verdict(GOOD, HALF)
    assert (better.answer, worse.answer) == ("better", "worse")
    assert better.fresh.gain == pytest.approx(0.4)
    assert (better.fresh.low, better.fresh.high) == pytest.approx((0.4, 0.4))
    assert better.fresh.classes[0].old.iou == pytest.approx(50 / 150)
    assert better.reason == (
        "Dice 0.500 before, 0.900 after on 4 held-out blocks "
        "(+0.400, 90 % interval +0.400 to +0.400)."
    )


def test_the_same_model_is_not_better() -> None:
    assert verdict(HALF, HALF).answer == "cannot tell"


def test_a_gain_that_hangs_on_one_block_is_not_proven() -> None:
    one = counts((100, 100, 100), *[(49, 100, 100)] * 3)
    found = verdict(HALF, one)
    assert found.fresh.gain > 0.1
    assert found.fresh.low < 0
    assert found.answer == "cannot tell"


def test_a_fall_that_may_be_chance_is_not_proven_either() -> None:
    mixed = counts((100, 100, 100), (20, 100, 100), (20, 100, 100), (40, 100, 100))
    found = verdict(HALF, mixed)
    assert found.fresh.gain < -0.04
    assert found.fresh.high > 0
    assert found.answer == "cannot tell"


def test_one_block_is_too_few_to_tell_however_its_quarters_agree() -> None:
    found = judge(*divided(HALF[:1], GOOD[:1]), [False], ["new"], ["disc"])
    assert found.answer == "cannot tell"
    assert found.reason.startswith("Too few held-out blocks to tell: 1 of at least 2")
    assert (found.fresh.low, found.fresh.high) == (-1, 1)


def divided(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both models on blocks of four quarters of a quarter of the pixels each, and the pixels."""
    parts = [np.repeat(counts[:, None] / 4, 4, axis=1) for counts in (old, new)]
    return (*parts, np.full((len(old), 4), 25))  # type: ignore[return-value]


def test_quarters_of_two_blocks_tell_more_than_the_blocks_but_less_than_eight_blocks() -> None:
    mixed = counts((90, 100, 100), (70, 100, 100), (80, 100, 100), (90, 100, 100))
    eight_old, eight_new = np.tile(HALF, (2, 1, 1)), np.tile(mixed, (2, 1, 1))
    pixels = np.full((2, 4), 100)
    quarters = judge(
        eight_old.reshape(2, 4, 1, 3), eight_new.reshape(2, 4, 1, 3), pixels, [False] * 2,
        ["new"] * 2, ["disc"],
    )  # fmt: skip
    whole, blocks = compare(eight_old, eight_new), compare(HALF[:2], mixed[:2])
    assert quarters.fresh.n == 2
    assert quarters.fresh.gain == pytest.approx(whole.fresh.gain)
    width, least, most = (v.fresh.high - v.fresh.gain for v in (quarters, whole, blocks))
    assert least < width < most
    # eight quarters that correlate by 0.4 are as 8 / 2.2 blocks: t of 2.64 degrees of freedom
    assert width / least == pytest.approx(2.492 / 1.895 * np.sqrt(2.2), rel=1e-3)
    assert quarters.answer == "better"


def test_quarters_that_nobody_saw_do_not_count() -> None:
    old, new, pixels = divided(HALF, counts((90, 100, 100), *[(80, 100, 100)] * 3))
    old[:, 1:], new[:, 1:], pixels[:, 1:] = 0, 0, 0
    found = judge(old, new, pixels, [False] * 4, ["new"] * 4, ["disc"])
    whole = compare(old.sum(axis=1), new.sum(axis=1))
    assert (found.fresh.low, found.fresh.high) == (whole.fresh.low, whole.fresh.high)
    assert found.fresh.pixels == 100


def test_with_few_new_blocks_those_learnt_before_decide_along() -> None:
    again = [False] + [True] * 4
    old, new = np.concatenate([HALF[:1], HALF]), np.concatenate([GOOD[:1], GOOD])
    better = verdict(old, new, again)
    assert (better.answer, better.fresh.n) == ("better", 1)
    assert "on 5 held-out blocks, those learnt before among them (+0.400" in better.reason
    same = verdict(old, np.concatenate([GOOD[:1], HALF]), again)
    assert same.answer == "cannot tell"  # four blocks of five gain nothing


def test_the_interval_of_few_blocks_is_wider_than_that_of_many() -> None:
    """Plain percentiles of the draws would already call three gains of four better."""
    one_worse = counts(*[(90, 100, 100)] * 3, (10, 100, 100))
    few, many = (
        verdict(HALF, one_worse),
        verdict(np.tile(HALF, (5, 1, 1)), np.tile(one_worse, (5, 1, 1))),
    )
    error = np.std([0.4, 0.4, 0.4, -0.4]) / 2  # of the mean of four blocks drawn from these
    half = 2.353 * error * np.sqrt(4 / 3)  # Student's t of three degrees of freedom
    assert few.fresh.high - few.fresh.gain == pytest.approx(half, rel=0.03)
    assert few.fresh.low < 0 < 0.05 < many.fresh.low
    assert (few.answer, many.answer) == ("cannot tell", "better")
    assert (verdict(HALF[:1], GOOD[:1]).fresh.low, verdict(HALF[:1], GOOD[:1]).fresh.high) == (
        -1,
        1,
    )


def test_every_further_look_widens_the_interval() -> None:
    mixed = counts((80, 100, 100), (60, 100, 100), (90, 100, 100), (70, 100, 100))
    first, third = (compare(HALF, mixed, look=look).fresh for look in (1, 3))
    assert first.gain == third.gain
    # Student's t of three degrees of freedom: 90 %, and 1 - 0.1 / 3
    assert (third.high - third.gain) / (first.high - first.gain) == pytest.approx(
        3.740 / 2.353, rel=1e-3
    )


def test_a_large_image_does_not_hide_that_a_small_one_is_lost() -> None:
    small, large = counts(*[(9, 10, 10)] * 4), counts(*[(9000, 10000, 10000)] * 4)
    old = np.concatenate([HALF, small, large])
    new = np.concatenate([GOOD, counts(*[(5, 10, 10)] * 4), counts(*[(9010, 10000, 10000)] * 4)])
    again = [False] * 4 + [True] * 8
    found = compare(old, new, again, ["new"] * 4 + ["s"] * 4 + ["l"] * 4)
    assert found.replay is not None
    assert found.replay.gain > 0  # of all pixels together
    assert found.replay.image_gain == pytest.approx((-0.4 + 0.001) / 2)
    assert found.replay.image_fall == pytest.approx(0.4 / 2)  # gains do not pay for falls
    assert (found.answer, found.forgets) == ("worse", True)
    assert found.reason.startswith("Dice on images learnt before fell, by 0.200 in the mean of all")


def test_a_small_gain_is_not_worth_small_losses_in_many_images() -> None:
    old = np.concatenate([HALF, *[counts((900, 1000, 1000))] * 8])
    new = np.concatenate([counts(*[(51, 100, 100)] * 4), *[counts((898, 1000, 1000))] * 8])
    images = ["new"] * 4 + [str(number) for number in range(8)]
    found = compare(old, new, [False] * 4 + [True] * 8, images)
    assert found.fresh.low > 0
    assert not found.forgets
    assert found.answer == "cannot tell"
    assert found.reason.startswith("Dice per image did not rise in the mean of all 9;")


def test_what_was_learnt_before_must_not_be_lost() -> None:
    old = np.concatenate([HALF, GOOD])
    new = np.concatenate([GOOD, counts(*[(89, 100, 100)] * 4)])
    found = verdict(old, new, [False] * 4 + [True] * 4)
    assert found.answer == "worse"
    assert found.reason.startswith("Dice on corrections learnt before fell from 0.900 to 0.890;")
    assert found.replay is not None
    assert (found.fresh.n, found.replay.n) == (4, 4)
    assert found.forgets
    slightly = np.concatenate([GOOD, counts(*[(8980, 10000, 10000)] * 4)])
    old = np.concatenate([HALF, counts(*[(9000, 10000, 10000)] * 4)])
    assert verdict(old, slightly, [False] * 4 + [True] * 4).answer == "better"


def test_if_all_was_learnt_before_that_decides() -> None:
    found = verdict(HALF, GOOD, [True] * 4)
    assert (found.answer, found.replay) == ("better", None)


def test_classes_weigh_alike() -> None:
    old = np.tile([[[50.0, 100, 100], [80, 100, 100]]], (4, 1, 1))
    new = np.tile([[[90.0, 100, 100], [20, 100, 100]]], (4, 1, 1))
    found = compare(old, new, names=("disc", "ring"))
    assert [score.gain for score in found.fresh.classes] == pytest.approx([0.4, -0.6])
    assert found.fresh.old_dice == pytest.approx(0.65)
    assert found.answer == "worse"


def test_a_class_that_does_not_occur_is_listed_but_does_not_count() -> None:
    old = np.tile([[[50.0, 100, 100], [0, 0, 0]]], (4, 1, 1))
    new = np.tile([[[90.0, 100, 100], [0, 10, 0]]], (4, 1, 1))
    found = compare(old, new, names=("disc", "ring"))
    assert [score.gain for score in found.fresh.classes] == pytest.approx([0.4, -1])
    assert (found.fresh.old_dice, found.fresh.new_dice) == pytest.approx((0.5, 0.9))
    assert found.answer == "better"


def test_finding_nothing_where_there_is_nothing_proves_nothing() -> None:
    empty, found_some = counts(*[(0, 0, 0)] * 4), counts(*[(0, 50, 0)] * 4)
    found = verdict(found_some, empty)
    assert found.answer == "cannot tell"
    assert found.reason.startswith("Too few held-out blocks show a class: 0 of at least 2;")
    one = verdict(np.concatenate([HALF[:1], empty]), np.concatenate([GOOD[:1], empty]))
    assert (one.answer, one.fresh.shown, one.fresh.n) == ("cannot tell", 1, 5)
    before = np.concatenate([HALF, empty])
    after = np.concatenate([GOOD, found_some])
    assert verdict(before, after, [False] * 4 + [True] * 4).answer == "better"


def test_the_interval_repeats() -> None:
    mixed = counts((100, 100, 100), (49, 100, 100), (60, 100, 100), (70, 100, 100))
    assert verdict(HALF, mixed) == verdict(HALF, mixed)


def test_nothing_held_out_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is held out"):
        compare(np.zeros((0, 1, 3)), np.zeros((0, 1, 3)))


# held out: an image with a lesion in two of its blocks, and two healthy images, two blocks each
LESION, HEALTHY = counts((2, 90, 20), (0, 90, 30)), counts(*[(0, 90, 0)] * 4)
SILENT = counts(*[(0, 0, 0)] * 4)
WHERE = ["lesion"] * 2 + ["one"] * 2 + ["two"] * 2


def healthy(old: np.ndarray, new: np.ndarray, alarms: np.ndarray = SILENT) -> Verdict:
    """Judge what is made of the lesion, where the old model sees some in healthy tissue too."""
    return compare(
        np.concatenate([old, HEALTHY]), np.concatenate([new, alarms]), images=WHERE
    )  # fmt: skip


def test_false_alarms_that_are_gone_are_a_gain_where_images_show_nothing() -> None:
    found = healthy(LESION, counts((0, 0, 20), (0, 0, 30)))
    assert found.answer == "better"
    before = 4 / 230
    assert (found.fresh.empty, found.fresh.images, found.fresh.shown) == (2, 1, 2)
    assert found.fresh.old_dice == pytest.approx(before / 3)
    assert found.fresh.new_dice == pytest.approx(2 / 3)
    assert found.fresh.image_gain == pytest.approx(-before)
    score = found.fresh.classes[0]
    assert (score.old.dice, score.new.dice) == (found.fresh.old_dice, found.fresh.new_dice)
    assert (score.old.iou, score.new.iou) == pytest.approx((before / (2 - before) / 3, 2 / 3))
    assert found.reason.startswith(
        "Dice per image 0.006 before, 0.667 after on 6 held-out blocks of 3 images, 2 without "
        "objects (+0.661, 90 % interval +0."
    )


def test_silence_is_no_gain_if_objects_were_found_before() -> None:
    known = counts((10, 20, 20), (12, 30, 30))
    found = healthy(known, counts((0, 0, 20), (0, 0, 30)))
    assert found.fresh.gain > 0.5
    assert found.answer == "cannot tell"
    assert found.reason.startswith("Dice per image with objects fell in the mean of all 1;")
    assert healthy(known, known).answer == "better"


def test_new_false_alarms_are_worse_though_the_lesion_is_found() -> None:
    silent = np.concatenate([counts((0, 0, 20), (0, 0, 30)), SILENT])
    alarmed = np.concatenate([counts((18, 20, 20), (27, 30, 30)), HEALTHY])
    found = compare(silent, alarmed, images=WHERE)
    assert found.fresh.gain == pytest.approx((0.9 - 2) / 3)
    assert found.answer == "worse"


def test_the_interval_per_image_draws_within_each_image() -> None:
    """A lesion that is found in one block of two makes all of the uncertainty."""
    found = healthy(counts((0, 10, 20), (0, 10, 20)), counts((20, 20, 20), (0, 0, 20))).fresh
    # of two blocks drawn: twice the first (1 time in 4), one of each (2 in 4), twice the second
    draws = np.array([1, 2 / 3, 2 / 3, 0])
    t = 2.015  # of five degrees of freedom, 90 %
    half = t * draws.std() / 3 * np.sqrt(6 / 5)
    assert found.high - found.gain == pytest.approx(half, rel=0.03)
    assert found.gain == pytest.approx((2 / 3 + 2) / 3)


def test_the_interval_does_not_depend_on_how_images_are_called() -> None:
    old = np.concatenate([counts((5, 10, 20), (9, 10, 20)), HEALTHY])
    new = np.concatenate([counts((20, 20, 20), (0, 0, 20)), counts((0, 9, 0)), HEALTHY[:3]])
    names = {"lesion": "c", "one": "a", "two": "b"}
    renamed = compare(old, new, images=[names[image] for image in WHERE])
    assert renamed == compare(old, new, images=WHERE)


def test_what_was_learnt_before_is_compared_in_all_pixels_together() -> None:
    """One false alarm in a healthy image that was known is no reason to forget a lesson."""
    dab = counts((0, 1, 0))
    old = np.concatenate([HALF, *[GOOD] * 3, SILENT[:1]])
    new = np.concatenate([GOOD, *[GOOD] * 3, dab])
    images = ["new"] * 4 + [name for name in "abc" for _ in range(4)] + ["healthy"]
    found = compare(old, new, [False] * 4 + [True] * 13, images)
    assert found.replay is not None
    assert found.replay.empty == 0
    assert found.replay.gain == pytest.approx(2 * 1080 / 2401 - 0.9)
    assert found.answer == "better"


@pytest.mark.parametrize(("images", "answer"), [(1, "better"), (2, "better"), (3, "worse")])
def test_a_small_fall_in_one_or_two_known_images_may_be_chance(images: int, answer: str) -> None:
    """Two points in the mean, up in some blocks and down in others."""
    falls = counts((95, 100, 100), (81, 100, 100), (95, 100, 100), (81, 100, 100))
    old, new = np.concatenate([HALF, *[GOOD] * images]), np.concatenate([GOOD, *[falls] * images])
    known = [str(number) for number in range(images) for _ in range(4)]
    found = compare(old, new, [False] * 4 + [True] * len(known), ["new"] * 4 + known)
    assert found.replay is not None
    assert found.replay.gain == pytest.approx(-0.02)
    assert found.answer == answer


def test_a_large_fall_in_one_known_image_is_a_loss_though_it_may_be_chance() -> None:
    falls = counts((100, 100, 100), (70, 100, 100), (95, 100, 100), (79, 100, 100))
    found = verdict(
        np.concatenate([HALF, GOOD]), np.concatenate([GOOD, falls]), [False] * 4 + [True] * 4
    )
    assert found.replay is not None
    assert found.replay.gain == pytest.approx(-0.04)
    assert found.replay.high > 0
    assert (found.answer, found.forgets) == ("worse", True)


def two(disc: tuple[int, int], ring: tuple[int, int], blocks: int = 4) -> np.ndarray:
    """Two classes in some blocks: right and found pixels of each, of 1000 wanted."""
    return np.tile([[[*map(float, one), 1000.0] for one in (disc, ring)]], (blocks, 1, 1))


NAMES = ("disc", "ring")
# at 0.9 and 0.6 of Dice, and at 0.8 and 0.75: better in the mean
BEFORE, TRADED = two((900, 1000), (600, 1000)), two((800, 1000), (750, 1000))


def test_a_class_that_falls_is_not_paid_for_by_another() -> None:
    found = compare(BEFORE, TRADED, names=NAMES)
    assert found.fresh.low > 0
    assert found.answer == "worse"
    assert found.reason.startswith("Dice of disc fell from 0.900 to 0.800; Dice 0.750 before, 0.7")


def test_a_class_that_is_new_does_not_pay_for_one_that_falls_but_counts() -> None:
    unknown = two((900, 1000), (0, 0))
    lost = compare(unknown, two((500, 1000), (500, 1000)), names=NAMES)
    assert lost.fresh.gain == pytest.approx(0.05)
    assert lost.answer == "worse"
    assert compare(unknown, two((900, 1000), (500, 1000)), names=NAMES).answer == "better"


def test_a_fall_that_may_be_chance_or_is_tiny_does_not_decide() -> None:
    mixed = np.concatenate([two((right, 1000), (900, 1000), 1) for right in (950, 700, 940, 870)])
    found = compare(BEFORE, mixed, names=NAMES)
    assert found.fresh.classes[0].gain < -0.03
    assert found.answer == "better"
    assert compare(BEFORE, two((897, 1000), (750, 1000)), names=NAMES).answer == "better"


def test_a_class_in_a_single_block_says_nothing_about_others() -> None:
    def judged(showing: int) -> Verdict:
        old, new = two((900, 1000), (600, 1000), 8), two((800, 1000), (750, 1000), 8)
        old[showing:, 0] = new[showing:, 0] = 0
        return judge(*divided(old, new), [False] * 8, ["new"] * 8, NAMES)

    one, all_of_them = judged(1), judged(8)
    assert one.fresh.classes[0].high < 0
    assert (one.fresh.fallen, all_of_them.answer) == ((), "worse")


def test_of_several_classes_each_has_a_part_of_the_chance_to_err() -> None:
    mixed = counts((80, 100, 100), (60, 100, 100), (90, 100, 100), (70, 100, 100))
    one = compare(HALF, mixed).fresh
    both = compare(HALF.repeat(2, axis=1), mixed.repeat(2, axis=1), names=NAMES).fresh
    assert (both.low, both.high) == pytest.approx((one.low, one.high))
    assert (one.classes[0].low, one.classes[0].high) == (one.low, one.high)
    # Student's t of three degrees of freedom: 90 %, and 95 %
    width = (both.classes[0].high - both.gain) / (one.high - one.gain)
    assert width == pytest.approx(3.182 / 2.353, rel=1e-3)


@pytest.mark.parametrize("images", [1, 4])
def test_a_class_that_was_learnt_before_is_not_lost_for_another(images: int) -> None:
    old = np.concatenate([two((500, 1000), (500, 1000)), *[BEFORE] * images])
    new = np.concatenate([two((900, 1000), (900, 1000)), *[TRADED] * images])
    known = [str(number) for number in range(images) for _ in range(4)]
    found = compare(old, new, [False] * 4 + [True] * len(known), ["new"] * 4 + known, NAMES)
    assert found.replay is not None
    assert found.replay.gain > 0
    assert (found.answer, found.forgets) == ("worse", True)
    assert found.reason.startswith(
        "Dice of disc fell from 0.900 to 0.800 on corrections learnt before; Dice 0.500 before"
    )


def test_a_mean_that_falls_stays_worse_though_no_class_falls_for_sure() -> None:
    """Both classes lose in turns: neither fall is proven, but that of their mean."""
    swing = [two((right, 1000), (1500 - right, 1000), 1) for right in (400, 1000, 500, 900)]
    old = two((800, 1000), (800, 1000))
    found = compare(old, np.concatenate(swing), names=NAMES)
    assert not found.fresh.fallen
    assert found.answer == "worse"
    gone = compare(old, two((400, 1000), (300, 1000)), names=NAMES)
    assert (len(gone.fresh.fallen), gone.answer) == (2, "worse")


def test_false_alarms_of_a_new_class_in_empty_images_are_weighed_in_the_mean() -> None:
    known, silent = two((900, 1000), (0, 0), 2), np.zeros((4, 2, 3))
    old = np.concatenate([two((300, 1000), (0, 0), 2), silent])
    alarmed = silent.copy()
    alarmed[:2, 1, 1] = 5
    found = compare(old, np.concatenate([known, alarmed]), images=WHERE, names=NAMES)
    assert found.fresh.classes[1].gain < 0
    assert not found.fresh.fallen
