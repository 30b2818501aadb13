"""False alarms and power of the privacy gate, by simulation with a known answer.

Patients and generated cases are drawn from one mixture of four Gaussians in 16 dimensions, so a clean generator knows
nothing about who was trained on. Copies are training vectors with a little noise (plain) or more (altered), with the
record of their patient: the cluster as category, and a number. As in a validation three views are searched: the vector
itself, a part of it seen through a threshold, and ranks; the last two also turned over; and further views with records
and within a category. `gate` is all that can make a release FAIL by its cases: ratio-tail test, copy search, further
views and the distance attack. The attack on the weights needs weights, canaries and controls can only make a release
INCONCLUSIVE, so they are left out. Beside it stand the tests that published libraries offer, on the same vectors.

Each run draws patients anew, which all generators of the run share. It has a seed of its own and leaves one line per
generator, so that a run is resumed by starting it again, and may be shared:

    python benchmarks/privacy_gate.py --runs 200 --results runs.jsonl
    python benchmarks/privacy_gate.py --first 200 --runs 200 --results other.jsonl  # on another machine
    python benchmarks/privacy_gate.py --table runs.jsonl other.jsonl
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from synthdata.privacy.cohort import Embedded, Pool, duplicate_clusters
from synthdata.privacy.copy_search import COPY_RATE, harmless_ratios, suspected, thresholds_of
from synthdata.privacy.findings import FURTHER_RATE, members_recognised
from synthdata.privacy.further import Described, FurtherMatches, FurtherSearch, RecordCode
from synthdata.privacy.membership import distance_attack
from synthdata.privacy.ratio_tail import LabelShuffles, floors_of
from synthdata.records import ColumnSpec
from synthdata.spec import Gates

WIDTH, MODES, ALPHA = 16, 4, 0.01
SEEN = 24  # points at which a vector is looked at by the views `mask` and `moved`
SHUFFLES = 1999
SIZES = {80: 200, 200: 400, 500: 600}  # patients per group: generated cases
PLAIN, ALTERED = 0.05, 0.35  # noise of a copy, in standard deviations of a component
COLUMNS = (
    ColumnSpec(name="class", kind="category", values=tuple("abcd"), role="condition"),
    ColumnSpec(name="level", kind="number", minimum=-99, maximum=99, role="outcome"),
)
METHODS = (
    "tail test",
    "copy search",
    "further views",
    "distance attack",
    "gate",
    "closer to train (DCR share)",
    "AuthPct < control",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A generator whose faults are known."""

    name: str
    copies: float = 0.0  # share of the cases
    noise: float = PLAIN  # of the copies
    spread: float = 1.0  # of the other cases, 1 is that of patients
    fine: float = 1.0  # spread of the half of the directions that varies least: below 1 is a smooth generator


WORLDS = (
    World(name="clean"),
    World(name="clean, spread x 0.8", spread=0.8),
    World(name="clean, spread x 0.5", spread=0.5),
    World(name="clean, smooth (fine half x 0.3)", fine=0.3),
    *(
        World(name=f"{share:.1%} copies, {name}", copies=share, noise=noise)
        for share in (0.005, 0.01, 0.02, 0.05)
        for name, noise in (("plain", PLAIN), ("altered", ALTERED))
    ),
    World(name="5.0% copies, altered, spread x 0.8", copies=0.05, noise=ALTERED, spread=0.8),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cases:
    """Vectors with their records."""

    vectors: np.ndarray  # (n, 16)
    mode: np.ndarray  # (n,), the category
    level: np.ndarray  # (n,)

    def __add__(self, other: "Cases") -> "Cases":
        return Cases(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in FIELDS})

    def copied(self, rows: np.ndarray, noise: np.ndarray) -> "Cases":
        """Some of the cases with noise on their vectors, and their records."""
        return Cases(vectors=self.vectors[rows] + noise, mode=self.mode[rows], level=self.level[rows])

    def records(self) -> list[dict[str, str | float]]:
        """Rows of the table."""
        return [
            {"class": "abcd"[mode], "level": level} for mode, level in zip(self.mode, self.level, strict=True)
        ]


FIELDS = ("vectors", "mode", "level")


class Mixture:
    """Four Gaussian clusters with a falling spectrum."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.centres = rng.normal(0, 2.0, (MODES, WIDTH))
        self.scale = np.linspace(1.3, 0.7, WIDTH)
        self.points = rng.normal(size=(WIDTH, SEEN)) / np.sqrt(WIDTH)

    def draw(self, count: int, rng: np.random.Generator, world: World | None = None) -> "Cases":
        """Vectors (count, 16) and records of patients, or of the generator of a world."""
        scale = self.scale.copy()
        if world is not None:
            scale *= world.spread
            scale[WIDTH // 2 :] *= world.fine
        which = rng.integers(0, MODES, count)
        vectors = self.centres[which] + scale * rng.normal(size=(count, WIDTH))
        level = vectors[:, 0] + rng.normal(size=count)
        return Cases(vectors=vectors, mode=which, level=level)

    def views(self, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """Vectors in all views and poses, (poses, n, k) each."""
        seen = vectors @ self.points
        masks, ranks = np.tanh(3 * seen), seen.argsort(axis=1).argsort(axis=1) / SEEN
        return {
            "image": vectors[None],
            "mask": np.stack([masks, masks[:, ::-1]]),
            "moved": np.stack([ranks, ranks[:, ::-1]]),
        }


def vector_pool(views: dict[str, np.ndarray], group: int) -> Pool:
    """A pool of given vectors, one case per patient, train first; nothing is fitted."""
    patient = np.arange(2 * group)
    at_rest = {name: posed[0] for name, posed in views.items()}
    return Pool(
        names=tuple(f"p{index:05d}" for index in patient),
        patient=patient,
        in_train=patient < group,
        views=dict.fromkeys(views),
        vectors=at_rest,
        clusters={name: duplicate_clusters(values, patient) for name, values in at_rest.items()},
    )


class Patients:
    """Patients of one run, searched once: generators of the run are judged against them."""

    def __init__(self, group: int, rng: np.random.Generator) -> None:
        self.group, self.mixture = group, Mixture(rng)
        self.train, self.control = self.mixture.draw(group, rng), self.mixture.draw(group, rng)
        both = self.train + self.control
        self.code = RecordCode(COLUMNS, both.records())
        real = Embedded(vectors=self.mixture.views(both.vectors))
        self.pool = vector_pool(real.vectors, group)
        self.further = FurtherSearch(self.pool, Described.of(real, self.code, both.records()))
        self.real = real.matches(self.pool, own=self.pool.patient)
        self.real_further = self.further.matches(self.further.real, own=self.pool.patient)
        self.floors = floors_of(self.real)
        self.shuffles = LabelShuffles(self.pool.in_train, count=SHUFFLES, rng=rng)

    def judged(self, world: World, rng: np.random.Generator) -> list[bool]:
        """Which methods reject one generator; in the order of `METHODS`."""
        copies = round(world.copies * SIZES[self.group])
        generated = self.mixture.draw(SIZES[self.group] - copies, rng, world)
        noise = world.noise * rng.normal(size=(copies, WIDTH))
        generated += self.train.copied(rng.integers(0, self.group, copies), noise)
        found = [*self._ours(generated)]
        vectors = (self.train.vectors, self.control.vectors, generated.vectors)
        return [*found, any(found), *peers(*vectors)]

    def _ours(self, generated: Cases) -> Iterator[bool]:
        """Whether each test that may fail a release does."""
        queries = Embedded(vectors=self.mixture.views(generated.vectors))
        matches = queries.matches(self.pool)
        yield self.shuffles.test(matches, self.floors).p_value < ALPHA
        harmless = harmless_ratios(self.real, matches, self.pool.in_train)
        cases = len(generated.vectors)
        limits = thresholds_of(harmless, units=self.pool.patients, cases=cases, rate=COPY_RATE * ALPHA)
        yield bool(suspected(matches, limits, self.pool.in_train).any())
        described = Described.of(queries, self.code, generated.records())
        found = FurtherMatches(real=self.real_further, generated=self.further.matches(described))
        result = found.tested(self.shuffles)
        yield result is not None and result.p_value < FURTHER_RATE * ALPHA
        yield members_recognised(distance_attack(self.pool, queries.vectors), Gates(privacy_alpha=ALPHA))


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


def simulate(results: Path, groups: Sequence[int], runs: range, seed: int, *, clean: bool = False) -> None:
    """Append each run that the file lacks; of clean generators alone where asked."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    done = {tuple(json.loads(line)[:4]) for line in lines}
    with results.open("a", encoding="utf-8") as out:
        for run in runs:  # all worlds of a run before the next run: a table can be made at any time
            for group in groups:
                missing = [
                    (index, world)
                    for index, world in enumerate(WORLDS)
                    if (seed, group, world.name, run) not in done and not (clean and world.copies)
                ]
                patients = Patients(group, np.random.default_rng([seed, group, run])) if missing else None
                for index, world in missing:
                    rejected = patients.judged(world, np.random.default_rng([seed, group, run, index + 1]))
                    line = [seed, group, world.name, run, [int(found) for found in rejected]]
                    out.write(json.dumps(line) + "\n")
                out.flush()


def tables(paths: Sequence[Path]) -> None:
    """Print the share of runs that each method rejects, with the 95 % upper bound of the gate's."""
    rejected: dict[tuple[int, str], dict[tuple[int, int], list[int]]] = defaultdict(dict)
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            seed, group, name, run, found = json.loads(line)
            rejected[group, name][seed, run] = found
    print(f"Level {ALPHA}, d = {WIDTH}, three views and further ones, {SHUFFLES} relabellings.\n")
    for group, cases in SIZES.items():
        print(f"{group} train, {group} control patients, {cases} cases:\n")
        print("| truth | runs | " + " | ".join(METHODS) + " | gate, 95 % interval |")
        print("|---|---:" + "|---:" * (len(METHODS) + 1) + "|")
        for world in WORLDS:
            found = np.array(list(rejected[group, world.name].values()))
            if len(found):
                low, high = exact_interval(int(found[:, METHODS.index("gate")].sum()), len(found))
                shares = " | ".join(f"{share:.3f}" for share in found.mean(axis=0))
                print(f"| {world.name} | {len(found)} | {shares} | [{low:.3f}, {high:.3f}] |")
        print()


def exact_interval(count: int, total: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    low = float(stats.beta.ppf(0.025, count, total - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(0.975, count + 1, total - count)) if count < total else 1.0
    return low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", type=int, nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--results", type=Path, default=Path("privacy_gate.jsonl"))
    parser.add_argument("--clean", action="store_true", help="generators without copies alone")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="print tables of these files, run nothing"
    )
    asked = parser.parse_args()
    if asked.table:
        tables(asked.table)
        return
    start = time.process_time()
    runs = range(asked.first, asked.first + asked.runs)
    simulate(asked.results, asked.groups, runs, asked.seed, clean=asked.clean)
    print(f"Processor time {time.process_time() - start:.0f} s.\n")
    tables([asked.results])


if __name__ == "__main__":
    main()
