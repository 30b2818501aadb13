"""Distances of two samples: Frechet distance without its bias, and a kernel distance of a recorded width."""

import numpy as np

from synthdata.errors import ConfigError
from synthdata.validation.metrics import check_comparable, distances, frechet_distance

SIZES = 10  # sample sizes of the extrapolation
REPEATS = 4  # subsamples of each size
SCALE = 1000.0  # of CMMD, as its authors print it


def frechet_at_infinity(
    first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator, repeats: int = REPEATS
) -> float:
    """Frechet distance extrapolated to infinitely many cases; lower is better, may be a little below 0.

    Args:
        first: Features (n, d).
        second: Features (m, d).
        rng: Draws the subsamples, without replacement.
        repeats: Subsamples of each size.

    Returns:
        The intercept of a straight line through the distances at sizes N over 1 / N, in the squared unit of the
        features.

    Raises:
        ShapeError: The widths differ.
        ConfigError: Half of the smaller sample is no larger than d, so that a covariance would be singular.

    Source:
        Chong and Forsyth, "Effectively Unbiased FID and Inception Score", CVPR 2020, arXiv:1911.07023.
    """
    check_comparable(first, second)
    most = min(len(first), len(second))
    least = most // 2
    if least <= first.shape[1]:
        raise ConfigError(
            f"the smaller sample has {most} cases of {first.shape[1]} features, expected more than twice as many: "
            "reduce the features or add cases"
        )
    sizes = np.unique(np.linspace(least, most, SIZES).astype(int))
    points = []
    for size in sizes:
        for _ in range(repeats if size < most else 1):
            a = first[rng.permutation(len(first))[:size]]
            b = second[rng.permutation(len(second))[:size]]
            points.append((1 / size, frechet_distance(a, b)))
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[1])


def median_bandwidth(real: np.ndarray) -> float:
    """Width of a Gaussian kernel: the median distance of two real samples (n, d); in the unit of the features.

    Source:
        Gretton et al., "A Kernel Two-Sample Test", JMLR 13 (2012), section 8.
    """
    apart = distances(real, real)[np.triu_indices(len(real), 1)]
    width = float(np.median(apart)) if len(apart) else 0.0
    if not width > 0:
        raise ConfigError(
            "more than half of the real samples are equal, expected different ones: no kernel width fits them"
        )
    return width


def gaussian_discrepancy(first: np.ndarray, second: np.ndarray, bandwidth: float) -> float:
    """CMMD: 1000 times the squared maximum mean discrepancy of a Gaussian kernel; lower is better.

    Args:
        first: Features (n, d).
        second: Features (m, d).
        bandwidth: Standard deviation of the kernel, above 0; the authors' 10 fits CLIP features only, see
            `median_bandwidth`.

    Returns:
        At least 0. It is the biased form, with the diagonals: 0 for identical samples, above it for two of one law.

    Source:
        Jayasumana et al., "Rethinking FID", CVPR 2024, arXiv:2401.09603, equation 4.
    """
    check_comparable(first, second)
    if not bandwidth > 0:
        raise ConfigError(f"bandwidth is {bandwidth}, expected above 0: use median_bandwidth of real cases")
    return gaussian_discrepancy_of(
        gaussian_kernel(distances(first, first), bandwidth),
        gaussian_kernel(distances(second, second), bandwidth),
        gaussian_kernel(distances(first, second), bandwidth),
    )


def gaussian_kernel(apart: np.ndarray, bandwidth: float) -> np.ndarray:
    """Kernel of a matrix of distances."""
    kernel: np.ndarray = np.exp(-(apart**2) / (2 * bandwidth**2))
    return kernel


def gaussian_discrepancy_of(within_a: np.ndarray, within_b: np.ndarray, between: np.ndarray) -> float:
    """`gaussian_discrepancy` of kernel matrices (n, n), (m, m) and (n, m)."""
    return SCALE * float(max(0.0, within_a.mean() + within_b.mean() - 2 * between.mean()))
