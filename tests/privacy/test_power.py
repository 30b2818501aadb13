from copy import copy

import numpy as np
import pytest

from synthdata.privacy.canaries import Planted
from synthdata.privacy.power import PowerCurve, PowerTrial
from synthdata.privacy.ratio_tail import LabelShuffles, Matches, replaced

PATIENTS, TRAIN, CASES, ALPHA = 128, 64, 200, 0.01
SHUFFLES = LabelShuffles(np.arange(PATIENTS) < TRAIN, count=999, rng=np.random.default_rng(0))


def matches(ratio: np.ndarray, patient: np.ndarray) -> Matches:
    return Matches(ratio=ratio, patient=patient, case=patient, distance=ratio)


def copies(rng: np.random.Generator, *, count: int = 400, nearest: float = 0.0) -> Planted:
    """Copies of patients of both groups, each nearest to its own patient."""
    source = rng.integers(0, PATIENTS, count)
    ratio = rng.uniform(nearest, nearest + 0.2, count)
    return Planted(kind=np.full(count, "exact"), source=source, matches={"v": matches(ratio, source)})


def trial(
    clean: Matches, *, share: float = 0.05, repeats: int = 100, test: LabelShuffles = SHUFFLES
) -> PowerTrial:
    return PowerTrial(
        test=test, clean={"v": clean}, floors={"v": 0.0}, alpha=ALPHA, shares=(share,), repeats=repeats
    )


def even(rng: np.random.Generator) -> Matches:
    """Cases that lean to nobody."""
    return matches(rng.uniform(0.3, 1, CASES), rng.integers(0, PATIENTS, CASES))


def leaning(rng: np.random.Generator) -> Matches:
    """The same, but its closest cases match training patients, one each: nearly enough to reject by itself."""
    clean = even(rng)
    closest = np.argsort(clean.ratio)[:10]
    return replaced(clean, closest, matches(clean.ratio[closest], np.arange(10)))


def power_as_labelled(clean: Matches, planted: Planted, share: float, rng: np.random.Generator) -> float:
    """What must not be reported: power where the true labels stay as they are."""
    mine, rejected = planted.of_patients(SHUFFLES.in_train), 0
    for _ in range(100):
        index = rng.permutation(CASES)[: round(share * CASES)]
        drawn = mine.matches["v"].take(rng.integers(0, len(mine.source), len(index)))
        rejected += SHUFFLES.test({"v": replaced(clean, index, drawn)}, {"v": 0.0}).p_value < ALPHA
    return rejected / 100


def test_cases_that_lean_to_training_patients_do_not_raise_the_power(rng: np.random.Generator) -> None:
    planted, share = copies(rng), 0.02
    leans = leaning(rng)
    scattered = replaced(leans, np.argsort(leans.ratio)[:10], even(rng).take(np.arange(10)))
    scattered = matches(leans.ratio, scattered.patient)  # as near, to nobody in particular
    power = trial(leans, share=share).run(planted, rng=rng).at(share)
    assert abs(power - trial(scattered, share=share).run(planted, rng=rng).at(share)) < 0.2
    assert power_as_labelled(leans, planted, share, rng) > power + 0.4


def test_power_does_not_know_who_was_trained_on(rng: np.random.Generator) -> None:
    clean, planted = leaning(rng), copies(rng)
    swapped = copy(SHUFFLES)
    swapped.in_train = ~SHUFFLES.in_train
    one = trial(clean).run(planted, rng=np.random.default_rng(5))
    other = trial(clean, test=swapped).run(planted, rng=np.random.default_rng(5))
    assert one == other


def test_without_anything_to_see_power_is_the_level(rng: np.random.Generator) -> None:
    """Copies that match random patients are no copies: what is rejected then is rejected by chance."""
    planted = copies(rng)
    strangers = {"v": matches(planted.matches["v"].ratio, rng.permutation(planted.source))}
    blind = Planted(kind=planted.kind, source=planted.source, matches=strangers)
    assert trial(even(rng), share=0.10).run(blind, rng=rng).at(0.10) <= 0.06


def test_power_grows_with_the_share_of_copies(rng: np.random.Generator) -> None:
    clean, planted = even(rng), copies(rng)
    shares = (0.005, 0.02, 0.05, 0.10)
    powers = [trial(clean, share=share, repeats=40).run(planted, rng=rng).at(share) for share in shares]
    assert powers[0] <= 0.1
    assert powers[0] < powers[2] <= powers[3] == 1.0
    assert powers == sorted(powers)


def test_copies_that_are_seen_worse_give_less_power(rng: np.random.Generator) -> None:
    clean = even(rng)
    near, far = (trial(clean).run(copies(rng, nearest=ratio), rng=rng).at(0.05) for ratio in (0.0, 0.6))
    assert near > far + 0.5


def test_the_same_seed_gives_the_same_power(rng: np.random.Generator) -> None:
    clean, planted = even(rng), copies(rng)
    one, other = (trial(clean, repeats=20).run(planted, rng=np.random.default_rng(7)) for _ in range(2))
    assert one == other


def test_nobody_to_copy_is_no_power(rng: np.random.Generator) -> None:
    nothing = copies(rng).take(np.arange(0))
    assert trial(even(rng), repeats=3).run(nothing, rng=rng).at(0.05) == 0.0


@pytest.mark.parametrize(("power", "share"), [((0.9, 0.1), 1.0), ((0.1, 0.9), 0.2), ((0.9, 0.9), 0.1)])
def test_a_share_is_detectable_where_all_larger_ones_are(power: tuple[float, float], share: float) -> None:
    assert PowerCurve(shares=(0.1, 0.2), power=power, repeats=10).detectable(0.8) == share
