from math import comb

import numpy as np
import pytest
from scipy import stats

from synthdata.errors import ConfigError
from synthdata.privacy.ratio_tail import LabelShuffles, Matches

FLOORS = {"v": 0.0}


def matches(ratio: np.ndarray, patient: np.ndarray) -> dict[str, Matches]:
    return {"v": Matches(ratio=ratio, patient=patient, case=patient, distance=ratio)}


def shuffles_of(train: int, control: int, count: int = 1999) -> LabelShuffles:
    labels = np.arange(train + control) < train
    return LabelShuffles(labels, count=count, rng=np.random.default_rng(0))


def test_p_value_of_a_tail_is_the_hypergeometric_one() -> None:
    ratio = np.linspace(0.1, 0.9, 100)
    patient = np.r_[np.arange(10), np.arange(100)[10:]]  # the ten smallest match ten training patients
    result = shuffles_of(50, 50).test(matches(ratio, patient), FLOORS)
    tail = next(tail for tail in result.tails if tail.name == "10%")
    assert (tail.distinct, tail.in_train) == (10, 10)
    assert tail.p_value == pytest.approx(comb(50, 10) / comb(100, 10), rel=1e-10)


def test_a_patient_counts_once_however_often_it_is_matched() -> None:
    result = shuffles_of(50, 50).test(matches(np.linspace(0.1, 0.9, 100), np.zeros(100, int)), FLOORS)
    assert all(tail.distinct == 1 and tail.p_value == pytest.approx(0.5) for tail in result.tails)
    assert result.p_value > 0.3


def test_level_is_kept_when_labels_mean_nothing(rng: np.random.Generator) -> None:
    shuffles = shuffles_of(40, 40, count=999)
    p_values = []
    for _ in range(400):
        views = {name: matches(rng.random(200), rng.integers(0, 80, 200))["v"] for name in "ab"}
        p_values.append(shuffles.test(views, {"a": 0.02, "b": 0.02}).p_value)
    assert np.mean(np.array(p_values) < 0.05) <= stats.binom.ppf(0.999, 400, 0.05) / 400
    assert np.mean(np.array(p_values) < 0.5) > 0.3  # and it is no test that never rejects


def test_min_p_is_never_weaker_than_holm(rng: np.random.Generator) -> None:
    shuffles = shuffles_of(64, 64)
    for _ in range(20):
        ratio = rng.random(200)
        patient = np.where(ratio < 0.06, rng.integers(0, 64, 200), rng.integers(0, 128, 200))
        result = shuffles.test(matches(ratio, patient), FLOORS)
        assert result.p_value <= result.p_holm + 0.02  # Monte Carlo error of the shuffles


def test_too_few_patients_cannot_reach_the_level() -> None:
    result = shuffles_of(5, 5).test(matches(np.linspace(0, 1, 40), np.arange(40) % 5), FLOORS)
    assert result.attainable > 0.01


def test_a_pool_without_control_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected both"):
        LabelShuffles(np.ones(5, bool), rng=np.random.default_rng(0))


def test_a_relabelled_test_has_as_many_training_patients_and_the_same_relabellings(
    rng: np.random.Generator,
) -> None:
    shuffles = shuffles_of(30, 50, count=99)
    other = shuffles.relabelled(rng)
    assert other.in_train.sum() == 30
    assert other.labels is shuffles.labels
    assert not np.array_equal(other.in_train, shuffles.in_train)
    assert shuffles.in_train[:30].all()  # the test of the gate keeps its own
