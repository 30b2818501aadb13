"""The copy filter: a drawn case that lies nearer to one training patient than different patients lie is drawn again.

The limits are those of the copy search at the share of the plan: real cases of train and control, each without its own
patient, say how small d1 / d2 becomes where nobody was copied. Generated cases have no part in them. So whether a case
is removed follows from that case and the training set alone, in whatever order and by whichever engine it is drawn.

What the filter removes, the gate sees: `before_filter` in `findings` judges the cases as they were drawn first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError, GateError
from synthdata.privacy.cohort import Embedded, Pool, pool_of, thumbnailer_of
from synthdata.privacy.copy_search import COPY_RATE, CopyThreshold, suspected, thresholds_at
from synthdata.privacy.ratio_tail import Matches, replaced
from synthdata.privacy.thumbnails import Thumbnailer
from synthdata.records import Case, CaseSet, CopyFilterReport, TrainingSet, digest_of, from_json
from synthdata.records.parquet import read_cases
from synthdata.spec import Gates
from synthdata.storage import ObjectStore, keys, read_verified


def removal_share(gates: Gates, cases: int) -> float:
    """Share of cases of nobody that the filter of a plan may remove; what the gate's copy search finds, it finds."""
    return max(gates.copy_share, COPY_RATE * gates.privacy_alpha / cases) if gates.copy_share else 0.0


def filter_limits(pool: Pool, real: Mapping[str, Matches], share: float) -> dict[str, CopyThreshold]:
    """Limits per view; real are the matches of real cases, each without its own patient."""
    ratios = {view: found.ratio for view, found in real.items()}
    return thresholds_at(ratios, units=pool.patients, share=share)


class CopyFilter:
    """Holds the views and the real patients, and judges cases in batches."""

    def __init__(self, pool: Pool, thumbnailer: Thumbnailer, limits: dict[str, CopyThreshold]) -> None:
        self.pool, self.thumbnailer, self.limits = pool, thumbnailer, limits

    @classmethod
    def of(cls, training_set: TrainingSet, private: ObjectStore, *, share: float) -> "CopyFilter":
        """Fit the views and the limits on train and control.

        Raises:
            ConfigError: There are too few patients to say what is near.
        """
        try:
            pool, real = pool_of(training_set, private, parts=False)
            limits = filter_limits(pool, real.matches(pool, own=pool.patient), share)
        except ConfigError as error:
            raise ConfigError(
                f"the copy filter cannot be made: {error}; gates.copy_share 0 draws without it"
            ) from None
        return cls(pool, thumbnailer_of(training_set), limits)

    def suspects(self, cases: Sequence[Case]) -> np.ndarray:
        """Which encoded, watermarked cases lie too near to a training patient, bool (m,)."""
        matches = Embedded.of(self.pool, self.thumbnailer.of_cases(cases)).matches(self.pool)
        return suspected(matches, self.limits, self.pool.in_train)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Released:
    """Cases as they shall be released, in the views of the real patients."""

    pool: Pool
    real: Mapping[str, Matches]  # of real cases, each without its own patient
    embedded: Embedded
    matches: dict[str, Matches]
    case_ids: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawn:
    """Cases as they were drawn first, and what the filter makes of them; counted anew."""

    report: CopyFilterReport
    embedded: Embedded
    matches: dict[str, Matches]
    suspects: int  # among the first draws
    kept: int  # suspects among the released cases


def filter_report_of(synthetic: CaseSet, private: ObjectStore) -> CopyFilterReport | None:
    """The report of the filter that a CaseSet went through; None where it went through none.

    Raises:
        MissingObjectError: The CaseSet names a report that the store does not hold.
        GateError: The report is about another plan.
    """
    if len(synthetic.parents) < 2:
        return None
    plan, digest = synthetic.parents[:2]
    report = from_json(
        CopyFilterReport, read_verified(private, keys.record(CopyFilterReport.__name__, digest), digest)
    )
    if report.plan != plan or report.judged != synthetic.cases:
        raise GateError(
            "the copy filter's report is about another plan than the cases: generate the set again"
        )
    return report


def as_drawn(
    report: CopyFilterReport, training_set: TrainingSet, private: ObjectStore, released: Released
) -> Drawn:
    """Put the removed first draws, of the private store, back into their places; count suspects before and after.

    Raises:
        GateError: The filter looked at another training set, or removed a case that is not among the released ones.
    """
    if report.training_set != digest_of(training_set):
        raise GateError(
            "the copy filter looked at another training set than this one: generate the set again"
        )
    pool, embedded, matches = released.pool, released.embedded, released.matches
    limits = filter_limits(pool, released.real, report.share)
    kept = int(suspected(matches, limits, pool.in_train).sum())
    if report.removed.shards:
        thumbnails = thumbnailer_of(training_set).of_cases(read_cases(private, report.removed))
        row_of = {name: row for row, name in enumerate(released.case_ids)}
        if unknown := sum(name not in row_of for name in thumbnails.case_id):
            raise GateError(
                f"{unknown} cases that the copy filter removed have no successor: generate the set again"
            )
        rows = np.array([row_of[name] for name in thumbnails.case_id])
        removed = Embedded.of(pool, thumbnails)
        found = removed.matches(pool)
        matches = {view: replaced(values, rows, found[view]) for view, values in matches.items()}
        embedded = embedded.with_rows(rows, removed)
    suspects = int(suspected(matches, limits, pool.in_train).sum())
    return Drawn(report=report, embedded=embedded, matches=matches, suspects=suspects, kept=kept)
