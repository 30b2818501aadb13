"""Run lengths (GLRLM, directions merged) and size zones (GLSZM), 3D. Source: IBSI-1, sections 3.7 and 3.8."""

from collections.abc import Iterator

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
    framed = _framed(levels)
    directions = _directions(levels.shape)
    kinds = []
    for direction in directions:
        line = _along(framed, _offset(direction, framed.shape))
        joined = (line[1:] == line[:-1]) & (line[1:] > 0)  # a voxel and the one before it; False at both ends
        turns = np.flatnonzero(joined[1:] != joined[:-1])
        before, last = turns[::2], turns[1::2]
        kinds.append((last - before + 1) * (count + 1) + line[last])
    runs = np.bincount(np.concatenate(kinds), minlength=(longest + 1) * (count + 1))
    total = runs.reshape(longest + 1, count + 1)
    voxels = np.bincount(framed.ravel(), minlength=count + 1)
    total[1] = len(directions) * voxels - np.arange(longest + 1) @ total  # those which no longer run has
    return total[1:, 1:].T


def _framed(levels: np.ndarray) -> np.ndarray:
    """Levels with a frame of 0, as small integers, (z, y, x)."""
    most = int(levels.max())
    return np.pad(levels.astype(np.uint8 if most < 2**8 else np.int32), 1)


def _offset(direction: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Step along a direction in the voxels of a framed array, one after the other."""
    z, y, x = direction
    return (z * shape[1] + y) * shape[2] + x


def _along(framed: np.ndarray, offset: int) -> np.ndarray:
    """The voxels in the order of a direction, line by line; voxels of the frame lie between lines."""
    flat = framed.ravel()
    lines = np.zeros(-(-len(flat) // offset) * offset, flat.dtype)
    lines[: len(flat)] = flat
    return lines.reshape(-1, offset).T.ravel()


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

    framed = _framed(levels)
    flat = framed.ravel()
    inside = flat > 0
    goes_on = np.zeros(len(flat), bool)  # a voxel and the next one along x are of one run
    goes_on[:-1] = (flat[1:] == flat[:-1]) & inside[:-1]
    starts = inside.copy()
    starts[1:] &= ~goes_on[:-1]
    first, last = np.flatnonzero(starts), np.flatnonzero(inside & ~goes_on)
    run = np.cumsum(starts, dtype=np.int32) - 1  # of a voxel inside
    joined = np.concatenate([run[pair] for pair in _touching(framed, goes_on)], axis=1)
    graph = coo_array((np.ones(joined.shape[1]), joined), shape=(len(first), len(first)))
    graph.has_canonical_format = True  # each pair once: nothing to sort or to add up
    found, zone = connected_components(graph.tocsr(), directed=False)
    level = np.zeros(found, np.int64)
    level[zone] = flat[first]
    return np.stack([level, np.bincount(zone, last - first + 1, found).astype(np.int64)], axis=1)


def _touching(framed: np.ndarray, goes_on: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of voxels, shape (2, n), which join the runs along x of equal level that touch.

    A pair is left out where others say the same: two runs need one pair, and a step along two axes none where one of
    the voxels that it passes has the level, too.
    """
    flat = framed.ravel()
    inside = flat > 0
    straight = {}
    for line in ((0, 1), (1, 0), (1, -1), (1, 1)):
        offset = _offset((*line, 0), framed.shape)
        here = slice(1, len(flat) - offset - 1)
        equal = np.zeros(len(flat), bool)
        np.equal(flat[here], flat[1 + offset : -1], out=equal[here])
        equal &= inside
        straight[line] = equal
        wanted = np.ones(len(flat), bool)
        if all(line):  # by way of the voxel one slice, or one line, further
            wanted &= ~straight[1, 0]
            step = _offset((0, 1, 0), framed.shape)
            beside = straight[0, 1] if line == (1, 1) else np.pad(straight[0, 1], (step, 0))[: len(flat)]
            wanted &= ~beside
        again = equal[:-1] & goes_on[:-1]
        new = equal & wanted
        new[1:] &= ~again
        for step, more in ((0, new), (1, ~equal & ~goes_on & wanted), (-1, ~equal & wanted)):
            pairs = more[here].copy()
            if step:
                pairs &= (
                    flat[here] == flat[here.start + offset + step : here.stop + offset + step]
                ) & inside[here]
            if step == -1:
                pairs &= ~goes_on[: here.stop - 1]
            at = np.flatnonzero(pairs) + 1
            yield np.stack([at, at + offset + step])


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
