"""Radiomics of one case: first order, GLCM, GLRLM, GLSZM, NGTDM and shape, per region and channel.

The definitions are those of IBSI-1 (arXiv:1612.07003) and are tested against its digital phantom. What
differs from a full IBSI chain is said here: no resampling (all cases share one grid), and a fixed number of
bins over the range of the encoding, so that a level means the same intensity in each case and an offset of
all intensities stays visible.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from synthdata.records.case import Case
from synthdata.records.training import ChannelScale
from synthdata.validation.features.cooccurrence import cooccurrence_features
from synthdata.validation.features.first_order import first_order, histogram
from synthdata.validation.features.neighbourhood import neighbourhood_features
from synthdata.validation.features.runs_zones import run_length_features, size_zone_features
from synthdata.validation.features.shape import shape_features

VERSION = "2"  # a change of any definition below is a new version: it is part of the key of stored features
LEVELS = 32
WHOLE = "image"
FOREGROUND = "foreground"
AIR = -0.9  # network intensity: below it, a voxel is outside the body


def radiomics(case: Case, scales: Sequence[ChannelScale], labels: Mapping[str, int]) -> dict[str, float]:
    """All radiomic features of one case.

    Args:
        case: Encoded by `scales`.
        scales: One per channel.
        labels: Name to mask value; each is a region beside the foreground. Without labels the region is the
        image.

    Returns:
        Name `<region>/<channel or shape>/<feature>` to value; the names depend on scales and labels alone. A
        region which a case lacks has 0 in all of its features, `present` included.
    """
    network = np.stack([scale.to_network(case.image[index]) for index, scale in enumerate(scales)])
    levels = np.clip(np.floor((network + 1) / 2 * LEVELS).astype(np.int32), 0, LEVELS - 1) + 1
    features: dict[str, float] = {}
    for name, region in regions(case, network, labels).items():
        present = bool(region.any())
        box = _bounding_box(region) if present else tuple(slice(0, 1) for _ in range(3))
        inside = region[box] if present else np.ones((1, 1, 1), bool)
        found = {"present": float(present)} | {
            f"shape/{key}": value for key, value in shape_features(inside, case.grid.spacing_mm).items()
        }
        found["shape/components"] = float(_components(inside))
        corner = [part.start * mm for part, mm in zip(box, case.grid.spacing_mm, strict=True)]
        for axis, offset in zip("zyx", corner, strict=True):
            found[f"shape/centre_{axis}_mm"] += offset
        for index, scale in enumerate(scales):
            values = case.image[index][box][inside]
            part = _textures(values, np.where(inside, levels[index][box], 0))
            found |= {f"{scale.channel}/{key}": value for key, value in part.items()}
        features |= {f"{name}/{key}": value if present else 0.0 for key, value in found.items()}
    return features


def regions(case: Case, network: np.ndarray, labels: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Regions of interest, boolean (z, y, x): each label, and the body (or the whole image without labels).

    Args:
        case: The case.
        network: Its channels in network intensities, shape (c, z, y, x).
        labels: Name to mask value.
    """
    if not labels:
        return {WHOLE: np.ones(case.mask.shape, bool)}
    found = {name: case.mask == value for name, value in labels.items()}
    return found | {FOREGROUND: foreground(network) | (case.mask > 0)}


def foreground(network: np.ndarray) -> np.ndarray:
    """Voxels of the body: any channel, smoothed over 3 voxels, above air; shape (z, y, x)."""
    from scipy import ndimage

    size = tuple(min(3, side) for side in network.shape[1:])
    smooth = [ndimage.uniform_filter(channel, size=size, mode="nearest") for channel in network]
    inside: np.ndarray = np.max(smooth, axis=0) > AIR
    return inside


def _textures(values: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """First order and texture features of one region of one channel."""
    families = {
        "first_order": first_order(values),
        "histogram": histogram(levels[levels > 0], LEVELS),
        "glcm": cooccurrence_features(levels, LEVELS),
        "glrlm": run_length_features(levels, LEVELS),
        "glszm": size_zone_features(levels),
        "ngtdm": neighbourhood_features(levels, LEVELS),
    }
    return {f"{family}/{name}": value for family, found in families.items() for name, value in found.items()}


def _components(region: np.ndarray) -> int:
    """Connected parts of a region (26 neighbours)."""
    from scipy import ndimage

    return int(ndimage.label(region, structure=np.ones((3, 3, 3), bool))[1])


def _bounding_box(region: np.ndarray) -> tuple[slice, ...]:
    """Smallest box around a region which has voxels."""
    box = []
    for axis in range(region.ndim):
        line = np.flatnonzero(region.any(axis=tuple(other for other in range(region.ndim) if other != axis)))
        box.append(slice(int(line[0]), int(line[-1]) + 1))
    return tuple(box)
