"""Do the channels of one case show the same body at the same place?"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_fill_holes, label

LEAST_OVERLAP = 0.7  # Dice of the bodies of two channels; registered heads have more than 0.9
BINS = 128


def body_mask(image: np.ndarray) -> np.ndarray:
    """Where the body is: the largest bright component, its holes filled slice by slice.

    Args:
        image: One channel (z, y, x), any unit, air is dark.

    Returns:
        bool (z, y, x); empty for a constant image.

    Source:
        Threshold at half of that of Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979: tissue of
        middle brightness counts as body.
    """
    low, high = float(image.min()), float(np.percentile(image, 99.5))
    if not high > low:
        return np.zeros(image.shape, bool)
    unit = np.clip((image - low) / (high - low), 0, 1)
    parts, count = label(unit > _otsu(unit) / 2)
    if not count:
        return np.zeros(image.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == sizes.argmax()
    return np.stack([binary_fill_holes(piece) for piece in largest])


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Dice coefficient of two masks of one shape, in [0, 1]; 0 where one is empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if first.any() and second.any() else 0.0


def least_overlap(image: np.ndarray, sources: Sequence[int], targets: Sequence[int]) -> float:
    """The worst overlap of the bodies of a source and a target channel.

    Args:
        image: (c, z, y, x).
        sources: Channels to translate from.
        targets: Channels to translate to.
    """
    bodies = {channel: body_mask(image[channel]) for channel in {*sources, *targets}}
    return min(overlap(bodies[one], bodies[other]) for one in sources for other in targets)


def _otsu(unit: np.ndarray) -> float:
    """The threshold in [0, 1] that makes the variance between the two classes greatest."""
    counts, edges = np.histogram(unit, bins=BINS, range=(0, 1))
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    moment = np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    best = between >= np.nanmax(between) * (1 - 1e-6)
    return float(middle[best].mean())  # the middle of an empty gap, not its edge
