"""What networks leave in images: power by wave length, and patterns that repeat every two or four voxels.

Amplitudes are shares of the range of a channel, so that white noise with a deviation of 1 % has a power of 1e-4 at
every wave length. Images are windowed, so that their borders are no edges.
"""

from itertools import product

import numpy as np

BANDS = 4  # of equal width per axis, from constant to a change of sign at every voxel
REPEATS = {0: "-", 4: "4", 2: "2"}  # voxels: none along an axis, or a period
LOBE = 2  # coefficients to either side of a period that the window spreads it over
ROOM = 16  # voxels of an axis, from which on periods can be told apart
LEAST = 1e-12  # power


def power(image: np.ndarray) -> dict[str, float]:
    """Logarithm of the mean power in each cell of wave lengths.

    Args:
        image: Shares of the range (z, y, x).

    Returns:
        `<z><y><x>` to a logarithm: the band along each axis, from 0 (long waves) to BANDS - 1 (shortest); `-` along an
        axis with one voxel. The cell of the longest waves along all axes is left out.
    """
    density, _ = _density(image)
    bands = [_bands(size) for size in image.shape]
    found: dict[str, float] = {}
    for cell in product(*([None] if one is None else range(BANDS) for one in bands)):
        if not any(cell):
            continue
        index = [
            np.arange(1) if band is None or one is None else np.flatnonzero(one == band)
            for band, one in zip(cell, bands, strict=True)
        ]
        if not all(len(some) for some in index):  # an axis of few voxels lacks a band
            continue
        name = "".join("-" if band is None else str(band) for band in cell)
        found[name] = float(np.log(density[np.ix_(*index)].mean() + LEAST))
    return found


def patterns(image: np.ndarray) -> dict[str, float]:
    """Logarithm of the variance of what repeats every 2 or 4 voxels along one axis or several.

    Args:
        image: Shares of the range (z, y, x).

    Returns:
        `<z><y><x>` to a logarithm: the period along each axis, `-` where it is constant. A chessboard is `222`.
    """
    density, total = _density(image)
    found: dict[str, float] = {}
    for periods in product(*((0,) if size < ROOM else tuple(REPEATS) for size in image.shape)):
        if not any(periods):
            continue
        near = [
            _near(size, 1 / period if period else 0.0)
            for size, period in zip(image.shape, periods, strict=True)
        ]
        name = "".join(REPEATS[period] for period in periods)
        found[name] = float(np.log(density[np.ix_(*near)].sum() / total + LEAST))
    return found


def _density(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Power of white noise of deviation 1 is 1 at each coefficient; and how many there are."""
    window = np.ones(image.shape)
    for axis, size in enumerate(image.shape):
        if size > 1:
            line = np.hanning(size + 2)[1:-1]
            window *= line.reshape([-1 if one == axis else 1 for one in range(image.ndim)])
    centred = image - (image * window).sum() / window.sum()
    found: np.ndarray = np.abs(np.fft.fftn(centred * window)) ** 2 / (window**2).sum()
    return found, image.size


def _bands(size: int) -> np.ndarray | None:
    """Band of each coefficient along an axis, (size,); None where it has one voxel."""
    if size == 1:
        return None
    found: np.ndarray = np.minimum((np.abs(np.fft.fftfreq(size)) * 2 * BANDS).astype(int), BANDS - 1)
    return found


def _near(size: int, frequency: float) -> np.ndarray:
    """Coefficients around a frequency and its negative."""
    away = np.abs(np.abs(np.fft.fftfreq(size)) - frequency)
    return np.flatnonzero(away <= (LOBE + 1e-6) / size) if size > 1 else np.arange(1)
