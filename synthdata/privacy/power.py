"""What share of copies would the primary test have caught, with these patients and this many cases?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthdata.privacy.ratio_tail import LabelShuffles, Matches, replaced

SHARES = (0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
REPEATS = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerCurve:
    """Power per share of planted copies."""

    shares: tuple[float, ...]
    power: tuple[float, ...]
    repeats: int

    def at(self, share: float) -> float:
        """Power at a share that was tried."""
        return self.power[self.shares.index(share)]

    def detectable(self, aim: float) -> float:
        """Smallest share from which on the power is at least `aim`; 1 where none is."""
        enough = 1.0
        for share, power in sorted(zip(self.shares, self.power, strict=True), reverse=True):
            if power < aim:
                break
            enough = share
        return enough


def power_curve(
    shuffles: LabelShuffles,
    *,
    clean: Mapping[str, Matches],
    copies: Mapping[str, Matches],
    floors: Mapping[str, float],
    alpha: float,
    shares: tuple[float, ...] = SHARES,
    rng: np.random.Generator,
    repeats: int = REPEATS,
) -> PowerCurve:
    """Plant copies into the evaluated set, again and again, and count how often the test rejects.

    Args:
        shuffles: The primary test of the pool.
        clean: View to matches of the generated cases.
        copies: View to matches of altered copies of training cases, of all kinds that gate.
        floors: As for the test.
        alpha: Level of the test.
        shares: Shares of the set that are replaced by copies.
        rng: Which cases are replaced, by which copies.
        repeats: Repetitions per share.

    Returns:
        Power per share, 0..1; higher is better.
    """
    cases = len(next(iter(clean.values())).ratio)
    supply = len(next(iter(copies.values())).ratio)
    powers = []
    for share in shares:
        count = max(1, round(share * cases))
        rejected = 0
        for _ in range(repeats):
            index = rng.permutation(cases)[:count]
            drawn = rng.integers(0, supply, count)
            mixed = {view: replaced(found, index, copies[view].take(drawn)) for view, found in clean.items()}
            rejected += shuffles.test(mixed, floors).p_value < alpha
        powers.append(rejected / repeats)
    return PowerCurve(shares=shares, power=tuple(powers), repeats=repeats)
