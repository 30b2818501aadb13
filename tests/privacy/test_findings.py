import pytest

from synthdata.privacy.alterations import COUNTED, GATING, REDRAWN
from synthdata.privacy.findings import tail_test
from synthdata.privacy.power import PowerCurve
from synthdata.privacy.ratio_tail import Tail, TailResult
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
