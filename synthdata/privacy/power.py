"""What share of copies would the primary test have caught, with these patients and this many cases?

Copies are planted into the evaluated cases, and these may lean to training patients by chance: then little is missing
to reject, and the true labels would show a power that the test has not. So each repetition draws anew which patients
are the training ones, as many as there are, and plants copies of those. Before the labels nothing knows them, so
matches are found once; after them the whole test runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthdata.privacy.canaries import Planted
from synthdata.privacy.ratio_tail import LabelShuffles, Matches, replaced

SHARES = (0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
REPEATS = 100  # a power near 0.8 is then known to 0.04, one standard error


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PowerTrial:
    """Draws training patients anew, plants copies of them, and counts how often the test rejects."""

    test: LabelShuffles  # the primary test of the pool; of its labels only their numbers are used
    clean: Mapping[str, Matches]  # view to matches of the generated cases
    floors: Mapping[str, float]  # as for the test
    alpha: float  # level of the test
    shares: tuple[float, ...] = SHARES  # of the set, which copies replace
    repeats: int = REPEATS

    def run(self, copies: Planted, *, rng: np.random.Generator) -> PowerCurve:
        """Power per share, 0..1; higher is better.

        Args:
            copies: Altered copies of real cases, of train and control alike.
            rng: Which patients are labelled train, which cases are replaced, by which copies.
        """
        powers = tuple(self._rejected(copies, share, rng) for share in self.shares)
        return PowerCurve(shares=self.shares, power=powers, repeats=self.repeats)

    def _rejected(self, copies: Planted, share: float, rng: np.random.Generator) -> float:
        """Share of repetitions which the test rejects; one with nobody to copy counts as not rejected."""
        cases = len(next(iter(self.clean.values())).ratio)
        count, rejected = max(1, round(share * cases)), 0
        for _ in range(self.repeats):
            test = self.test.relabelled(rng)
            supply = np.flatnonzero(test.in_train[copies.source])
            if not len(supply):
                continue
            index, drawn = rng.permutation(cases)[:count], rng.choice(supply, count)
            mixed = {
                view: replaced(found, index, copies.matches[view].take(drawn))
                for view, found in self.clean.items()
            }
            rejected += test.test(mixed, self.floors).p_value < self.alpha
        return rejected / self.repeats
