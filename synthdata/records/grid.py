"""Where the voxels of an array lie in the patient: axes (z, y, x), world LPS in mm."""

from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError
from synthdata.records.codec import Record

AXIAL = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid(Record):
    """A regular grid of voxels; a 2D image is a grid with one slice."""

    shape_zyx: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]  # distance of neighbours along z, y, x
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  # LPS position (x, y, z) of voxel (0, 0, 0)
    direction: tuple[float, float, float, float, float, float, float, float, float] = AXIAL
    # three unit vectors in LPS (x, y, z): of the array's z axis, of its y axis, of its x axis

    def __post_init__(self) -> None:
        if min(self.shape_zyx) < 1 or min(self.spacing_mm) <= 0:
            raise ConfigError(
                f"grid has shape {self.shape_zyx} and spacing {self.spacing_mm} mm: expected positive numbers"
            )

    @property
    def axes(self) -> np.ndarray:
        """Unit vectors as rows, shape (3, 3): row k is the LPS direction of array axis k of (z, y, x)."""
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def affine(self) -> np.ndarray:
        """Matrix (4, 4) from voxel index (z, y, x, 1) to LPS (x, y, z, 1) in mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = (self.axes * np.asarray(self.spacing_mm)[:, None]).T
        matrix[:3, 3] = self.origin_mm
        return matrix

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel."""
        z, y, x = self.spacing_mm
        return z * y * x

    def matches(self, other: "Grid", *, tolerance_mm: float = 1e-2) -> bool:
        """True when both grids put each voxel at the same place."""
        return self.shape_zyx == other.shape_zyx and bool(
            np.allclose(self.corners(), other.corners(), rtol=0, atol=tolerance_mm)
        )

    def corners(self) -> np.ndarray:
        """LPS positions in mm of the 8 corner voxels, shape (8, 3)."""
        z, y, x = (n - 1 for n in self.shape_zyx)
        index = np.array([[i, j, k, 1] for i in (0, z) for j in (0, y) for k in (0, x)], dtype=np.float64)
        positions: np.ndarray = (index @ self.affine.T)[:, :3]
        return positions
