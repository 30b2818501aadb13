"""Prepared cases on disk between two passes, so that memory holds one of them."""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from synthdata.records.case import Case


@dataclass(frozen=True, slots=True)
class _Entry:
    case: Case  # without voxels of its own: zero-stride stand-ins
    offset: int


class Spool:
    """A temporary file of prepared cases of one shape."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("w+b")
        self._entries: list[_Entry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, case: Case) -> int:
        """Write a case; returns its index."""
        offset = self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(case.image).tobytes())
        self._file.write(np.ascontiguousarray(case.mask).tobytes())
        self._entries.append(_Entry(_without_voxels(case), offset))
        return len(self._entries) - 1

    def light(self, index: int) -> Case:
        """A case with its record; its voxels read as zero."""
        return self._entries[index].case

    def read(self, index: int) -> Case:
        """A whole case."""
        entry = self._entries[index]
        shape, kind = entry.case.image.shape, entry.case.image.dtype
        self._file.seek(entry.offset)
        image = np.frombuffer(self._file.read(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape)
        mask = np.frombuffer(self._file.read(int(np.prod(shape[1:]))), np.uint8).reshape(shape[1:])
        return _with_voxels(entry.case, image, mask)


def _without_voxels(case: Case) -> Case:
    image = np.broadcast_to(np.zeros((), case.image.dtype), case.image.shape)
    return _with_voxels(case, image, np.broadcast_to(np.zeros((), np.uint8), case.mask.shape))


def _with_voxels(case: Case, image: np.ndarray, mask: np.ndarray) -> Case:
    return Case(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=image,
        mask=mask,
        grid=case.grid,
        record=case.record,
        provenance=case.provenance,
    )
