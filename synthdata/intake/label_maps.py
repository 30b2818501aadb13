"""Label maps of image files, put on the grid of their image."""

from collections.abc import Collection

import numpy as np

from synthdata.intake.geometry import overlaps, resample
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.nifti_file import NiftiImage
from synthdata.records.grid import Grid


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
    if not set(np.unique(labels.voxels).tolist()) <= {0, *values} or len(labels.voxels) != 1:
        seen.reasons.add("mask.unknown_value")
        return None
    mask: np.ndarray = labels.voxels[0].astype(np.uint8)
    if labels.grid.matches(grid):
        return mask
    if not overlaps(labels.grid, grid):
        seen.reasons.add("mask.off_grid")
        return None
    inventory.notes.add("masks on other grids were resampled to their image's grid, by nearest neighbour")
    return resample(mask, labels.grid, grid, order=0, fill=0)
