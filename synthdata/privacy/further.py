"""Further views, in which a copy shows that the three main ones dilute: with the record, within a condition, in parts.

`joint` puts image, mask and record beside each other, so that a patient whose record came along lies nearer still.
`condition` looks among patients of the same condition alone, so that a rare class is not drowned by frequent ones: of
its few patients each is matched often, and the second nearest is one of them. `record` looks at the record alone, so
that a row of the table that belongs to one patient is seen whatever the image beside it. `patch` is the search of boxes
(`patches`). All treat train and control alike, so the ratio-tail test over them is exact; it has a level of its own,
which leaves the primary test its power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.privacy.cohort import Embedded, Pool, duplicate_clusters
from synthdata.privacy.copy_search import harmless_ratios, suspected, thresholds_of
from synthdata.privacy.neighbours import nearest_patients
from synthdata.privacy.ratio_tail import LabelShuffles, Matches, TailResult, floors_of, matches_of
from synthdata.records import CaseSet, ColumnSpec, TrainingSet
from synthdata.records.case import Value
from synthdata.records.parquet import read_records
from synthdata.storage import ObjectStore

JOINT, CONDITION, RECORD = "joint", "condition", "record"
FEWEST = 6  # patients of a condition, duplicates counted once; fewer are searched among all
SINGLED_OUT = (
    0.5  # of the patients: where fewer have a record that nobody else has, records alone name nobody
)
NUMBERS = ("number", "integer")
Rows = Sequence[Mapping[str, Value]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Described:
    """What is searched: cases in the main views, as they lie, with their records."""

    vectors: Mapping[str, np.ndarray]  # view to float64 (n, k)
    records: np.ndarray  # float64 (n, q)
    condition: np.ndarray  # str (n,), equal for cases of the same condition

    @classmethod
    def of(cls, embedded: Embedded, code: "RecordCode", rows: Rows) -> "Described":
        """Cases that are embedded, with their records in the same order."""
        at_rest = {name: posed[0] for name, posed in embedded.vectors.items()}
        return cls(vectors=at_rest, records=code.vectors(rows), condition=code.condition(rows))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FurtherMatches:
    """Matches per view; none where a dataset has no records."""

    real: dict[str, Matches]  # of real cases, each without its own patient
    generated: dict[str, Matches]

    def tested(self, shuffles: LabelShuffles) -> TailResult | None:
        """The ratio-tail test over all of them; None where there are none."""
        if not self.generated:
            return None
        return shuffles.test(self.generated, floors_of(self.real))

    def with_view(self, name: str, real: Matches, generated: Matches) -> "FurtherMatches":
        """One view more."""
        return FurtherMatches(real=self.real | {name: real}, generated=self.generated | {name: generated})

    def suspects(self, pool: Pool, *, cases: int, rate: float) -> np.ndarray:
        """Generated cases nearer to a training patient than chance allows, bool (m,); `rate` as for `thresholds_of`."""
        if not self.generated:
            return np.zeros(cases, bool)
        harmless = harmless_ratios(self.real, self.generated, pool.in_train)
        limits = thresholds_of(harmless, units=pool.patients, cases=cases, rate=rate)
        return suspected(self.generated, limits, pool.in_train)


def search_further(
    pool: Pool,
    embedded: tuple[Embedded, Embedded],
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
) -> FurtherMatches:
    """Search with records, and within conditions.

    Args:
        pool: Real patients of train and control.
        embedded: Real cases in the order of the pool, and generated cases.
        training_set: Names the columns.
        synthetic: The generated cases.
        private: Store of the records.
    """
    if not training_set.columns:
        return FurtherMatches(real={}, generated={})
    groups = (training_set.train, training_set.control)
    real_rows = [row for group in groups for row in read_records(private, group).to_pylist()]
    code = RecordCode(training_set.columns, real_rows)
    search = FurtherSearch(pool, Described.of(embedded[0], code, real_rows))
    generated = Described.of(embedded[1], code, read_records(private, synthetic).to_pylist())
    return FurtherMatches(
        real=search.matches(search.real, own=pool.patient), generated=search.matches(generated)
    )


class RecordCode:
    """Records as vectors in which every column weighs alike; fitted on all real patients, train or not."""

    def __init__(self, columns: Sequence[ColumnSpec], real: Rows) -> None:
        self.columns = tuple(column for column in columns if column.kind in {*NUMBERS, "category", "boolean"})
        self.conditions = tuple(
            column for column in self.columns if column.role == "condition" and column.kind not in NUMBERS
        )
        self.scale = {
            column.name: _mean_and_spread([row.get(column.name) for row in real])
            for column in self.columns
            if column.kind in NUMBERS
        }

    def vectors(self, rows: Rows) -> np.ndarray:
        """Numbers in standard deviations, categories at unit distance from each other, (n, q); 0 where missing."""
        parts = [self._column(column, [row.get(column.name) for row in rows]) for column in self.columns]
        return np.concatenate([np.zeros((len(rows), 0)), *parts], axis=1)

    def condition(self, rows: Rows) -> np.ndarray:
        """The categories that a case was asked for, as one text; str (n,)."""
        return np.array(["|".join(str(row.get(column.name)) for column in self.conditions) for row in rows])

    def _column(self, column: ColumnSpec, values: Sequence[Value]) -> np.ndarray:
        if column.kind in NUMBERS:
            mean, spread = self.scale[column.name]
            return np.array([[0.0 if value is None else (float(value) - mean) / spread] for value in values])
        known: tuple[Value, ...] = column.values if column.kind == "category" else (False, True)
        one_of: np.ndarray = np.array([[value == one for one in known] for value in values]) * np.sqrt(0.5)
        return one_of


class FurtherSearch:
    """Exact nearest patients with their records, and among those of the same condition."""

    def __init__(self, pool: Pool, real: Described) -> None:
        """Hold the real cases; rows of `real` are those of the pool."""
        self.pool, self.real = pool, real
        self.parts = [name for name in ("image", "mask") if name in pool.vectors]
        self.weight = {name: _weight(pool.vectors[name]) for name in self.parts}
        self.record_weight = _weight(real.records)
        self.joined = self._joined(real)
        self.clusters = duplicate_clusters(self.joined, pool.patient)

    @property
    def views(self) -> tuple[str, ...]:
        """Which views there are: none without a record, `condition` where there are two or more of them."""
        if not self.real.records.shape[1]:
            return ()
        several = len(np.unique(self.real.condition)) > 1
        return (JOINT, *((CONDITION,) if several else ()), *((RECORD,) if self._singled_out() else ()))

    def matches(self, cases: Described, *, own: np.ndarray | None = None) -> dict[str, Matches]:
        """Matches per view; `own` is the patient of each case that is left out, (n,)."""
        search = {JOINT: self._joint, CONDITION: self._within, RECORD: self._records}
        return {view: search[view](cases, own) for view in self.views}

    def _singled_out(self) -> bool:
        """Whether most patients have a record that nobody else has."""
        _, first = np.unique(self.pool.patient, return_index=True)
        times = np.unique(self.real.records[first], axis=0, return_counts=True)[1]
        return int((times == 1).sum()) > SINGLED_OUT * len(first)

    def _records(self, cases: Described, own: np.ndarray | None) -> Matches:
        """Matches of the record alone; equal records of two patients are no evidence, and no duplicate of a patient."""
        return matches_of(nearest_patients(cases.records, self.real.records, self.pool.patient, own=own))

    def _joint(self, cases: Described, own: np.ndarray | None) -> Matches:
        """Matches among all patients."""
        queries = self._joined(cases)
        return matches_of(
            nearest_patients(queries, self.joined, self.pool.patient, own=own, clusters=self.clusters)
        )

    def _within(self, cases: Described, own: np.ndarray | None) -> Matches:
        """Matches among patients of the same condition."""
        queries, images, clusters = self._images(cases), self._images(self.real), self.pool.clusters["image"]
        ratio, distance = np.ones((2, len(queries)))
        patient, case = np.zeros((2, len(queries)), np.int64)
        for condition in np.unique(cases.condition):
            asked = np.flatnonzero(cases.condition == condition)
            rows = np.flatnonzero(self.real.condition == condition)
            if len(np.unique(clusters[self.pool.patient[rows]])) < FEWEST:
                rows = np.arange(len(images))
            found = matches_of(
                nearest_patients(
                    queries[asked],
                    images[rows],
                    self.pool.patient[rows],
                    own=None if own is None else own[asked],
                    clusters=clusters,
                )
            )
            ratio[asked], distance[asked] = found.ratio, found.distance
            patient[asked], case[asked] = found.patient, rows[found.case]
        return Matches(ratio=ratio, patient=patient, case=case, distance=distance)

    def _images(self, cases: Described) -> np.ndarray:
        """Image and mask beside each other, of equal variance."""
        return np.concatenate([cases.vectors[name] * self.weight[name] for name in self.parts], axis=1)

    def _joined(self, cases: Described) -> np.ndarray:
        """Image, mask and record beside each other, of equal variance."""
        return np.concatenate([self._images(cases), cases.records * self.record_weight], axis=1)


def _mean_and_spread(values: Sequence[Value]) -> tuple[float, float]:
    known = np.array([float(value) for value in values if value is not None])
    return (float(known.mean()), max(float(known.std()), 1e-9)) if len(known) else (0.0, 1.0)


def _weight(vectors: np.ndarray) -> float:
    """Makes the total variance 1; 0 where nothing varies."""
    variance = float(vectors.var(axis=0).sum())
    return 1 / np.sqrt(variance) if variance > 0 else 0.0
