import numpy as np
import pytest

from synthdata.errors import ConfigError
from synthdata.validation.resampling import Scored, estimate, measure_triple, plan_resamples

ROLES = ("generated", "train", "degraded", "test")


def patients(n: int) -> dict[str, list[str]]:
    return {role: [f"{role}-{i}" for i in range(n)] for role in ROLES}


def test_all_groups_give_equally_many_cases_and_no_case_twice() -> None:
    sizes = dict(zip(ROLES, (90, 40, 40, 30), strict=True))
    plan = plan_resamples({role: [str(i) for i in range(n)] for role, n in sizes.items()}, resamples=20)
    for draw in plan.draws:
        assert {len(rows) for rows in draw.values()} == {24}
        assert all(len(set(rows)) == 24 for rows in draw.values())


def test_cases_of_one_patient_are_drawn_together() -> None:
    doubled = {role: [str(i // 2) for i in range(40)] for role in ROLES}
    draw = plan_resamples(doubled, resamples=1).draws[0]["test"]
    assert len({row // 2 for row in draw}) == 16


def test_intervals_cover_the_mean_of_a_law_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = rng.normal(size=40)
        plan = plan_resamples(patients(40), seed=seed)
        found = estimate(np.array([values[draw["test"]].mean() for draw in plan.draws]), plan)
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_a_metric_which_cannot_tell_degraded_cases_is_left_out_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    plan = plan_resamples(patients(30))
    blind = measure_triple(
        "blind", "family", lambda role, draw: float(rng.normal()), plan, lower_is_better=True
    )
    assert isinstance(blind, str)
    assert "not reliably worse" in blind
    broken = measure_triple("broken", "family", lambda role, draw: float("nan"), plan, lower_is_better=True)
    assert isinstance(broken, str)
    assert "no finite value" in broken


@pytest.mark.parametrize(("better", "sign"), [(True, 1), (False, -1)])
def test_scores_are_zero_at_the_floor_and_one_at_the_ceiling_in_either_direction(
    better: bool, sign: int
) -> None:
    plan = plan_resamples(patients(30))
    levels = {"train": 2.0, "degraded": 2.0 + sign * 4, "generated": 2.0 + sign * 1}
    found = measure_triple("level", "family", lambda role, draw: levels[role], plan, lower_is_better=better)
    assert isinstance(found, Scored)
    assert found.triple.score.value == pytest.approx(0.25)


def test_fewer_than_twelve_cases_are_refused() -> None:
    with pytest.raises(ConfigError, match="has 11 cases"):
        plan_resamples(patients(11))
