"""Intensity statistics of a region. Source: IBSI-1 reference manual, section 3.3, arXiv:1612.07003."""

import numpy as np

MOST_KINDS = 2**16  # of integers that are counted instead of sorted


def first_order(values: np.ndarray) -> dict[str, float]:
    """Statistics of the intensities in one region.

    Args:
        values: Intensities, shape (n,), n >= 1, any unit.

    Returns:
        Name to value; in the unit of the values but for skewness, kurtosis (excess, 0 for a normal law) and
        energy (unit squared). A constant region has skewness and kurtosis 0, as IBSI defines.
    """
    x, times = _distinct(values)
    n = int(times[-1])
    weight = np.diff(times, prepend=0) / n
    mean = (weight * x).sum()
    centred = x - mean
    squared = centred * centred  # products: a power of arrays is many times slower
    variance = (weight * squared).sum()
    p10, p25, p50, p75, p90 = (_quantile(x, times, share) for share in (0.1, 0.25, 0.5, 0.75, 0.9))
    flat = variance < 1e-18
    energy = (weight * x * x).sum()
    return {
        "mean": float(mean),
        "variance": float(variance),
        "skewness": 0.0 if flat else float((weight * squared * centred).sum() / variance**1.5),
        "kurtosis": 0.0 if flat else float((weight * squared * squared).sum() / variance**2 - 3),
        "median": p50,
        "minimum": float(x[0]),
        "p10": p10,
        "p90": p90,
        "maximum": float(x[-1]),
        "interquartile_range": p75 - p25,
        "range": float(x[-1] - x[0]),
        "mean_absolute_deviation": float((weight * np.abs(centred)).sum()),
        "robust_mean_absolute_deviation": _deviation_between(x, weight, p10, p90),
        "median_absolute_deviation": float((weight * np.abs(x - p50)).sum()),
        "energy": float(n * energy),
        "root_mean_square": float(np.sqrt(energy)),
    }


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in ascending order as float64, and how many are up to each; integers are counted, each value once."""
    if np.issubdtype(values.dtype, np.integer):
        least = int(values.min())
        if int(values.max()) - least < MOST_KINDS:
            counts = np.bincount(values.astype(np.intp) - least)
            present = np.flatnonzero(counts)
            return (present + least).astype(np.float64), np.cumsum(counts[present])
    return np.sort(values).astype(np.float64), np.arange(1, len(values) + 1)


def _quantile(x: np.ndarray, times: np.ndarray, share: float) -> float:
    """Linear between the two values that lie around the place, as `np.quantile` does it."""
    place = share * (times[-1] - 1)
    below = int(place)
    low, high = x[np.searchsorted(times, [below, min(below + 1, times[-1] - 1)], side="right")]
    return float(low + (high - low) * (place - below))


def _deviation_between(x: np.ndarray, weight: np.ndarray, low: float, high: float) -> float:
    """Mean absolute deviation of those from low to high; 0 where there are none, as for two different values."""
    part = slice(int(np.searchsorted(x, low)), int(np.searchsorted(x, high, side="right")))
    x, weight = x[part], weight[part]
    if not len(x):
        return 0.0
    weight = weight / weight.sum()
    return float((weight * np.abs(x - (weight * x).sum())).sum())


def histogram(levels: np.ndarray, count: int) -> dict[str, float]:
    """Entropy (bits) and uniformity of discretised intensities, shape (n,), values 1..count."""
    p = np.bincount(levels, minlength=count + 1)[1:] / len(levels)
    present = p[p > 0]
    return {"entropy": float(-(present * np.log2(present)).sum()), "uniformity": float((p**2).sum())}
