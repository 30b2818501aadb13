"""A mask under construction: labels painted on the acquired slices of an image, or laid on its grid."""

import numpy as np

from synthdata.intake.stack import Stack


class Canvas:
    """Takes labels one after another; where two meet, the higher value is kept, and counted."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._slices: dict[int, np.ndarray] = {}  # bool (n, y, x) by mask value
        self._laid: dict[int, np.ndarray] = {}  # bool (z, y, x) by mask value

    def paint(self, value: int, index: int, pixels: np.ndarray) -> None:
        """Add pixels (y, x) of a label on an acquired slice."""
        shape = (len(self._stack.positions_mm), *self._stack.shape_yx)
        self._slices.setdefault(value, np.zeros(shape, dtype=bool))[index] |= pixels

    def lay(self, value: int, voxels: np.ndarray) -> None:
        """Add voxels (z, y, x) of a label on the grid."""
        there = self._laid.get(value)
        self._laid[value] = voxels if there is None else there | voxels

    def add(self, other: "Canvas") -> None:
        """Add what another canvas of the same image holds."""
        for value, slices in other._slices.items():  # noqa: SLF001 # of the same class
            for index, pixels in enumerate(slices):
                self.paint(value, index, pixels)
        for value, voxels in other._laid.items():  # noqa: SLF001
            self.lay(value, voxels)

    def mask(self) -> tuple[np.ndarray, int]:
        """Mask uint8 (z, y, x) on the grid, and the number of voxels which two labels claim."""
        result = np.zeros(self._stack.grid.shape_zyx, np.uint8)
        twice = 0
        for value in sorted({*self._slices, *self._laid}):
            voxels = self._laid.get(value)
            if value in self._slices:
                moved = self._stack.assemble(self._slices[value].astype(np.uint8), order=0, fill=0) > 0
                voxels = moved if voxels is None else voxels | moved
            if voxels is not None:
                twice += int((result[voxels] > 0).sum())
                result[voxels] = value
        return result, twice
