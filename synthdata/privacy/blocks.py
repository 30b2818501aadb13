"""Block means of volumes, as they lie and moved by whole voxels: what thumbnails are made of."""

from collections.abc import Sequence
from itertools import product

import numpy as np

VOXELS = 8000  # of a thumbnail, at most
Move = tuple[int, ...]  # whole voxels along z, y, x


def block_factor(shape_zyx: tuple[int, int, int]) -> tuple[int, int, int]:
    """Smallest block, equal along all axes longer than 8, whose thumbnail has at most VOXELS voxels."""
    factor = 1
    while True:
        blocks = tuple(factor if size > 8 else 1 for size in shape_zyx)
        if np.prod([-(-size // block) for size, block in zip(shape_zyx, blocks, strict=True)]) <= VOXELS:
            return blocks[0], blocks[1], blocks[2]
        factor += 1


def block_mean(volume: np.ndarray, factor: tuple[int, int, int]) -> np.ndarray:
    """Means over blocks of the last three axes, edges repeated; float32.

    Both ends are padded alike where that is possible, so that a mirrored volume has a mirrored thumbnail.
    """
    if factor == (1, 1, 1) or not volume.size:
        return np.asarray(volume[:, :: factor[0], :: factor[1], :: factor[2]], np.float32)
    padding = [(0, 0), *(_padding(size, block) for size, block in zip(volume.shape[1:], factor, strict=True))]
    padded = np.pad(volume, padding, mode="edge")
    c, z, y, x = padded.shape
    fz, fy, fx = factor
    blocks = padded.reshape(c, z // fz, fz, y // fy, fy, x // fx, fx)
    means: np.ndarray = blocks.mean(axis=(2, 4, 6), dtype=np.float32)
    return means


def moves_of(shape_zyx: tuple[int, int, int], reach: int) -> tuple[Move, ...]:
    """Moves by up to `reach` whole voxels along each axis longer than one, at rest first, then by their length."""
    ranges = [range(-reach, reach + 1) if size > 1 else range(1) for size in shape_zyx]
    return tuple(sorted(product(*ranges), key=lambda move: sum(abs(step) for step in move)))


def moved_block_means(volume: np.ndarray, factor: tuple[int, int, int], moves: Sequence[Move]) -> np.ndarray:
    """Block means (s, c, z, y, x) of a volume (c, z, y, x) that is moved by whole voxels, edges repeated; float32."""
    reach = max(abs(step) for move in moves for step in move)
    parts = np.asarray(volume, np.float32)[None]
    for axis, block in enumerate(factor):
        size = volume.shape[axis + 1]
        low, high = _padding(size, block)
        widths = [(0, 0)] * parts.ndim
        widths[axis + 2] = (low + reach, high + reach)
        padded = np.moveaxis(np.pad(parts, widths, mode="edge"), axis + 2, -1)
        count = (size + low + high) // block
        starts = [reach - step for step in range(-reach, reach + 1)]
        means = [
            padded[..., start : start + count * block].reshape(*padded.shape[:-1], count, block).mean(axis=-1)
            for start in starts
        ]
        parts = np.moveaxis(np.concatenate(means), -1, axis + 2)
    side = 2 * reach + 1
    # the first axis counts x outermost, then y, then z
    rows = [((x + reach) * side + (y + reach)) * side + (z + reach) for z, y, x in moves]
    return parts[rows]


def moved_along(volumes: np.ndarray, step: float, axis: int) -> np.ndarray:
    """Volumes (n, c, z, y, x) or (c, z, y, x) moved by a fraction of voxels along one axis; edges repeated."""
    size = volumes.shape[axis]
    where = np.clip(np.arange(size) - step, 0, size - 1)
    low = np.floor(where).astype(np.int64)
    weight = (where - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(volumes.ndim)])
    high = np.minimum(low + 1, size - 1)
    moved: np.ndarray = volumes.take(low, axis) * (1 - weight) + volumes.take(high, axis) * weight
    return moved


def _padding(size: int, block: int) -> tuple[int, int]:
    """Voxels to add at each end."""
    for extra in range(block):
        if (size + 2 * extra) % block == 0:
            return extra, extra
    return 0, -size % block
