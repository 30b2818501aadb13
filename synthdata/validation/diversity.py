"""How different the cases of one sample are from each other, and which real cases they reach."""

import numpy as np

from synthdata.errors import ConfigError, ShapeError
from synthdata.validation.metrics import check_comparable, distances, neighbour_radius

BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of the scales, Wang et al. 2003
SIGMA, TRUNCATE, BORDER = 1.5, 3.5, 5  # a Gaussian window of 11 pixels
K1, K2 = 0.01, 0.03


def density(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> float:
    """How many real balls hold a generated sample, over k, in the mean; higher is better.

    Args:
        real: Features (n, d), 1 <= k < n.
        fake: Features (m, d).
        k: Rank of the neighbour which sets the radius of a real ball.

    Returns:
        At least 0; about 1 for two samples of one law, above 1 where generated samples keep to dense places.

    Source:
        Naeem et al., ICML 2020, arXiv:2002.09797, equation 4.
    """
    check_comparable(real, fake)
    return density_of(distances(real, real), distances(real, fake), k=k)


def recall(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> float:
    """Share of real samples inside the ball of any generated one; higher is better.

    Args:
        real: Features (n, d).
        fake: Features (m, d), 1 <= k < m.
        k: Rank of the neighbour which sets the radius of a generated ball.

    Returns:
        A fraction.

    Source:
        Kynkaanniemi et al., NeurIPS 2019, arXiv:1904.06991.
    """
    check_comparable(real, fake)
    return recall_of(distances(fake, fake), distances(real, fake), k=k)


def density_of(real_real: np.ndarray, real_fake: np.ndarray, *, k: int = 5) -> float:
    """`density` of distance matrices (n, n) and (n, m)."""
    radius = neighbour_radius(real_real, k)
    return float((real_fake < radius[:, None]).sum(axis=0).mean() / k)


def recall_of(fake_fake: np.ndarray, real_fake: np.ndarray, *, k: int = 5) -> float:
    """`recall` of distance matrices (m, m) and (n, m)."""
    radius = neighbour_radius(fake_fake, k)
    return float((real_fake < radius[None, :]).any(axis=1).mean())


def vendi_score(features: np.ndarray) -> float:
    """Effective number of different samples; higher is more diverse. It grows with n: compare at equal n.

    Args:
        features: Shape (n, d), n >= 1; rows are compared by the cosine of their angle.

    Returns:
        Between 1, all alike, and n, all orthogonal.

    Source:
        Friedman and Dieng, "The Vendi Score", TMLR 2023, arXiv:2210.02410, equation 2.
    """
    if features.ndim != 2 or not len(features):
        raise ShapeError(f"features have shape {features.shape}, expected (n, d) with n of at least 1")
    if not np.isfinite(features).all():
        raise ShapeError("features hold a value that is not finite: find the case with NaN or infinity")
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(length > 0, length, 1)
    shorter = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit  # both have the same spectrum
    values = np.linalg.eigvalsh(shorter) / len(unit)
    present = values[values > 1e-15]
    return float(np.exp(-(present * np.log(present)).sum())) if len(present) else 1.0


def structural_similarity(first: np.ndarray, second: np.ndarray, *, span: float) -> float:
    """Multi-scale structural similarity (MS-SSIM) of two stacks of slices; 1 for equal ones.

    Args:
        first: Shape (slices, y, x); the shorter side must exceed 10 pixels.
        second: The same shape.
        span: Range of the intensities, above 0.

    Returns:
        At most 1. Five scales are used where the slices are large enough (161 pixels), else as many as leave more
        than 10 pixels, their weights made to add up to 1.

    Raises:
        ShapeError: The shapes differ, or the slices are too small for one window.

    Source:
        Wang, Simoncelli and Bovik, "Multi-scale Structural Similarity", Asilomar 2003, equation 7.
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ShapeError(f"stacks have shapes {first.shape} and {second.shape}, expected one (slices, y, x)")
    scales = scales_of(first.shape[1], first.shape[2])
    if not scales:
        raise ShapeError(
            f"slices have {first.shape[1]} x {first.shape[2]} pixels, expected more than {2 * BORDER} along both"
        )
    weights = np.array(BETAS[:scales]) / sum(BETAS[:scales])
    a, b = first.astype(np.float64), second.astype(np.float64)
    terms = []
    for scale in range(scales):
        whole, contrast = _similarities(a, b, span)
        terms.append(whole if scale == scales - 1 else contrast)
        a, b = _halved(a), _halved(b)
    per_slice = np.prod(np.maximum(np.stack(terms), 0) ** weights[:, None], axis=0)
    return float(per_slice.mean())


def scales_of(height: int, width: int) -> int:
    """How many scales of MS-SSIM a slice carries; 0 where it is too small for one."""
    side, count = min(height, width), 0
    while side > 2 * BORDER and count < len(BETAS):
        side, count = side // 2, count + 1
    return count


def _similarities(a: np.ndarray, b: np.ndarray, span: float) -> tuple[np.ndarray, np.ndarray]:
    """Means over the slice of similarity, and of its contrast and structure part; each (slices,)."""
    mean_a, mean_b = _window(a), _window(b)
    var_a, var_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    both = _window(a * b) - mean_a * mean_b
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    contrast = (2 * both + c2) / (var_a + var_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * contrast).mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _window(stack: np.ndarray) -> np.ndarray:
    """Gaussian means where the whole window lies in the slice."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(stack, (0, SIGMA, SIGMA), truncate=TRUNCATE)
    inner: np.ndarray = smooth[:, BORDER:-BORDER, BORDER:-BORDER]
    return inner


def _halved(stack: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    n, y, x = stack.shape
    blocks = stack[:, : y // 2 * 2, : x // 2 * 2].reshape(n, y // 2, 2, x // 2, 2)
    means: np.ndarray = blocks.mean(axis=(2, 4))
    return means


def similarity_of_pairs(
    stacks: np.ndarray, *, span: float, pairs: int, rng: np.random.Generator
) -> np.ndarray:
    """MS-SSIM of random pairs of different cases (n, slices, y, x), shape (pairs,); higher is less diverse.

    Raises:
        ConfigError: There are fewer than two cases.
    """
    if len(stacks) < 2:
        raise ConfigError(f"{len(stacks)} cases came, expected at least 2: no pair can be drawn")
    first = rng.integers(len(stacks), size=pairs)
    second = (first + rng.integers(1, len(stacks), size=pairs)) % len(stacks)
    return np.array(
        [structural_similarity(stacks[a], stacks[b], span=span) for a, b in zip(first, second, strict=True)]
    )
