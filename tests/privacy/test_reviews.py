import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from synthdata.errors import ConfigError
from synthdata.privacy.membership import auc_with_interval
from synthdata.privacy.reviews import (
    authentic_share,
    cliques,
    density_ratio,
    near_count,
    three_sample_statistic,
    true_positives_at,
)


def draws(rng: np.random.Generator, *counts: int, width: int = 8) -> list[np.ndarray]:
    return [rng.normal(size=(count, width)) for count in counts]


def test_the_near_count_keeps_its_level_for_one_law(rng: np.random.Generator) -> None:
    reviews = [near_count(rng.gamma(5, size=400), rng.gamma(5, size=200)) for _ in range(400)]
    assert np.mean([review.look for review in reviews]) <= 0.025  # nominal 1 %
    assert np.mean([review.value for review in reviews]) == pytest.approx(reviews[0].expected, rel=0.15)


def test_the_near_count_is_the_beta_binomial_tail() -> None:
    control = np.arange(1.0, 201.0)  # the third smallest is 3
    review = near_count(np.r_[np.full(7, 2.5), np.full(93, 50.0)], control)
    draws = np.random.default_rng(0).beta(3, 198, 400_000)
    assert review.value == 7
    assert review.p_value == pytest.approx(float(stats.binom.sf(6, 100, draws).mean()), rel=0.05)


def test_the_near_count_tells_cases_near_all_patients_from_those_near_training_patients(
    rng: np.random.Generator,
) -> None:
    train, control, middle = draws(rng, 200, 200, 200)
    copies = train + rng.normal(0, 0.01, train.shape)
    told = {}
    for name, made in (("middle", middle / 3), ("copies", copies)):
        between = {
            key: cdist(made, real).min(axis=1) for key, real in (("train", train), ("control", control))
        }
        held = cdist(control, train).min(axis=1)
        review = near_count(between["train"], held, to_control=between["control"])
        told[name] = review.value, int(review.explanation.rsplit(" ", 1)[1])
        assert review.look
    assert abs(told["middle"][0] - told["middle"][1]) < 40
    assert told["copies"][0] == 200
    assert told["copies"][1] < 20


def test_half_copies_are_seen_by_all_of_them_and_clean_cases_by_none(rng: np.random.Generator) -> None:
    train, control, made = draws(rng, 200, 200, 200)
    clean = [
        three_sample_statistic(train, made, control, rng=rng),
        authentic_share(train, made, control),
        cliques(made, np.concatenate([train, control])),
    ]
    assert [review.look for review in clean] == [False] * 3
    copies = np.concatenate([made[:100], np.repeat(train[:10], 10, axis=0) + rng.normal(0, 0.01, (100, 8))])
    found = [
        three_sample_statistic(train, copies, control, rng=rng),
        authentic_share(train, copies, control),
        cliques(copies, np.concatenate([train, control])),
    ]
    assert [review.look for review in found] == [True] * 3
    assert found[2].value == 10


def test_authenticity_is_blind_to_copies_of_duplicated_patients_as_the_notes_say(
    rng: np.random.Generator,
) -> None:
    some, control = draws(rng, 50, 100)
    train = np.concatenate([some, some])
    copies = train + rng.normal(0, 0.01, train.shape)
    assert authentic_share(train, copies, control).value == 1


def test_members_are_recognised_by_the_density_ratio_where_the_set_is_made_of_them(
    rng: np.random.Generator,
) -> None:
    train, others, reference, made = draws(rng, 150, 150, 150, 300)
    copies = np.repeat(train, 2, axis=0) + rng.normal(0, 0.1, (300, 8))
    for generated, low, high in ((made, 0.35, 0.65), (copies, 0.85, 1.0)):
        members, strangers = (density_ratio(points, generated, reference) for points in (train, others))
        assert low <= auc_with_interval(members, strangers).value <= high


def test_true_positives_are_counted_above_all_but_one_per_cent_of_the_others() -> None:
    others = np.arange(200.0)  # 198 and 199 may be taken for members, so the threshold is 197
    found = true_positives_at(np.array([197.0, 197.5, 250.0, 0.0]), others)
    assert found.value == 0.5
    assert found.low < 0.5 < found.high


def test_the_area_under_the_curve_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    from sklearn.metrics import roc_auc_score

    members, others = rng.normal(0.5, 1, 80), rng.normal(size=60)
    want = roc_auc_score(np.r_[np.ones(80), np.zeros(60)], np.r_[members, others])
    assert auc_with_interval(members, others).value == pytest.approx(want, rel=1e-6)


def test_too_few_control_patients_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 4"):
        near_count(np.ones(5), np.ones(3))
