"""What the copy filter removes, and whether removing it helps a generator that copies: by simulation, known answer.

Patients and cases are drawn from one mixture of four Gaussians in 16 dimensions, which is the one view; copies are
training vectors with a little noise (plain) or more (altered). Each run draws a release, filters it as generation does
(limits of real cases alone, suspects drawn again up to eight times) and judges it before and after.

    python benchmarks/copy_filter.py --runs 200 > table.md
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from synthdata.generation.worker import REPLACEMENTS
from synthdata.privacy.cohort import Embedded, Pool, duplicate_clusters
from synthdata.privacy.copy_filter import filter_limits, removal_share
from synthdata.privacy.copy_search import COPY_RATE, harmless_ratios, suspected, thresholds_of
from synthdata.privacy.ratio_tail import LabelShuffles, Matches, floors_of
from synthdata.spec import Gates

WIDTH, MODES, ALPHA = 16, 4, 0.01
SIZES = ((80, 200), (200, 400), (500, 600))  # patients per group, generated cases
PLAIN, ALTERED = 0.05, 0.35  # noise of a copy, in standard deviations of a component
WORLDS = (
    ("clean", 0.0, PLAIN, 1.0),
    ("clean, spread x 0.8", 0.0, PLAIN, 0.8),
    ("clean, spread x 0.5", 0.0, PLAIN, 0.5),
    *(
        (f"{share:.1%} copies, {name}", share, noise, 1.0)
        for share in (0.005, 0.01, 0.02, 0.05)
        for name, noise in (("plain", PLAIN), ("altered", ALTERED))
    ),
    ("5.0% copies, altered, spread x 0.8", 0.05, ALTERED, 0.8),
)
COLUMNS = (
    "clean cases removed",
    "copies removed",
    "rate before rejects",
    "tail test before rejects",
    "gate before rejects",
    "tail test or search after rejects",
)


class Mixture:
    """Four Gaussian clusters with a falling spectrum."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.centres = rng.normal(0, 2.0, (MODES, WIDTH))
        self.scale = np.linspace(1.3, 0.7, WIDTH)

    def draw(self, count: int, rng: np.random.Generator, *, spread: float = 1.0) -> np.ndarray:
        """Vectors (count, 16)."""
        return self.centres[rng.integers(0, MODES, count)] + spread * self.scale * rng.normal(
            size=(count, WIDTH)
        )


def vector_pool(train: np.ndarray, control: np.ndarray) -> tuple[Pool, Embedded]:
    """A pool of plain vectors, one case per patient, one view."""
    both = np.concatenate([train, control])
    patient = np.arange(len(both))
    pool = Pool(
        names=tuple(f"p{index:05d}" for index in patient),
        patient=patient,
        in_train=patient < len(train),
        views={"vectors": None},  # nothing to fit: vectors are given
        vectors={"vectors": both},
        clusters={"vectors": duplicate_clusters(both, patient)},
    )
    return pool, Embedded(vectors={"vectors": both[None]})


class World:
    """A generator with a known share of copies, and the patients that it learnt from."""

    def __init__(self, group: int, world: tuple, rng: np.random.Generator) -> None:
        _, self.share, self.noise, self.spread = world
        self.mixture, self.rng = Mixture(rng), rng
        self.train, self.control = self.mixture.draw(group, rng), self.mixture.draw(group, rng)

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Vectors, and which of them are copies."""
        vectors = self.mixture.draw(count, self.rng, spread=self.spread)
        copied = self.rng.random(count) < self.share
        sources = self.train[self.rng.integers(0, len(self.train), copied.sum())]
        vectors[copied] = sources + self.noise * self.rng.normal(size=sources.shape)
        return vectors, copied


def matched(vectors: np.ndarray, pool: Pool) -> dict[str, Matches]:
    """Matches in the pool."""
    return Embedded(vectors={"vectors": vectors[None]}).matches(pool)


def one_run(world: World, cases: int, labels: LabelShuffles) -> list[float]:
    """A value per column; NaN where there is nothing to remove."""
    pool, real = vector_pool(world.train, world.control)
    real_matches = real.matches(pool, own=pool.patient)
    floors = floors_of(real_matches)
    share = removal_share(Gates(), cases)
    limits = filter_limits(pool, real_matches, share)

    def is_suspect(vectors: np.ndarray) -> np.ndarray:
        return suspected(matched(vectors, pool), limits, pool.in_train)

    vectors, copied = world.draw(cases)
    flags = is_suspect(vectors)
    after = replaced(vectors, flags, world, is_suspect)
    matches, filtered = matched(vectors, pool), matched(after, pool)
    rate = stats.binom.sf(flags.sum() - 1, cases, share) < ALPHA
    tail = labels.test(matches, floors).p_value < ALPHA
    harmless = harmless_ratios(real_matches, filtered, pool.in_train)
    thresholds = thresholds_of(harmless, units=pool.patients, cases=cases, rate=COPY_RATE * ALPHA)
    searched = suspected(filtered, thresholds, pool.in_train).any()
    return [
        float(flags[~copied].mean()),
        float(flags[copied].mean()) if copied.any() else np.nan,
        rate,
        tail,
        rate or tail,
        searched or labels.test(filtered, floors).p_value < ALPHA,
    ]


def replaced(
    vectors: np.ndarray, flags: np.ndarray, world: World, is_suspect: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Draw suspects again, as generation does."""
    kept, waiting = vectors.copy(), np.flatnonzero(flags)
    for _ in range(REPLACEMENTS):
        if not len(waiting):
            break
        kept[waiting] = world.draw(len(waiting))[0]
        waiting = waiting[is_suspect(kept[waiting])]
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", type=int, nargs="*", default=[group for group, _ in SIZES])
    arguments = parser.parse_args()
    start = time.perf_counter()
    for group, cases in (size for size in SIZES if size[0] in arguments.groups):
        rng = np.random.default_rng([arguments.seed, group])
        labels = LabelShuffles(np.arange(2 * group) < group, count=1999, rng=rng)
        print(f"{group} train, {group} control patients, {cases} cases, {arguments.runs} runs:\n")
        print(f"| truth | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
        for world in WORLDS:
            rows = [one_run(World(group, world, rng), cases, labels) for _ in range(arguments.runs)]
            sums = [np.array(column, dtype=float) for column in zip(*rows, strict=True)]
            told = [f"{np.nanmean(c):.4f}" if np.isfinite(c).any() else "-" for c in sums]
            print(f"| {world[0]} | {' | '.join(told)} |", flush=True)
        print()
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
