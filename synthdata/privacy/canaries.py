"""The search tested on itself: altered copies of training cases planted into the evaluated set, and real strangers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.privacy.alterations import GATING, REPORTED, altered
from synthdata.privacy.cohort import Embedded, Pool, thumbnailer_of
from synthdata.privacy.copy_search import CopyThreshold, harmless_ratios, suspected, thresholds_of
from synthdata.privacy.ratio_tail import Matches
from synthdata.records import CanaryRecall, Case, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore

SOURCES = 40  # training cases of which copies are planted, at most
NEGATIVE = "negative"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planted:
    """Altered copies, in the views of a pool."""

    kind: np.ndarray  # str (n,)
    source: np.ndarray  # int64 (n,), patient of the pool that was copied
    embedded: Embedded

    def of_kinds(self, kinds: Sequence[str], matches: Mapping[str, Matches]) -> dict[str, Matches]:
        """Those of the planted copies' matches that are of some kinds."""
        rows = np.flatnonzero(np.isin(self.kind, kinds))
        return {view: found.take(rows) for view, found in matches.items()}


def plant(
    training_set: TrainingSet, private: ObjectStore, pool: Pool, *, rng: np.random.Generator
) -> Planted:
    """Alter some training cases in every way, encode them as the generator would, push them through the views."""
    chosen = set(rng.permutation(training_set.train.cases)[:SOURCES].tolist())
    rows = altered(_chosen(private, training_set, chosen), training_set.scales, GATING | REPORTED, rng=rng)
    thumbnails = thumbnailer_of(training_set).collect(rows)
    number = {name: index for index, name in enumerate(pool.names)}
    return Planted(
        kind=np.array(thumbnails.case_id),
        source=np.array([number[patient] for patient in thumbnails.patient]),
        embedded=Embedded.of(pool, thumbnails),
    )


def recalls(
    planted: Planted, matches: dict[str, Matches], thresholds: dict[str, CopyThreshold], in_train: np.ndarray
) -> tuple[CanaryRecall, ...]:
    """How many copies of each kind the search suspects, at the thresholds of the release."""
    flags = suspected(matches, thresholds, in_train)
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


def _chosen(private: ObjectStore, training_set: TrainingSet, chosen: set[int]) -> Iterator[Case]:
    """The chosen training cases."""
    for index, case in enumerate(read_cases(private, training_set.train)):
        if index in chosen:
            yield case
