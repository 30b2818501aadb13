"""Label maps of image files, put on the grid of their image."""

from collections.abc import Collection

import numpy as np

from synthdata.intake.geometry import overlaps, resample
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.nifti_file import NiftiImage
from synthdata.records.grid import Grid

ROUNDING = 1e-4  # a decimal label this near to a whole number is that number


def mask_of(
    labels: NiftiImage, seen: SeenFile, *, grid: Grid, values: Collection[int], inventory: Inventory
) -> np.ndarray | None:
    """Mask of a label map on a grid.

    Args:
        labels: Voxels (1, z, y, x).
        seen: Its file; takes the reason where there is no mask.
        grid: Of the image.
        values: Of the spec's labels.
        inventory: Takes a note where the map was resampled.

    Returns:
        uint8 (z, y, x), or None.
    """
    if len(labels.voxels) != 1:
        seen.reasons.add("case.other_channels")
        return None
    numbers = labels.voxels[0]
    if numbers.dtype.kind == "f":  # whole numbers that a scale or a program made decimal
        rounded = np.rint(numbers)
        numbers = np.where(np.abs(numbers - rounded) <= ROUNDING, rounded, numbers)
    if not set(np.unique(numbers).tolist()) <= {0, *values}:
        seen.reasons.add("mask.unknown_value")
        return None
    mask: np.ndarray = numbers.astype(np.uint8)
    if labels.grid.matches(grid):
        return mask
    if not overlaps(labels.grid, grid):
        seen.reasons.add("mask.off_grid")
        return None
    inventory.notes.add("masks on other grids were resampled to their image's grid, by nearest neighbour")
    return resample(mask, labels.grid, grid, order=0, fill=0)
