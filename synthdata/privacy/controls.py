"""Two sets whose answer is known, judged by the same test with every report."""

import numpy as np

from synthdata.privacy.cohort import Embedded, Pool
from synthdata.privacy.ratio_tail import LabelShuffles, Matches

SPLITS = 20
SHUFFLES = 999
MOST_PLAYED = 150  # control patients that play the generated set of one split


def replay_p_value(
    shuffles: LabelShuffles,
    *,
    copies: dict[str, Matches],
    cases: int,
    floors: dict[str, float],
    rng: np.random.Generator,
) -> float:
    """Positive control: a generator that replays altered training cases. Must be rejected; the p value."""
    drawn = rng.integers(0, len(next(iter(copies.values())).ratio), cases)
    return shuffles.test({view: found.take(drawn) for view, found in copies.items()}, floors).p_value


def stranger_rejections(
    pool: Pool, real: Embedded, *, floors: dict[str, float], alpha: float, rng: np.random.Generator
) -> float:
    """Negative control: control patients relabelled as generated. Share of random splits that are rejected.

    One half of the control patients plays the generated set; the pool is the other half and as many training patients,
    so that neither group of the pool is favoured.
    """
    train, control = np.flatnonzero(pool.in_train), np.flatnonzero(~pool.in_train)
    rejected = 0
    for _ in range(SPLITS):
        order = rng.permutation(control)
        half = min(len(order) // 2, MOST_PLAYED)
        played, kept = order[:half], order[half : 2 * half]
        people = np.sort(np.concatenate([kept, rng.permutation(train)[: len(kept)]]))
        part = pool.restricted(people)
        matches = real.take(np.flatnonzero(np.isin(pool.patient, played))).matches(part)
        test = LabelShuffles(part.in_train, count=SHUFFLES, rng=rng).test(matches, floors)
        rejected += test.p_value < alpha
    return rejected / SPLITS
