"""Tables for Great Expectations: one row per number of a report, or per test of the privacy gate."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from synthdata.records.estimate import Estimate
from synthdata.records.reports import FidelityReport, PrivacyReport, UtilityReport

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[str, Estimate, float | None, float | None]  # quantity, estimate, natural bounds


def fidelity_table(report: FidelityReport) -> "pd.DataFrame":
    """Every part of every triple, those of subgroups too, and the scores of the families."""
    rows: list[Row] = [
        (f"{found.family}/{found.metric}/{part}", getattr(found, part), None, None)
        for found in report.triples
        for part in ("generated", "floor", "ceiling", "score")
    ]
    rows += [
        (f"{group.name}/{found.family}/{found.metric}/{part}", getattr(found, part), None, None)
        for group in report.subgroups
        for found in group.triples
        for part in ("generated", "floor", "ceiling", "score")
    ]
    rows += [(f"{family}/score", score, None, None) for family, score in report.scores.items()]
    return _table(rows)


def utility_table(report: UtilityReport) -> "pd.DataFrame":
    """Scores of the learner, which lie in 0 to 1, and their ratio."""

    def rows() -> Iterator[Row]:
        yield "ratio", report.ratio, 0.0, None
        yield "trtr", report.trtr, 0.0, 1.0
        yield "tstr", report.tstr, 0.0, 1.0
        for label, (real, fake) in report.per_label.items():
            yield f"trtr/{label}", real, 0.0, 1.0
            yield f"tstr/{label}", fake, 0.0, 1.0

    return _table(rows())


def privacy_table(report: PrivacyReport) -> "pd.DataFrame":
    """Every test with its outcome; a p-value or a power that a test does not have is empty."""
    import pandas as pd

    rows = [(test.name, test.outcome, test.statistic, test.p_value, test.power) for test in report.tests]
    columns = ["test", "outcome", "statistic", "p_value", "power"]
    return pd.DataFrame(rows, columns=columns).astype({"p_value": float, "power": float})


def _table(rows: Iterable[Row]) -> "pd.DataFrame":
    import pandas as pd

    found = [(name, part.value, part.low, part.high, part.n, least, most) for name, part, least, most in rows]
    columns = ["quantity", "value", "low", "high", "n", "least", "most"]
    return pd.DataFrame(found, columns=columns).astype({"least": float, "most": float})
