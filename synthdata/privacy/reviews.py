"""Tests which ask for a look and never decide: published ones, beside what they give for control patients.

Each was shown to pass copies or to reject clean generators (`docs/privacy.md`), so none may pass or fail a release.
Beside the same number for control patients they are evidence all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.errors import ConfigError
from synthdata.privacy.limits import MEMORY_MB
from synthdata.records import Estimate

LEVEL = 0.01  # beyond which a test asks for a review
RANK_SHARE = 0.01  # of control patients: the rank of the distance that counts as near
LEAST_RANK = 3
CELLS = 3  # of C_T
FEWEST_IN_CELL = 5
CLIQUE_FRACTION = 0.25  # of the median distance between real neighbours: nearer cases belong to one clique
BYTES_OF_PAIR = 64  # of points: a distance, and what is made of it
CLIQUE_SIZE = 5  # cases that are near copies of each other


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One number, what a clean generator would give, and whether somebody should look."""

    name: str
    value: float
    expected: float
    p_value: float | None
    look: bool
    explanation: str


def near_count(generated: np.ndarray, control: np.ndarray, *, to_control: np.ndarray | None = None) -> Review:
    """Are more generated cases very near to training patients than control patients are?

    Args:
        generated: Distance of each generated case to the nearest training patient, (m,).
        control: The same of each control patient, (n,), n > `LEAST_RANK`.
        to_control: Distance of each generated case to the nearest control patient, (m,). Where as many of these are as
            small, cases lie near the middle of all patients, and not near those who were trained on.

    Returns:
        The count of generated cases below the k-th smallest control distance; k is 1 % of n, at least 3. If both are
        of one law it is beta-binomial (m, k, n - k + 1), exactly. Generators with less spread than real patients exceed
        it without any copy: it asks for a review.
    """
    _enough(control, LEAST_RANK + 1)
    k = max(LEAST_RANK, round(RANK_SHARE * len(control)))
    limit = np.partition(control, k - 1)[k - 1]
    count, m, n = int((generated < limit).sum()), len(generated), len(control)
    p_value = float(stats.betabinom.sf(count - 1, m, k, n - k + 1))
    expected = m * k / (n + 1)
    told = f"{count} of {m} cases lie nearer to a training patient than the {k} nearest of {n} control patients do, "
    beside = (
        "" if to_control is None else f"; as near to a control patient lie {int((to_control < limit).sum())}"
    )
    return Review(
        name="near_count",
        value=float(count),
        expected=expected,
        p_value=p_value,
        look=p_value < LEVEL,
        explanation=f"{told}{expected:.1f} are expected (beta-binomial p {p_value:.3g}){beside}",
    )


def three_sample_statistic(
    train: np.ndarray, generated: np.ndarray, control: np.ndarray, *, rng: np.random.Generator
) -> Review:
    """C_T: are generated cases nearer to training patients than control patients are, cell by cell?

    Args:
        train: Vectors (n_t, d).
        generated: Vectors (m, d).
        control: Vectors (n_h, d).
        rng: Of the cells.

    Returns:
        Mean of the cells' Mann-Whitney Z, weighted by control patients: far below 0 for copying, above 0 for cases far
        from all training patients. Some per cent of copies do not move it.

    Source:
        Meehan, Chaudhuri and Dasgupta, "A Non-Parametric Test to Detect Data-Copying", AISTATS 2020, arXiv:2004.05675.
    """
    from scipy.cluster.vq import kmeans2

    centres, _ = kmeans2(train, CELLS, minit="++", rng=rng)
    cell = {name: _nearest(points, centres)[1] for name, points in (("made", generated), ("held", control))}
    distance = {name: _nearest(points, train)[0] for name, points in (("made", generated), ("held", control))}
    scores, weights = [], []
    for index in range(CELLS):
        made, held = (distance[name][cell[name] == index] for name in ("made", "held"))
        if min(len(made), len(held)) >= FEWEST_IN_CELL:
            scores.append(_mann_whitney_z(made, held))
            weights.append(len(held))
    if not scores:
        raise ConfigError(
            f"no cell has {FEWEST_IN_CELL} generated and control cases: C_T cannot be computed, add patients"
        )
    value = float(np.average(scores, weights=weights))
    p_value = float(stats.norm.cdf(value / np.sqrt(sum(w**2 for w in weights)) * sum(weights)))
    return Review(
        name="three_sample_statistic",
        value=value,
        expected=0.0,
        p_value=p_value,
        look=value < -3,
        explanation=f"C_T is {value:.2f} over {len(scores)} cells, 0 is expected and below -3 asks for a look",
    )


def authentic_share(train: np.ndarray, generated: np.ndarray, control: np.ndarray) -> Review:
    """AuthPct: share of cases farther from their nearest training patient than that one is from its own nearest.

    Duplicates among training patients blind it, and without copies it is no constant, so that of control patients
    stands beside it.

    Source:
        Alaa et al., "How Faithful is your Synthetic Data?", ICML 2022, arXiv:2102.08921, section 4.
    """
    own = _neighbour_distance(train)
    shares = {}
    for name, points in (("made", generated), ("held", control)):
        least, match = _nearest(points, train)
        shares[name] = (int((least > own[match]).sum()), len(points))
    (made, m), (held, n) = shares["made"], shares["held"]
    p_value = float(
        stats.fisher_exact(np.array([[made, m - made], [held, n - held]]), alternative="less").pvalue
    )
    return Review(
        name="authentic_share",
        value=made / m,
        expected=held / n,
        p_value=p_value,
        look=p_value < LEVEL,
        explanation=(
            f"{made / m:.1%} of the cases are authentic by AuthPct, {held / n:.1%} of the control patients "
            f"(Fisher p {p_value:.3g})"
        ),
    )


def cliques(generated: np.ndarray, real: np.ndarray) -> Review:
    """Groups of generated cases which are near copies of each other: what a memorised patient looks like from outside.

    Args:
        generated: Vectors (m, d).
        real: Vectors of all real patients, (n, d).

    Returns:
        The largest group; cases nearer than a quarter of the median distance of real neighbours are linked.

    Source:
        Carlini et al., "Extracting Training Data from Diffusion Models", USENIX Security 2023, arXiv:2301.13188,
        section 4.2.
    """
    limit = CLIQUE_FRACTION * float(np.median(_neighbour_distance(real)))
    sizes = np.bincount(_linked_groups(generated, limit))
    largest, linked = int(sizes.max()), int(sizes[sizes > 1].sum())
    return Review(
        name="cliques",
        value=float(largest),
        expected=1.0,
        p_value=None,
        look=largest >= CLIQUE_SIZE,
        explanation=(
            f"{linked} of {len(generated)} generated cases are near copies of another one, the largest group has "
            f"{largest}; {CLIQUE_SIZE} ask for a look"
        ),
    )


def true_positives_at(members: np.ndarray, others: np.ndarray, *, false_positives: float = 0.01) -> Estimate:
    """Share of members that an attack recognises while at most 1 % of the others are taken for members.

    Args:
        members: Scores of members, (n,); higher means more likely a member.
        others: Scores of non-members, (m,).
        false_positives: Share of non-members above the threshold.

    Returns:
        With the Clopper-Pearson interval for the threshold that was found; with fewer than 1 / `false_positives` others
        the threshold is their maximum.
    """
    allowed = int(np.floor(false_positives * len(others)))
    threshold = np.sort(others)[::-1][allowed]
    hits, n = int((members > threshold).sum()), len(members)
    low = float(stats.beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return Estimate(value=hits / n, low=low, high=high, n=n)


def density_ratio(points: np.ndarray, generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Score of a density-ratio attack: log of the density of generated cases over that of reference patients, (n,).

    Args:
        points: Vectors of the patients to guess about, (n, d).
        generated: Vectors (m, d).
        reference: Vectors of other real patients, (r, d); none of them may be among the points.

    Source:
        van Breugel et al., "Membership Inference Attacks against Synthetic Data through Overfitting Detection"
        (DOMIAS), AISTATS 2023, arXiv:2302.12580; both densities by Gaussian kernels whose typical reach, width times
        root of d, is the median distance of neighbours in the reference.
    """
    width = max(float(np.median(_neighbour_distance(reference))) / np.sqrt(reference.shape[1]), 1e-12)
    found: np.ndarray = _log_density(points, generated, width) - _log_density(points, reference, width)
    return found


def _log_density(points: np.ndarray, centres: np.ndarray, width: float) -> np.ndarray:
    from scipy.special import logsumexp

    parts = [logsumexp(-((apart / width) ** 2) / 2, axis=1) for _, apart in _distances(points, centres)]
    found: np.ndarray = np.concatenate(parts) - np.log(len(centres))
    return found


def _mann_whitney_z(made: np.ndarray, held: np.ndarray) -> float:
    """Z of the Mann-Whitney statistic: below 0 where the first sample is smaller."""
    n, m = len(made), len(held)
    ranks = stats.rankdata(np.concatenate([made, held]))[:n]
    u = ranks.sum() - n * (n + 1) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))


def _nearest(points: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = [(apart.min(axis=1), apart.argmin(axis=1)) for _, apart in _distances(points, others)]
    least, match = (np.concatenate(part) for part in zip(*found, strict=True))
    return least, match


def _neighbour_distance(points: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest other one, (n,)."""
    least = []
    for rows, apart in _distances(points, points):
        apart[np.arange(len(rows)), rows] = np.inf
        least.append(apart.min(axis=1))
    return np.concatenate(least)


def _linked_groups(points: np.ndarray, limit: float) -> np.ndarray:
    """Group of each point, (n,); points nearer than the limit are of one group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group: np.ndarray = np.arange(len(points))
    for rows, apart in _distances(points, points):
        near, other = np.nonzero(apart < limit)
        pairs = np.unique(group[rows[near]] * len(points) + group[other])
        links = np.divmod(pairs, len(points))
        graph = coo_array((np.ones(len(pairs)), links), shape=(len(points), len(points)))
        _, merged = connected_components(graph.tocsr(), directed=False)
        group = merged[group]
    return group


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Distances from some of the first points to all of the second ones, with the rows of the first, part by part."""
    from scipy.spatial.distance import cdist

    size = max(1, (MEMORY_MB << 20) // (BYTES_OF_PAIR * max(1, len(b))))
    for start in range(0, len(a), size):
        rows = np.arange(start, min(start + size, len(a)))
        yield rows, cdist(a[rows], b)


def _enough(values: np.ndarray, least: int) -> None:
    if len(values) < least:
        raise ConfigError(f"{len(values)} control patients came, expected at least {least}: add patients")
