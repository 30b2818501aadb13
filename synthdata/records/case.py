"""One case, real or synthetic: image, mask and record of one patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from synthdata.errors import ShapeError
from synthdata.records.grid import Grid

Value = float | int | str | bool | None  # of a record column
IMAGE_TYPES = frozenset({np.dtype(np.int16), np.dtype(np.float32)})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """One row of a CaseSet, in memory. Never a part of a message or a log."""

    case_id: str
    patient_id: str  # keyed pseudonym of a real patient, or `SYN-...`
    image: np.ndarray  # int16 or float32 (c, z, y, x); the unit of a channel is in the CaseSet
    mask: np.ndarray  # uint8 (z, y, x); 0 is background
    grid: Grid
    record: Mapping[str, Value]
    provenance: Mapping[str, Value] = field(default_factory=dict)  # seed, scaling, shard ...; no patient data

    def __post_init__(self) -> None:
        shape = self.grid.shape_zyx
        if self.image.ndim != 4 or self.image.shape[1:] != shape or self.mask.shape != shape:
            raise ShapeError(
                f"image has shape {self.image.shape} and mask {self.mask.shape}, "
                f"expected (c, z, y, x) and (z, y, x) on a grid of {shape}: resample one to the other"
            )
        if self.image.dtype not in IMAGE_TYPES or self.mask.dtype != np.uint8:
            raise ShapeError(
                f"image is {self.image.dtype} and mask {self.mask.dtype}, "
                "expected int16 or float32, and uint8: convert before the case is made"
            )
