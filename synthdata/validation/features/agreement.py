"""How well a mask lies on an image, beside how well the mask of another case would lie there.

Contrast of a label against the ring around it, and steepness along its outline against that beside it. An image which
belongs to its mask fits it better than another mask; where masks and images were mixed up it does not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from synthdata.records.case import Case
from synthdata.records.training import ChannelScale
from synthdata.validation.features.outline import no_runs, runs

VERSION = "4"  # a change of any definition below is a new version: it is part of the key of stored features
RING_VOXELS = 3  # around a label
NEAR_VOXELS = 5  # around a label, where its outline is compared with what lies beside it
OWN, OTHER, OUTLINE = "own", "other", "outline"


def agreements(
    cases: Iterable[Case], scales: Sequence[ChannelScale], labels: Mapping[str, int]
) -> Iterator[tuple[Case, dict[str, float]]]:
    """Measure each case with its own mask, and label by label with that of the last case before it which has it.

    Args:
        cases: Encoded by `scales`.
        scales: One per channel.
        labels: Name to mask value.

    Yields:
        A case and name to value: `<label>/volume_mm3`, `<label>/euler` (`euler_number`), `<label>/<own or
        other>/present`, and for each of the two and each channel `.../contrast` (in standard deviations) and
        `.../edge` (logarithm of a ratio), and `<label>/outline/<channel>/<axis>/<side>/<step>` (`runs`), which are 0
        where the label is absent.
    """
    last: dict[str, np.ndarray] = {}
    for case in cases:
        network = np.stack([scale.to_network(case.image[index]) for index, scale in enumerate(scales)])
        found: dict[str, float] = {}
        for name, value in labels.items():
            region: np.ndarray = case.mask == value
            other = last.get(name)
            found[f"{name}/volume_mm3"] = float(region.sum() * np.prod(case.grid.spacing_mm))
            found[f"{name}/euler"] = float(euler_number(region)) if region.any() else 0.0
            fits = region.any() and other is not None
            found |= _measured(f"{name}/{OWN}", region, network, scales)
            found |= _measured(
                f"{name}/{OTHER}",
                other if fits and other is not None else np.zeros_like(region),
                network,
                scales,
            )
            found |= _crossings(name, region, network, scales)
            if region.any():
                last[name] = region
        yield case, found


def euler_number(region: np.ndarray) -> int:
    """Parts minus tunnels plus cavities of a region (z, y, x), whose voxels touch at corners, too.

    Vertices minus edges plus faces minus voxels of the closed voxels: 1 for a ball, 0 for a ring, 2 for a shell.

    Source:
        Kong and Rosenfeld, "Digital topology", Comput. Vis. Graph. Image Process. 48 (1989), 357-393.
    """
    total = 0
    for axes in product((False, True), repeat=3):
        cells = np.pad(region, 1)
        for axis, joined in enumerate(axes):
            if joined:
                lines = np.moveaxis(cells, axis, 0)
                cells = np.moveaxis(lines[:-1] | lines[1:], 0, axis)
        total += (1 if sum(axes) % 2 else -1) * int(cells.sum())
    return total


def _measured(
    name: str, region: np.ndarray, network: np.ndarray, scales: Sequence[ChannelScale]
) -> dict[str, float]:
    """Contrast and edge of one label in each channel, within the box around it."""
    found = {f"{name}/present": float(region.any())}
    if not region.any():
        for scale in scales:
            found |= {f"{name}/{scale.channel}/contrast": 0.0, f"{name}/{scale.channel}/edge": 0.0}
        return found
    box = _box(region, NEAR_VOXELS + 1)
    inside = region[box]
    from scipy import ndimage

    cross = ndimage.generate_binary_structure(3, 1)
    ring = ndimage.binary_dilation(inside, cross, iterations=RING_VOXELS) & ~inside
    near = ndimage.binary_dilation(inside, cross, iterations=NEAR_VOXELS)
    outline = ndimage.binary_dilation(inside, cross) & ~ndimage.binary_erosion(inside, cross, border_value=1)
    for index, scale in enumerate(scales):
        image = network[index][box]
        found[f"{name}/{scale.channel}/contrast"] = _contrast(image[inside], image[ring])
        steep = _steepness(image)
        along, around = steep[outline].mean(), steep[near & ~outline]
        ratio = max(along, 1e-6) / max(around.mean() if around.size else along, 1e-6)
        found[f"{name}/{scale.channel}/edge"] = float(np.log(ratio))
    return found


def _crossings(
    name: str, region: np.ndarray, network: np.ndarray, scales: Sequence[ChannelScale]
) -> dict[str, float]:
    """How each channel runs across the outline of one label."""
    found: dict[str, float] = {}
    for index, scale in enumerate(scales):
        crossed = runs(region, network[index]) if region.any() else no_runs(region.shape)
        for face, values in crossed.items():
            place = f"{name}/{OUTLINE}/{scale.channel}/{face}"
            found |= {f"{place}/{step:02d}": float(value) for step, value in enumerate(values)}
    return found


def _contrast(inside: np.ndarray, around: np.ndarray) -> float:
    """Difference of the means of a label and of the ring around it, over their pooled deviation."""
    if not around.size:
        return 0.0
    pooled = np.sqrt((inside.var() * inside.size + around.var() * around.size) / (inside.size + around.size))
    return float((inside.mean() - around.mean()) / max(pooled, 1e-3))


def _steepness(image: np.ndarray) -> np.ndarray:
    """Length of the gradient per voxel, along the axes which have more than one voxel."""
    axes = [axis for axis, size in enumerate(image.shape) if size > 1]
    slopes = [np.gradient(image, axis=axis) for axis in axes]
    length: np.ndarray = np.sqrt(np.sum([slope**2 for slope in slopes], axis=0)) if slopes else image * 0
    return length


def _box(region: np.ndarray, margin: int) -> tuple[slice, ...]:
    """Box around a region which has voxels, wider by a margin, within the grid."""
    box = []
    for axis in range(region.ndim):
        line = np.flatnonzero(region.any(axis=tuple(other for other in range(region.ndim) if other != axis)))
        box.append(slice(max(0, int(line[0]) - margin), int(line[-1]) + 1 + margin))
    return tuple(box)
