"""The record with the image as a whole."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from synthdata.validation.joint import Joint, Widths, chance_of, likeness, normal_scores


def combined(seed: int, n: int = 150, *, shuffled: bool = False, moved: float = 0.0) -> Joint:
    """An image whose first direction follows the combination of two columns, and neither of them alone."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["F", "M"], n).astype(object)
    age = rng.normal(size=n)
    sign = np.where(sex == "F", 1, -1) * np.sign(age)
    image = np.column_stack([sign * rng.gamma(3, size=n), rng.normal(size=n)]) + moved
    order = rng.permutation(n) if shuffled else np.arange(n)
    return Joint.of([sex[order], age[order]], image, np.ones(n), {0: ["F", "M"]})


def kept(made: Joint) -> float:
    """How much of the real dependence a set has."""
    train, test = combined(1), combined(2)
    widths = Widths.of(train)
    return likeness(made, test, widths) / likeness(train, test, widths)


def test_a_combination_that_no_pair_shows_is_kept_by_new_cases_and_lost_by_shuffled_records() -> None:
    assert kept(combined(3)) == pytest.approx(1, abs=0.25)
    assert kept(combined(3, shuffled=True)) == pytest.approx(0, abs=0.25)


def test_marginal_laws_have_no_say() -> None:
    assert kept(combined(3, moved=100.0)) == pytest.approx(kept(combined(3)), rel=1e-9)


def test_a_weight_of_two_is_a_case_twice() -> None:
    rng = np.random.default_rng(0)
    columns = [np.array(["a", "b", "b", "a", "c", "b"], object), rng.normal(size=6)]
    image, weights = rng.normal(size=(6, 2)), np.array([1, 2, 1, 2, 2, 1])
    twice = np.repeat(np.arange(6), weights)
    names = {0: ["a", "b", "c"]}
    weighted = Joint.of(columns, image, weights, names)
    repeated = Joint.of([column[twice] for column in columns], image[twice], np.ones(9), names)
    test = combined(2, n=30)
    test = Joint(record=np.pad(test.record, ((0, 0), (0, 1))), image=test.image, weights=test.weights)
    widths = Widths(record=1.0, image=1.0)
    assert likeness(weighted, test, widths) == pytest.approx(likeness(repeated, test, widths), rel=1e-6)


def test_the_p_value_tells_shuffled_records_from_real_ones() -> None:
    train, test = combined(1), combined(2)
    widths = Widths.of(train)
    assert chance_of(train, test, widths, np.random.default_rng(0)) == 0.001
    lost = [
        chance_of(combined(s, shuffled=True), test, widths, np.random.default_rng(s), shuffles=199)
        for s in range(60)
    ]
    assert stats.kstest(lost, "uniform").pvalue > 0.01


def test_likeness_with_itself_is_the_hilbert_schmidt_criterion() -> None:
    """HSIC = trace(K H L H) / n^2, Gretton et al. 2005, equation 9, but for n instead of n - 1."""
    one = combined(1, n=40)
    widths = Widths(record=1.3, image=0.7)
    centring = np.eye(40) - 1 / 40
    k = np.exp(-(cdist(one.record, one.record) ** 2) / (2 * 1.3**2))
    kernel = np.exp(-(cdist(one.image, one.image) ** 2) / (2 * 0.7**2))
    want = np.trace(k @ centring @ kernel @ centring) / 40**2
    assert likeness(one, one, widths) == pytest.approx(want, rel=1e-6)


def test_normal_scores_are_quantiles_of_mid_ranks_and_unknown_numbers_lie_in_the_middle() -> None:
    values = np.array([3.0, 1.0, 2.0, 2.0, np.nan])
    want = stats.norm.ppf(np.array([3.5, 0.5, 2.0, 2.0]) / 4)
    assert normal_scores(values, np.ones(5)) == pytest.approx([*want, 0], rel=1e-6)
    assert normal_scores(np.full(4, 7.0), np.ones(4)).tolist() == [0, 0, 0, 0]
    double = normal_scores(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 1.0]))
    assert double == pytest.approx(normal_scores(np.array([1.0, 1.0, 2.0, 3.0]), np.ones(4))[1:], rel=1e-6)


def test_records_of_which_most_are_equal_have_a_width_and_columns_without_values_say_nothing() -> None:
    rng = np.random.default_rng(0)
    sex = np.array(["F"] * 26 + ["M"] * 74, object)
    image = rng.normal(size=(100, 2))
    one = Joint.of([sex], image, np.ones(100), {0: ["F", "M"]})
    assert Widths.of(one).record == pytest.approx(np.sqrt(2))
    unknown = Joint.of([sex, np.array([None] * 100, object)], image, np.ones(100), {0: ["F", "M"], 1: []})
    assert np.array_equal(unknown.record, one.record)
    equal = Joint.of([np.full(100, np.nan)], image, np.ones(100), {})
    assert Widths.of(equal).record == 0
