from dataclasses import replace

import pytest
from scipy import stats

from synthdata.privacy.alterations import COUNTED, GATING, REDRAWN
from synthdata.privacy.copy_search import copy_share
from synthdata.privacy.findings import attack_test, before_filter_test, tail_test
from synthdata.privacy.membership import Attack
from synthdata.privacy.power import PowerCurve
from synthdata.privacy.ratio_tail import Tail, TailResult
from synthdata.records import CopyFilterCounts, Estimate, PrivacyTest
from synthdata.spec import Gates

TAIL = Tail(view="image", name="5%", cases=10, distinct=10, in_train=5, p_value=0.6, attainable=1e-4)
CALM = TailResult(tails=(TAIL,), p_value=0.8, p_holm=1.0, attainable=1e-3)


def curve(power: float) -> PowerCurve:
    return PowerCurve(shares=(0.05,), power=(power,), repeats=100)


def test_the_power_statement_counts_redrawn_copies_beside_all_gating_kinds() -> None:
    assert set(COUNTED) == {*GATING, REDRAWN}


@pytest.mark.parametrize(("counted", "outcome"), [(0.78, "INCONCLUSIVE"), (0.8, "PASS")])
def test_power_against_the_counted_copies_decides_and_not_that_against_easy_ones(
    counted: float, outcome: str
) -> None:
    curves = {"counted": curve(counted), "gating": curve(1.0), REDRAWN: curve(0.03)}
    test = tail_test(CALM, curves, Gates())
    assert (test.outcome, test.power) == (outcome, counted)
    assert "all of them redrawn: 0.03" in test.explanation


def counted(suspects: int, cases: int, *, kept: int = 0) -> CopyFilterCounts:
    return CopyFilterCounts(
        share=1e-4,
        judged=cases,
        removed=suspects,
        draws=suspects,
        kept=kept,
        before=copy_share(suspects, cases),
    )


def attacked(auc: float, p_value: float) -> Attack:
    return Attack(auc=Estimate(value=auc, low=auc - 0.05, high=auc + 0.05, n=60), p_value=p_value)


def before(counts: CopyFilterCounts | None, *, p_value: float = 0.8, auc: float = 0.5) -> PrivacyTest:
    attack = attacked(auc, 0.5 if auc == 0.5 else 1e-3)
    return before_filter_test(counts, Gates(), tail=replace(CALM, p_value=p_value), attack=attack)


@pytest.mark.parametrize(
    ("suspects", "cases", "outcome"),
    [
        (0, 200, "PASS"),
        (1, 200, "PASS"),
        (2, 200, "FAIL"),
        (1, 40, "FAIL"),
        (4, 10_000, "PASS"),
        (9, 10_000, "FAIL"),
    ],
)
def test_the_rate_before_filtering_fails_from_more_suspects_than_chance_allows(
    suspects: int, cases: int, outcome: str
) -> None:
    test = before(counted(suspects, cases))
    assert test.outcome == outcome
    assert test.p_value == pytest.approx(stats.binomtest(suspects, cases, 1e-4, alternative="greater").pvalue)
    assert f"removed by the copy filter: {suspects} of {cases} cases" in test.explanation


def test_the_cases_before_filtering_are_judged_by_the_other_tests_too() -> None:
    assert before(counted(0, 200), p_value=0.002).outcome == "FAIL"
    assert before(counted(0, 200), auc=0.7).outcome == "FAIL"
    assert "1 cases could not be replaced" in before(counted(0, 200, kept=1)).explanation


def test_the_share_that_the_rate_would_have_caught_is_a_binomial_quantile() -> None:
    said = before(counted(0, 200)).explanation
    share = float(said.split("; ")[-1].split("%")[0]) / 100
    assert stats.binom.sf(1, 200, share) == pytest.approx(0.8, abs=0.01)  # two suspects reject


def test_without_a_filter_the_other_tests_have_seen_the_cases_as_drawn() -> None:
    assert before(None, p_value=0.002).outcome == "PASS"


def test_the_attack_on_cases_fails_where_both_its_interval_and_its_exact_p_value_say_so() -> None:
    assert attack_test(attacked(0.7, 1e-3), Gates()).outcome == "FAIL"
    assert attack_test(attacked(0.7, 0.02), Gates()).outcome == "INCONCLUSIVE"
    assert attack_test(attacked(0.5, 1e-3), Gates()).outcome == "PASS"
