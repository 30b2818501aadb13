"""How intensities run across the outline of a label, along each axis: where a mask lies, told to a part of a voxel.

At each face of a label, such as its upper end along x, the image is read along that axis, inwards and outwards. Masks
that were moved see the same run of intensities, moved by as much, outwards at one face and inwards at the other.
"""

import numpy as np

REACH = 7  # voxels inwards and outwards
SIDES = ("lower", "upper")
AXES = "zyx"
LEAST_SPREAD = 1e-3  # network units


def runs(region: np.ndarray, image: np.ndarray) -> dict[str, np.ndarray]:
    """Mean intensity at each step from the faces of a region.

    Args:
        region: Bool (z, y, x), with at least one voxel.
        image: One channel (z, y, x).

    Returns:
        `<axis>/<side>` to (2 REACH + 1,), from REACH voxels inwards to REACH outwards; mean 0 and deviation 1 over all
        faces of an axis, so that offset and gain are gone. Axes with one voxel are left out. Beyond the grid its last
        voxel counts on.
    """
    found: dict[str, np.ndarray] = {}
    for axis in _long_axes(region.shape):
        both = np.stack([_run(region, image, axis, step) for step in (-1, 1)])
        spread = max(float(both.std()), LEAST_SPREAD)
        found |= {
            f"{AXES[axis]}/{side}": (run - both.mean()) / spread
            for side, run in zip(SIDES, both, strict=True)
        }
    return found


def no_runs(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The same names with zeros, where a label is absent."""
    return {f"{AXES[axis]}/{side}": np.zeros(2 * REACH + 1) for axis in _long_axes(shape) for side in SIDES}


def _long_axes(shape: tuple[int, ...]) -> list[int]:
    return [axis for axis, size in enumerate(shape) if size > 1]


def _run(region: np.ndarray, image: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Mean intensity along the axis, at the faces that look in the direction of the step, outwards."""
    beyond = np.roll(region, -step, axis)
    edge = [slice(None)] * region.ndim
    edge[axis] = slice(-1, None) if step > 0 else slice(0, 1)
    beyond[tuple(edge)] = False
    places = np.nonzero(region & ~beyond)
    along = places[axis][None] + step * np.arange(-REACH, REACH + 1)[:, None]  # (steps, faces)
    index = [np.broadcast_to(place, along.shape) for place in places]
    index[axis] = along.clip(0, region.shape[axis] - 1)
    means: np.ndarray = image[tuple(index)].mean(axis=1, dtype=np.float64)
    return means
