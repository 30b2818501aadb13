"""Intensity statistics of a region. Source: IBSI-1 reference manual, section 3.3, arXiv:1612.07003."""

import numpy as np


def first_order(values: np.ndarray) -> dict[str, float]:
    """Statistics of the intensities in one region.

    Args:
        values: Intensities, shape (n,), n >= 1, any unit.

    Returns:
        Name to value; in the unit of the values but for skewness, kurtosis (excess, 0 for a normal law) and
        energy (unit squared). A constant region has skewness and kurtosis 0, as IBSI defines.
    """
    x = values.astype(np.float64)
    mean = x.mean()
    variance = x.var()
    centred = x - mean
    squared = centred * centred  # products: a power of arrays is many times slower
    p10, p25, p50, p75, p90 = np.percentile(x, (10, 25, 50, 75, 90))
    inner = x[(x >= p10) & (x <= p90)]  # empty for two voxels of different values
    flat = variance < 1e-18
    return {
        "mean": float(mean),
        "variance": float(variance),
        "skewness": 0.0 if flat else float((squared * centred).mean() / variance**1.5),
        "kurtosis": 0.0 if flat else float((squared * squared).mean() / variance**2 - 3),
        "median": float(p50),
        "minimum": float(x.min()),
        "p10": float(p10),
        "p90": float(p90),
        "maximum": float(x.max()),
        "interquartile_range": float(p75 - p25),
        "range": float(x.max() - x.min()),
        "mean_absolute_deviation": float(np.abs(centred).mean()),
        "robust_mean_absolute_deviation": float(np.abs(inner - inner.mean()).mean()) if len(inner) else 0.0,
        "median_absolute_deviation": float(np.abs(x - p50).mean()),
        "energy": float((x**2).sum()),
        "root_mean_square": float(np.sqrt((x**2).mean())),
    }


def histogram(levels: np.ndarray, count: int) -> dict[str, float]:
    """Entropy (bits) and uniformity of discretised intensities, shape (n,), values 1..count."""
    p = np.bincount(levels, minlength=count + 1)[1:] / len(levels)
    present = p[p > 0]
    return {"entropy": float(-(present * np.log2(present)).sum()), "uniformity": float((p**2).sum())}
