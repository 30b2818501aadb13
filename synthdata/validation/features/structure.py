"""Plain measurements of an image which each answer one question: is it sharp, is it offset, whom does it look like?

Each is blind to what the others look at: sharpness and layout do not change with offset and gain, and none of them
reads the mask. So a fault shows where it belongs. What networks leave behind, such as noise and patterns, is
in `spectrum`.
"""

from collections.abc import Sequence

import numpy as np

from synthdata.records.case import Case
from synthdata.records.training import ChannelScale
from synthdata.validation.features.spectrum import patterns, power

VERSION = "2"  # a change of any definition below is a new version: it is part of the key of stored features
QUANTILES = tuple(range(5, 100, 5))  # percent, of the intensities of the body
LAYOUT_BLOCKS = 600  # of one channel, at most
BODY = 0.1  # of the way from dark to bright
SMOOTH = 1.0  # voxels: finer than this is texture


def structure(case: Case, scales: Sequence[ChannelScale]) -> dict[str, float]:
    """Plain measurements of one image.

    Args:
        case: Encoded by `scales`.
        scales: One per channel.

    Returns:
        Name to value: `<channel>/sharpness` (logarithm of fine over coarse deviation), `<channel>/quantile/<percent>`
        (of the body, encoded unit), `<channel>/layout/<block>` (standardised block means), `<channel>/power/<cell>`
        and `<channel>/pattern/<periods>` (`spectrum`).
    """
    network = np.stack([scale.to_network(case.image[index]) for index, scale in enumerate(scales)])
    found: dict[str, float] = {}
    for index, scale in enumerate(scales):
        body = _body(network[index])
        found[f"{scale.channel}/sharpness"] = _sharpness(network[index], body)
        levels = np.percentile(case.image[index][body].astype(np.float64), QUANTILES)
        found |= {
            f"{scale.channel}/quantile/{percent:02d}": float(level)
            for percent, level in zip(QUANTILES, levels, strict=True)
        }
        blocks = _layout(network[index])
        found |= {f"{scale.channel}/layout/{place:03d}": float(mean) for place, mean in enumerate(blocks)}
        share = (case.image[index].astype(np.float64) - scale.low) / (scale.high - scale.low)
        for what, measure in (("power", power), ("pattern", patterns)):
            found |= {f"{scale.channel}/{what}/{place}": value for place, value in measure(share).items()}
    return found


def _body(image: np.ndarray) -> np.ndarray:
    """Voxels which, smoothed, lie above a tenth of the way from dark to bright; the same after offset and gain."""
    from scipy import ndimage

    smooth = ndimage.uniform_filter(image, [min(3, size) for size in image.shape], mode="nearest")
    dark, bright = np.percentile(smooth, (2, 98))
    body: np.ndarray = smooth >= dark + BODY * (bright - dark)
    return body


def _sharpness(image: np.ndarray, body: np.ndarray) -> float:
    """Logarithm of the deviation of what a narrow Gaussian removes over that of what it leaves, in the body."""
    from scipy import ndimage

    sigma = [0.0 if size == 1 else SMOOTH for size in image.shape]
    coarse = ndimage.gaussian_filter(image, sigma, mode="nearest")
    fine = (image - coarse)[body].std()
    return float(np.log(max(fine, 1e-6)) - np.log(max(coarse[body].std(), 1e-6)))


def _layout(image: np.ndarray) -> np.ndarray:
    """Block means of a volume (z, y, x), mean 0 and deviation 1 over the blocks; all 0 where it is flat."""
    factor = 1
    while np.prod([-(-size // factor) for size in image.shape]) > LAYOUT_BLOCKS:
        factor += 1
    padded = np.pad(image, [(0, -size % min(factor, size)) for size in image.shape], mode="edge")
    shape = [part for size in padded.shape for part in (size // min(factor, size), min(factor, size))]
    means = padded.reshape(shape).mean(axis=(1, 3, 5)).ravel()
    spread = means.std()
    standard: np.ndarray = (means - means.mean()) / spread if spread > 1e-6 else np.zeros_like(means)
    return standard
