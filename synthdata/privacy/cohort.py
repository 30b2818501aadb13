"""The real patients and the generated cases, as thumbnails; who is train is known here, and used only by labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from synthdata.errors import ConfigError
from synthdata.privacy.blocks import moves_of
from synthdata.privacy.neighbours import Nearest, merge_nearest, nearest_patients
from synthdata.privacy.patches import REACH, REACH_SLICE, MovedCases, PatchSearch, Poses
from synthdata.privacy.ratio_tail import Matches, matches_of
from synthdata.privacy.thumbnails import Thumbnailer, ThumbnailSource
from synthdata.privacy.views import View, view_names
from synthdata.records import Case, CaseSet, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore

DUPLICATE_FRACTION = 0.25  # patients nearer than this share of the median nearest distance are one cluster
CLUSTER_NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pool:
    """Real cases in which matches are searched, in every view."""

    names: tuple[str, ...]  # keyed pseudonyms of the patients, sorted (P,)
    patient: np.ndarray  # int64 (n,), index of the patient of each case
    in_train: np.ndarray  # bool (P,), of each patient
    views: dict[str, View]
    vectors: dict[str, np.ndarray]  # float64 (n, k) per view
    clusters: dict[str, np.ndarray]  # int64 (P,) per view
    patches: PatchSearch | None = None  # None: copies of a part of a patient are not searched for

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(self.in_train)

    def restricted(self, people: np.ndarray) -> "Pool":
        """The pool of some patients, in the same views; people are indices of patients, ascending."""
        new = np.full(self.patients, -1)
        new[people] = np.arange(len(people))
        rows = np.flatnonzero(new[self.patient] >= 0)
        return Pool(
            names=tuple(self.names[person] for person in people),
            patient=new[self.patient[rows]],
            in_train=self.in_train[people],
            views=self.views,
            vectors={name: values[rows] for name, values in self.vectors.items()},
            clusters={name: values[people] for name, values in self.clusters.items()},
        )


def thumbnailer_of(training_set: TrainingSet) -> Thumbnailer:
    """Thumbnails on the grid and in the encoding of a training set."""
    return Thumbnailer(training_set.grid.shape_zyx, training_set.scales, tuple(training_set.labels.values()))


def pool_of(
    training_set: TrainingSet, private: ObjectStore, *, parts: bool = True
) -> "tuple[Pool, Embedded]":
    """Read train and control, fit the views on both alike; the pool, and its cases in all poses.

    Args:
        training_set: Names the groups.
        private: Store of the cases.
        parts: Whether copies of a part of a patient will be searched for too.

    Raises:
        ConfigError: A patient is in both groups, or a group is too small to search in.
    """
    make = thumbnailer_of(training_set)
    both = make.stored(_cases_of(private, training_set.train, training_set.control))
    count = training_set.train.cases
    train, control = set(both.patient[:count]), set(both.patient[count:])
    if shared := len(train & control):
        raise ConfigError(
            f"{shared} patients are in train and control, expected none: split by patient again"
        )
    if min(len(train), len(control)) < 4:
        raise ConfigError(
            f"train has {len(train)} and control {len(control)} patients, expected 4 or more of each: add patients"
        )
    pool, real = make_pool(both, train)
    if not parts:
        return pool, real
    shape = training_set.grid.shape_zyx
    moves = moves_of(shape, REACH_SLICE if shape[0] == 1 else REACH)

    def again(count: int) -> Iterator[Poses]:
        for case in _cases_of(private, training_set.train, training_set.control):
            yield make.moved(case, moves[:count])

    lengths = tuple(sum(abs(step) for step in move) for move in moves)
    moved = MovedCases(lengths=lengths, read=again)
    search = PatchSearch.fitted(both, pool.patient, pool.clusters["image"], moved=moved)
    return replace(pool, patches=search), real


def make_pool(cases: ThumbnailSource, train: set[str]) -> "tuple[Pool, Embedded]":
    """A pool of thumbnails; `train` are the patients that the generator saw."""
    names = sorted(set(cases.patient))
    number = {name: index for index, name in enumerate(names)}
    patient = np.array([number[name] for name in cases.patient])
    views = {name: View(name, cases) for name in view_names(labelled=cases.labels > 0)}
    real = Embedded(vectors={name: view.embed(cases, posed=True) for name, view in views.items()})
    vectors = {name: posed[0] for name, posed in real.vectors.items()}
    clusters = {name: duplicate_clusters(values, patient) for name, values in vectors.items()}
    pool = Pool(
        names=tuple(names),
        patient=patient,
        in_train=np.array([name in train for name in names]),
        views=views,
        vectors=vectors,
        clusters=clusters,
    )
    return pool, real


def duplicate_clusters(vectors: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Cluster of each patient: patients with near duplicates share one. Shape (P,)."""
    people = int(patient.max()) + 1
    k = min(CLUSTER_NEIGHBOURS, people - 2)
    near = nearest_patients(vectors, vectors, patient, k=k, own=patient)
    limit = DUPLICATE_FRACTION * float(np.median(near.distance[:, 0]))
    cluster = np.arange(people)
    for row, column in np.argwhere(near.distance < limit):
        one, two = cluster[patient[row]], cluster[near.patient[row, column]]
        cluster[cluster == max(one, two)] = min(one, two)
    return cluster


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedded:
    """Cases in every view and pose of a pool; computed once, searched in any part of the pool."""

    vectors: dict[str, np.ndarray]  # float64 (poses, n, k) per view

    @classmethod
    def of(cls, pool: Pool, cases: ThumbnailSource) -> "Embedded":
        """Push cases through the views of a pool."""
        return cls(vectors={name: view.embed(cases, posed=True) for name, view in pool.views.items()})

    def take(self, rows: np.ndarray) -> "Embedded":
        """Some of the cases; rows are indices or a mask."""
        return Embedded(vectors={name: values[:, rows] for name, values in self.vectors.items()})

    def with_rows(self, rows: np.ndarray, others: "Embedded") -> "Embedded":
        """The same cases with those at `rows` replaced by others."""
        vectors = {name: values.copy() for name, values in self.vectors.items()}
        for name, values in vectors.items():
            values[:, rows] = others.vectors[name]
        return Embedded(vectors=vectors)

    def matches(self, pool: Pool, *, own: np.ndarray | None = None) -> dict[str, Matches]:
        """Matches in the pool per view; `own` is a patient of the pool left out for each case, -1 for none."""
        return {name: matches_of(self._nearest(pool, name, own)) for name in self.vectors}

    def _nearest(self, pool: Pool, name: str, own: np.ndarray | None) -> Nearest:
        clusters, posed = pool.clusters[name], self.vectors[name]
        count, cases, width = posed.shape
        found = nearest_patients(
            posed.reshape(count * cases, width),  # all poses in one search
            pool.vectors[name],
            pool.patient,
            own=None if own is None else np.tile(own, count),
            clusters=clusters,
        )
        parts = [found.take(slice(start, start + cases)) for start in range(0, count * cases, cases)]
        return parts[0] if count == 1 else merge_nearest(parts, clusters)


def _cases_of(private: ObjectStore, *sets: CaseSet) -> Iterator[Case]:
    for case_set in sets:
        yield from read_cases(private, case_set)
