"""The search tested on itself: altered copies of training cases planted into the evaluated set, and real strangers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthdata.privacy.alterations import GATING, REPORTED, altered
from synthdata.privacy.cohort import Embedded, Pool, thumbnailer_of
from synthdata.privacy.copy_search import CopyThreshold, suspected, thresholds_of
from synthdata.privacy.ratio_tail import Matches
from synthdata.records import CanaryRecall, Case, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore

SOURCES = 60  # training cases of which copies are planted, at most
NEGATIVE = "negative"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planted:
    """Altered copies, in the views of a pool."""

    kind: np.ndarray  # str (n,)
    source: np.ndarray  # int64 (n,), patient of the pool that was copied
    embedded: Embedded


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
    planted: Planted, matches: dict[str, Matches], thresholds: dict[str, CopyThreshold]
) -> tuple[CanaryRecall, ...]:
    """How many copies of each kind the search suspects, at the thresholds of the release."""
    flags = suspected(matches, thresholds)
    kinds = [kind for kind in (*GATING, *REPORTED) if (planted.kind == kind).any()]
    return tuple(
        CanaryRecall(
            kind=kind, planted=int((planted.kind == kind).sum()), found=int(flags[planted.kind == kind].sum())
        )
        for kind in kinds
    )


def strangers(
    pool: Pool, real: Embedded, ratios: dict[str, np.ndarray], *, cases: int, rate: float
) -> CanaryRecall:
    """Control patients as if they were generated: how many the search suspects.

    For each half of the control patients the thresholds come from all other real patients, so that no patient judges
    itself.
    """
    control = np.flatnonzero(~pool.in_train)
    train_pool = pool.restricted(np.flatnonzero(pool.in_train))
    planted, found = 0, 0
    for half in (control[::2], control[1::2]):
        rows = np.isin(pool.patient, half)
        others = {name: values[~rows] for name, values in ratios.items()}
        limits = thresholds_of(others, pool.patient[~rows], cases=cases, rate=rate)
        flags = suspected(real.take(rows).matches(train_pool), limits)
        planted, found = planted + len(flags), found + int(flags.sum())
    return CanaryRecall(kind=NEGATIVE, planted=planted, found=found)


def _chosen(private: ObjectStore, training_set: TrainingSet, chosen: set[int]) -> Iterator[Case]:
    """The chosen training cases."""
    for index, case in enumerate(read_cases(private, training_set.train)):
        if index in chosen:
            yield case
