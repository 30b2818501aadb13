"""False alarms and power of the privacy gate, by simulation with a known answer.

Patients and generated cases are drawn from one mixture of four Gaussians in 16 dimensions, so a clean generator knows
nothing about who was trained on. Copies are training vectors with a little noise (plain) or more (altered). Beside
our gate stand the tests that published libraries offer, on the same vectors.

    python benchmarks/privacy_gate.py --runs 200 > table.md
"""

import argparse
import time

import numpy as np
from scipy.spatial.distance import cdist

from synthdata.privacy.cohort import Embedded, Pool, duplicate_clusters
from synthdata.privacy.copy_search import harmless_ratios, suspected, thresholds_of
from synthdata.privacy.measure import COPY_RATE
from synthdata.privacy.ratio_tail import LabelShuffles

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
METHODS = ("tail test", "copy search", "gate", "closer to train (DCR share)", "AuthPct < control")


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


def one_run(
    group: int, cases: int, world: tuple, labels: LabelShuffles, rng: np.random.Generator
) -> list[bool]:
    """Which methods reject one generator."""
    _, share, noise, spread = world
    mixture = Mixture(rng)
    train, control = mixture.draw(group, rng), mixture.draw(group, rng)
    generated = mixture.draw(cases, rng, spread=spread)
    copies = round(share * cases)
    generated[:copies] = train[rng.integers(0, group, copies)] + noise * rng.normal(size=(copies, WIDTH))
    pool, real = vector_pool(train, control)
    queries = Embedded(vectors={"vectors": generated[None]})
    real_matches, matches = real.matches(pool, own=pool.patient), queries.matches(pool)
    floors = {name: float(found.ratio.min()) for name, found in real_matches.items()}
    tail = labels.test(matches, floors).p_value < ALPHA
    harmless = harmless_ratios(real_matches, matches, pool.in_train)
    limits = thresholds_of(harmless, units=2 * group, cases=cases, rate=COPY_RATE * ALPHA)
    copied = bool(suspected(matches, limits, pool.in_train).any())
    return [tail, copied, tail or copied, *peers(train, control, generated)]


def peers(train: np.ndarray, control: np.ndarray, generated: np.ndarray) -> tuple[bool, bool]:
    """Share nearer to train above its 99 % binomial bound; AuthPct of generated below that of control."""
    to_train, to_control = nearest(generated, train), nearest(generated, control)
    share = (to_train < to_control).mean()
    bound = 0.5 + 2.326 * np.sqrt(0.25 / len(generated))
    return bool(share > bound), bool(authentic(generated, train) < authentic(control, train))


def authentic(points: np.ndarray, train: np.ndarray) -> float:
    """Share of points farther from their nearest training case than that case is from its own nearest."""
    between = cdist(train, train)
    np.fill_diagonal(between, np.inf)
    distance = cdist(points, train)
    match = distance.argmin(axis=1)
    return float((distance.min(axis=1) > between.min(axis=1)[match]).mean())


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest of the others."""
    return cdist(points, others).min(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", type=int, nargs="*", default=[group for group, _ in SIZES])
    arguments = parser.parse_args()
    start = time.perf_counter()
    print(f"Share of {arguments.runs} runs that reject, level {ALPHA}, d = {WIDTH}, seed {arguments.seed}.\n")
    for group, cases in (size for size in SIZES if size[0] in arguments.groups):
        rng = np.random.default_rng([arguments.seed, group])
        labels = LabelShuffles(np.arange(2 * group) < group, count=1999, rng=rng)
        print(f"{group} train, {group} control patients, {cases} cases:\n")
        print("| truth | " + " | ".join(METHODS) + " |\n|---" + "|---:" * len(METHODS) + "|")
        for world in WORLDS:
            rejected = np.mean(
                [one_run(group, cases, world, labels, rng) for _ in range(arguments.runs)], axis=0
            )
            print(f"| {world[0]} | " + " | ".join(f"{share:.3f}" for share in rejected) + " |", flush=True)
        print()
    print(f"Wall time {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
