"""Distances and overlaps of two samples of features; arrays are float64 (n, d) of one extractor."""

import numpy as np

from synthdata.errors import ConfigError, ShapeError


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance of two Gaussians fitted to the samples; lower is better.

    Args:
        first: Features (n, d), n > d for a covariance of full rank.
        second: Features (m, d).

    Returns:
        At least 0, in the squared unit of the features. It is biased upwards by about d / n: compare at equal
        n only.

    Raises:
        ShapeError: The widths differ.
        ConfigError: A sample has no more cases than features, so that its covariance is singular.

    Source:
        Heusel et al., NeurIPS 2017, arXiv:1706.08500, equation 6. The trace of the square root is the sum of
        the square roots of the eigenvalues of the product of the covariances.
    """
    check_comparable(first, second)
    if (fewest := min(len(first), len(second))) <= first.shape[1]:
        raise ConfigError(
            f"the smaller sample has {fewest} cases of {first.shape[1]} features, expected more cases than features: "
            "reduce the features or add cases"
        )
    shift = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum()
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second))
    return float(max(0.0, shift + np.trace(a) + np.trace(b) - 2 * _trace_of_root(a, b)))


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the cubic kernel (KID); lower is better, may be below 0.

    Args:
        first: Features (n, d), n >= 2, standardised by real features: the kernel is cubic in their scale.
        second: Features (m, d), m >= 2.

    Returns:
        Without unit; 0 in the mean for two samples of one law.

    Source:
        Binkowski et al., ICLR 2018, arXiv:1801.01401.
    """
    check_comparable(first, second)
    return kernel_distance_of(
        cubic_kernel(first, first), cubic_kernel(second, second), cubic_kernel(first, second)
    )


def cubic_kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kernel (x . y / d + 1)^3 of all pairs, shape (n, m)."""
    kernel: np.ndarray = (first @ second.T / first.shape[1] + 1) ** 3
    return kernel


def kernel_distance_of(within_a: np.ndarray, within_b: np.ndarray, between: np.ndarray) -> float:
    """`kernel_distance` of kernel matrices (n, n), (m, m) and (n, m)."""
    n, m = len(within_a), len(within_b)
    a = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    b = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(a + b - 2 * between.mean())


def coverage(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> float:
    """Share of real samples which have a generated one nearer than their k-th real neighbour.

    Args:
        real: Features (n, d), 1 <= k < n.
        fake: Features (m, d).
        k: Rank of the neighbour which sets the radius.

    Returns:
        A fraction; higher is better. Two samples of one law and size reach about 1 - 2^-k.

    Source:
        Naeem et al., ICML 2020, arXiv:2002.09797.
    """
    check_comparable(real, fake)
    return coverage_of(distances(real, real), distances(real, fake), k=k)


def precision(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> float:
    """Share of generated samples inside the ball of any real one, whose radius is its k-th neighbour.

    Args:
        real: Features (n, d), 1 <= k < n.
        fake: Features (m, d).
        k: Rank of the neighbour which sets the radius.

    Returns:
        A fraction; higher is better.

    Source:
        Kynkaanniemi et al., NeurIPS 2019, arXiv:1904.06991.
    """
    check_comparable(real, fake)
    return precision_of(distances(real, real), distances(real, fake), k=k)


def coverage_of(real_real: np.ndarray, real_fake: np.ndarray, *, k: int = 5) -> float:
    """`coverage` of distance matrices (n, n) and (n, m)."""
    return float((real_fake.min(axis=1) < neighbour_radius(real_real, k)).mean())


def precision_of(real_real: np.ndarray, real_fake: np.ndarray, *, k: int = 5) -> float:
    """`precision` of distance matrices (n, n) and (n, m)."""
    return float((real_fake < neighbour_radius(real_real, k)[:, None]).any(axis=0).mean())


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances of all pairs, computed from differences, shape (n, m)."""
    from scipy.spatial.distance import cdist

    found: np.ndarray = cdist(first, second)
    return found


def neighbour_radius(real_real: np.ndarray, k: int) -> np.ndarray:
    """Distance to the k-th real neighbour; the k + 1st smallest, because a sample is its own nearest one."""
    if not 1 <= k < len(real_real):
        raise ConfigError(f"k is {k}, expected 1 <= k < {len(real_real)} real cases: add cases")
    radius: np.ndarray = np.partition(real_real, k, axis=1)[:, k]
    return radius


def _trace_of_root(a: np.ndarray, b: np.ndarray) -> float:
    """Trace of (a b)^1/2 for covariances: through a^1/2 b a^1/2, which is symmetric."""
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum())


def check_comparable(first: np.ndarray, second: np.ndarray) -> None:
    """Raise unless two samples are matrices (n, d) and (m, d) of finite features with two rows or more."""
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ShapeError(
            f"features have shapes {first.shape} and {second.shape}, expected (n, d) and (m, d): "
            "use one extractor for both"
        )
    if min(len(first), len(second)) < 2:
        raise ConfigError(
            f"samples have {len(first)} and {len(second)} cases, expected at least 2: add cases"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ShapeError("features hold a value that is not finite: find the case with NaN or infinity")
