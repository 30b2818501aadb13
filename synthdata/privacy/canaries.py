"""The search tested on itself: altered copies of real cases planted into the evaluated set, and real strangers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from synthdata.privacy.alterations import COUNTED, GATING, PASTED, REPORTED, Alteration, altered, pasted
from synthdata.privacy.boxes import PATCH
from synthdata.privacy.cohort import Embedded, Pool, thumbnailer_of
from synthdata.privacy.copy_search import CopyThreshold, harmless_ratios, suspected, thresholds_of
from synthdata.privacy.ratio_tail import Matches
from synthdata.records import CanaryRecall, Case, CaseSet, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore

SOURCES = 40  # cases of which copies are planted, at most, of train and of control each
NEGATIVE = "negative"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planted:
    """Altered copies, matched in a pool once: who is labelled train has no part in it."""

    kind: np.ndarray  # str (n,)
    source: np.ndarray  # int64 (n,), patient of the pool that was copied
    matches: dict[str, Matches]  # per view

    def take(self, rows: np.ndarray) -> "Planted":
        """Some of the copies; rows are indices or a mask."""
        found = {view: matches.take(rows) for view, matches in self.matches.items()}
        return Planted(kind=self.kind[rows], source=self.source[rows], matches=found)

    def of_kinds(self, kinds: Sequence[str]) -> "Planted":
        """The copies of some kinds."""
        return self.take(np.isin(self.kind, kinds))

    def of_patients(self, chosen: np.ndarray) -> "Planted":
        """The copies of some patients; chosen is bool (P,), such as the labels of the pool."""
        return self.take(chosen[self.source])


def plant(
    training_set: TrainingSet, private: ObjectStore, pool: Pool, *, rng: np.random.Generator
) -> Planted:
    """Alter some real cases, encode them as the generator would, push them through the views and match them.

    Training cases are altered in every way. Control cases in the ways that power counts: they are planted only where
    the power draws the labels anew and their patient falls among the training ones.
    """
    (apart,) = rng.spawn(1)  # so that control cases do not change what is drawn for training cases
    every = GATING | REPORTED
    rows = chain(
        _copies(private, training_set, training_set.train, every, rng=rng),
        _copies(
            private, training_set, training_set.control, {kind: every[kind] for kind in COUNTED}, rng=apart
        ),
    )
    thumbnails = thumbnailer_of(training_set).collect(rows)
    number = {name: index for index, name in enumerate(pool.names)}
    return Planted(
        kind=np.array(thumbnails.case_id),
        source=np.array([number[patient] for patient in thumbnails.patient]),
        matches=Embedded.of(pool, thumbnails).matches(pool),
    )


def plant_patches(
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    pool: Pool,
    *,
    rng: np.random.Generator,
) -> Planted | None:
    """Paste parts of some training cases into as many generated cases; None where patches are not searched for."""
    if pool.patches is None:
        return None
    train = training_set.train
    sources = _chosen(private, train, set(rng.permutation(train.cases)[:SOURCES].tolist()))
    rows = pasted(sources, read_cases(private, synthetic), training_set.scales, rng=rng)
    thumbnails = thumbnailer_of(training_set).collect(rows)
    number = {name: index for index, name in enumerate(pool.names)}
    return Planted(
        kind=np.array(thumbnails.case_id),
        source=np.array([number[patient] for patient in thumbnails.patient]),
        matches={PATCH: pool.patches.matches(thumbnails)},
    )


def patch_recalls(
    planted: Planted, thresholds: dict[str, CopyThreshold], in_train: np.ndarray
) -> tuple[CanaryRecall, ...]:
    """How many pasted parts the search suspects of being those of their own patient, by kind."""
    (found,) = planted.matches.values()
    flags = suspected(planted.matches, thresholds, in_train) & (found.patient == planted.source)
    return tuple(
        CanaryRecall(
            kind=kind, planted=int((planted.kind == kind).sum()), found=int(flags[planted.kind == kind].sum())
        )
        for kind in PASTED
    )


def recalls(
    planted: Planted, thresholds: dict[str, CopyThreshold], in_train: np.ndarray
) -> tuple[CanaryRecall, ...]:
    """How many copies of training cases the search suspects, by kind, at the thresholds of the release."""
    planted = planted.of_patients(in_train)
    flags = suspected(planted.matches, thresholds, in_train)
    kinds = [kind for kind in (*GATING, *REPORTED) if (planted.kind == kind).any()]
    return tuple(
        CanaryRecall(
            kind=kind, planted=int((planted.kind == kind).sum()), found=int(flags[planted.kind == kind].sum())
        )
        for kind in kinds
    )


def strangers(
    pool: Pool, real: dict[str, Matches], generated: dict[str, Matches], *, rate: float
) -> CanaryRecall:
    """Control patients as if they were generated: how many the search suspects.

    For each half of the control patients the thresholds come from all other real patients and the generated cases, so
    that no patient judges itself.
    """
    control = np.flatnonzero(~pool.in_train)
    cases = len(next(iter(generated.values())).ratio)
    planted, found = 0, 0
    for half in (control[::2], control[1::2]):
        played = np.isin(pool.patient, half)
        others = {name: matches.take(np.flatnonzero(~played)) for name, matches in real.items()}
        limits = thresholds_of(
            harmless_ratios(others, generated, pool.in_train),
            units=pool.patients - len(half),
            cases=cases,
            rate=rate,
        )
        judged = {name: matches.take(np.flatnonzero(played)) for name, matches in real.items()}
        flags = suspected(judged, limits, pool.in_train)
        planted, found = planted + len(flags), found + int(flags.sum())
    return CanaryRecall(kind=NEGATIVE, planted=planted, found=found)


def _copies(
    private: ObjectStore,
    training_set: TrainingSet,
    source: CaseSet,
    kinds: dict[str, Alteration],
    *,
    rng: np.random.Generator,
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Altered copies of some cases of a set, as `altered` yields them."""
    chosen = set(rng.permutation(source.cases)[:SOURCES].tolist())
    return altered(_chosen(private, source, chosen), training_set.scales, kinds, rng=rng)


def _chosen(private: ObjectStore, source: CaseSet, chosen: set[int]) -> Iterator[Case]:
    """The chosen cases of a set."""
    for index, case in enumerate(read_cases(private, source)):
        if index in chosen:
            yield case
