"""What the tests of a privacy report look at, gathered once: real, generated and planted cases, and their matches."""

from dataclasses import dataclass

import numpy as np

from synthdata.privacy.canaries import Planted, plant
from synthdata.privacy.cohort import Embedded, Pool, pool_of, thumbnailer_of
from synthdata.privacy.copy_filter import Drawn, Released, as_drawn, filter_report_of
from synthdata.privacy.copy_search import COPY_RATE, CopyThreshold, harmless_ratios, thresholds_of
from synthdata.privacy.parts import Parts, search_parts
from synthdata.privacy.ratio_tail import Matches, floors_of
from synthdata.progress import Progress
from synthdata.records import CaseSet, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore

STEPS = 8  # of the whole report


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """All that the tests look at."""

    pool: Pool
    real: Embedded
    synthetic: Embedded
    case_ids: tuple[str, ...]
    planted: Planted
    real_matches: dict[str, Matches]  # of real cases, each without its own patient
    matches: dict[str, Matches]  # of generated cases in train and control
    rate: float  # of wrongly suspected releases that a search may have
    thresholds: dict[str, CopyThreshold]
    parts: Parts | None  # of training patients, in generated cases
    drawn: Drawn | None  # the same before the copy filter; None where none was used

    @property
    def floors(self) -> dict[str, float]:
        """Least ratio of a real case per view."""
        return floors_of(self.real_matches)

    def named(self, flags: np.ndarray) -> tuple[str, ...]:
        """Ids of flagged cases, sorted."""
        return tuple(sorted(name for name, flag in zip(self.case_ids, flags, strict=True) if flag))


def gather(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> Evidence:
    """Read, embed, plant and search; arguments as for `measure_privacy`."""
    progress(0, STEPS, "reading train and control")
    pool, real = pool_of(training_set, private)
    progress(1, STEPS, "reading generated cases")
    thumbnails = thumbnailer_of(training_set).stored(read_cases(private, synthetic))
    generated = Embedded.of(pool, thumbnails)
    progress(2, STEPS, "making altered copies")
    planted = plant(training_set, private, pool, rng=rng)
    progress(3, STEPS, "searching nearest patients")
    real_matches, matches = real.matches(pool, own=pool.patient), generated.matches(pool)
    rate = COPY_RATE * spec.gates.privacy_alpha
    thresholds = thresholds_of(
        harmless_ratios(real_matches, matches, pool.in_train),
        units=pool.patients,
        cases=synthetic.cases,
        rate=rate,
    )
    parts = search_parts(training_set, synthetic, private, pool, thumbnails, rate=rate)
    report = filter_report_of(synthetic, private)
    drawn = None
    if report is not None:
        released = Released(
            pool=pool, real=real_matches, embedded=generated, matches=matches, case_ids=thumbnails.case_id
        )
        drawn = as_drawn(report, training_set, private, released)
    return Evidence(
        pool=pool,
        real=real,
        synthetic=generated,
        case_ids=thumbnails.case_id,
        planted=planted,
        real_matches=real_matches,
        matches=matches,
        rate=rate,
        thresholds=thresholds,
        parts=parts,
        drawn=drawn,
    )
