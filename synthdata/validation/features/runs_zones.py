"""Run lengths (GLRLM, directions merged) and size zones (GLSZM), 3D. Source: IBSI-1, sections 3.7 and 3.8."""

import numpy as np

from synthdata.validation.features.cooccurrence import DIRECTIONS


def run_lengths(levels: np.ndarray, count: int) -> np.ndarray:
    """Runs of equal level along all directions, added, shape (count, longest side).

    Args:
        levels: Discretised intensities 1..count, 0 outside the region, shape (z, y, x).
        count: Number of grey levels.

    Returns:
        Entry (i, j) counts the runs of level i + 1 and length j + 1.
    """
    longest = max(levels.shape)
    padded = np.pad(levels.astype(np.int16), 1)
    flat = padded.ravel()
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    total = np.zeros((count + 1) * (longest + 1), np.int64)
    for direction in _directions(levels.shape):
        offset = sum(step * stride for step, stride in zip(direction, strides, strict=True))
        equal = np.zeros(len(flat), bool)  # a voxel and the next one along the direction
        np.equal(flat[:-offset], flat[offset:], out=equal[:-offset])
        starts = flat > 0
        starts[offset:] &= ~equal[:-offset]
        total[1 :: longest + 1] += np.bincount(flat[starts & ~equal], minlength=count + 1)
        alive, length = np.flatnonzero(starts & equal), 2
        while alive.size:
            goes_on = equal[alive + (length - 1) * offset]
            total[length :: longest + 1] += np.bincount(flat[alive[~goes_on]], minlength=count + 1)
            alive = alive[goes_on]
            length += 1
    return total.reshape(count + 1, longest + 1)[1:, 1:]


def _directions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The 13 directions of a volume, the 4 of an image of one slice."""
    able = [d for d in DIRECTIONS if not any(step and size == 1 for step, size in zip(d, shape, strict=True))]
    return able or [(0, 0, 1)]


def size_zones(levels: np.ndarray) -> np.ndarray:
    """Sizes and levels of connected zones (26 neighbours), as rows (level, voxels), shape (zones, 2).

    Args:
        levels: Discretised intensities from 1, 0 outside the region, shape (z, y, x), at least one voxel inside.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    padded = np.pad(levels.astype(np.int16), 1)
    flat = padded.ravel()
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    inside = np.flatnonzero(flat)
    place = (np.cumsum(flat > 0) - 1).astype(np.int32)  # of a voxel among those inside
    pairs = []
    for direction in _directions(levels.shape):
        offset = sum(step * stride for step, stride in zip(direction, strides, strict=True))
        first = np.flatnonzero((flat[:-offset] == flat[offset:]) & (flat[:-offset] > 0))
        pairs.append(np.stack([place[first], place[first + offset]]))
    joined = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(joined.shape[1]), joined), shape=(len(inside), len(inside)))
    graph.has_canonical_format = True  # each pair once: nothing to sort or to add up
    found, zone = connected_components(graph.tocsr(), directed=False)
    level = np.zeros(found, np.int64)
    level[zone] = flat[inside]
    return np.stack([level, np.bincount(zone, minlength=found)], axis=1)


def run_length_features(levels: np.ndarray, count: int) -> dict[str, float]:
    """Run length features of one region (at least one voxel); run percentage is per direction and voxel."""
    matrix = run_lengths(levels, count)
    level, length = np.nonzero(matrix)
    voxels = int((levels > 0).sum())
    return _emphases(level + 1, length + 1, matrix[level, length], voxels * len(_directions(levels.shape)))


def size_zone_features(levels: np.ndarray) -> dict[str, float]:
    """Size zone features of one region (at least one voxel)."""
    zones = size_zones(levels)
    kinds, times = np.unique(zones[:, 0] * (levels.size + 1) + zones[:, 1], return_counts=True)
    level, size = np.divmod(kinds, levels.size + 1)
    return _emphases(level, size, times, int((levels > 0).sum()))


def _emphases(level: np.ndarray, size: np.ndarray, times: np.ndarray, most: int) -> dict[str, float]:
    """The features which run lengths and size zones share: a list of (level, size) seen `times` times."""
    i, j, s = level.astype(np.float64), size.astype(np.float64), times.astype(np.float64)
    n = s.sum()
    p = s / n
    by_level = np.bincount(level, weights=s)
    by_size = np.unique(size, return_inverse=True)[1]
    of_size = np.bincount(by_size, weights=s)
    return {
        "small_emphasis": float((p / j**2).sum()),
        "large_emphasis": float((p * j**2).sum()),
        "low_level_emphasis": float((p / i**2).sum()),
        "high_level_emphasis": float((p * i**2).sum()),
        "small_low_emphasis": float((p / (i**2 * j**2)).sum()),
        "small_high_emphasis": float((p * i**2 / j**2).sum()),
        "large_low_emphasis": float((p * j**2 / i**2).sum()),
        "large_high_emphasis": float((p * i**2 * j**2).sum()),
        "level_non_uniformity": float((by_level**2).sum() / n),
        "level_non_uniformity_normalised": float((by_level**2).sum() / n**2),
        "size_non_uniformity": float((of_size**2).sum() / n),
        "size_non_uniformity_normalised": float((of_size**2).sum() / n**2),
        "percentage": float(n / most),
        "level_variance": float((p * i**2).sum() - (p * i).sum() ** 2),
        "size_variance": float((p * j**2).sum() - (p * j).sum() ** 2),
        "entropy": float(-(p * np.log2(p)).sum()) + 0.0,
    }
