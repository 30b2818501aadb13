"""Boxes of a thumbnail: where they lie, and how the content of one becomes a vector."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from synthdata.privacy.thumbnails import Thumbnails
from synthdata.privacy.views import block_weight, whitening

PATCH = "patch"  # name among the views
PART = 5  # a box is this part of a long axis
PLACES = 8  # of boxes along a long axis
SHORT = 8  # voxels of an axis that is not cut
LEAST_CONTRAST = 0.25  # standard deviation within a box over that of the case, in the median patient
FLOOR = 0.1  # of the case's standard deviation: a box with less contrast is not blown up

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """One box: how its content becomes a vector."""

    box: Box
    mean: np.ndarray  # float32 (d,)
    basis: np.ndarray  # float32 (d, k), blocks weighted

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.basis.shape[1])

    def embed(self, image: np.ndarray, mask: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Vectors float32 (m, k) of images (m, c, z, y, x), masks (m, l, z, y, x) and the images' spread (m, c)."""
        joined = np.concatenate(_content(image, mask, spread, self.box), axis=1)
        vectors: np.ndarray = (joined - self.mean) @ self.basis
        return vectors


def fitted_places(cases: Thumbnails) -> Iterator[Place]:
    """The boxes that are not flat in most of some real cases, and in which these differ; fitted on them."""
    spread = spread_of(cases.image)
    flat = np.maximum(spread.max(axis=1), 1e-6)
    for box in boxes_of(cases.shape_zyx):
        if np.median(_contrast(cases.image, box) / flat) >= LEAST_CONTRAST:
            place = _place(cases, spread, box)
            if place is not None:
                yield place


def are_apart(one: Box, other: Box) -> bool:
    """Whether two boxes have no voxel in common."""
    return any(a.stop <= b.start or b.stop <= a.start for a, b in zip(one, other, strict=True))


def boxes_of(shape_zyx: tuple[int, ...]) -> tuple[Box, ...]:
    """Overlapping boxes that cover a thumbnail."""
    z, y, x = (_intervals(size) for size in shape_zyx)
    return tuple(product(z, y, x))


def _intervals(size: int) -> list[slice]:
    if size <= SHORT:
        return [slice(0, size)]
    side = -(-size // PART)
    starts = np.unique(np.rint(np.linspace(0, size - side, PLACES)).astype(int))
    return [slice(int(start), int(start) + side) for start in starts]


def _contrast(image: np.ndarray, box: Box) -> np.ndarray:
    """Largest standard deviation of a channel within the box, (n,)."""
    inside = image[(slice(None), slice(None), *box)]
    contrast: np.ndarray = inside.reshape(*inside.shape[:2], -1).std(axis=2).max(axis=1)
    return contrast


def spread_of(image: np.ndarray) -> np.ndarray:
    """Standard deviation of each channel, (m, c)."""
    spread: np.ndarray = image.reshape(*image.shape[:2], -1).std(axis=2)
    return spread


def _content(
    image: np.ndarray, mask: np.ndarray, whole: np.ndarray, box: Box
) -> tuple[np.ndarray, np.ndarray]:
    """Image without its brightness and contrast, and masks, each (m, d)."""
    inside = image[(slice(None), slice(None), *box)].reshape(*image.shape[:2], -1)
    spread = np.maximum(np.maximum(inside.std(axis=2), FLOOR * whole), 1e-6)
    scaled = (inside - inside.mean(axis=2, keepdims=True)) / spread[:, :, None]
    labels = mask[(slice(None), slice(None), *box)]
    return scaled.reshape(len(image), -1), labels.reshape(len(image), -1)


def _place(cases: Thumbnails, spread: np.ndarray, box: Box) -> Place | None:
    """Fit one box; image and masks have equal total variance. None where nothing varies."""
    blocks = _content(cases.image, cases.mask, spread, box)
    weights = [block_weight(float(block.var(axis=0).sum())) for block in blocks]
    if not any(weights):
        return None
    scale = np.concatenate(
        [np.full(block.shape[1], weight) for block, weight in zip(blocks, weights, strict=True)]
    )
    joined = np.concatenate(blocks, axis=1)
    mean = joined.mean(axis=0)
    rows = (joined - mean) * scale
    basis = (scale[:, None] * whitening(rows, PATCH)).astype(np.float32)
    return Place(box=box, mean=mean, basis=basis)
