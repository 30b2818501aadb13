"""Lookup tables from stored numbers to values: the modality's own, and those of real-world value maps."""

import io
from dataclasses import dataclass

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from synthdata.intake.scales import MODALITY_TABLE, Scale

MOST_ENTRIES = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """Value of each stored number from a first one on."""

    first: int
    values: np.ndarray  # float64, shape (n,), n > 0
    is_open: bool  # numbers before and behind the table have the value of its end; else they have none

    def of(self, numbers: np.ndarray) -> np.ndarray | None:
        """Values (float64, any shape) of stored numbers; None where one has none."""
        index = np.asarray(numbers, dtype=np.int64) - self.first
        inside = np.clip(index, 0, len(self.values) - 1)
        if not self.is_open and not np.array_equal(inside, index):
            return None
        found: np.ndarray = self.values[inside]
        return found


def lookup_table(data: bytes, frame: int, scale: Scale) -> Table:
    """Table of a scale.

    Args:
        data: The DICOM file.
        frame: Number of the frame in it, from 0.
        scale: Which has a table.

    Raises:
        ValueError, LookupError, AttributeError: The table is not there, or contradicts its descriptor.

    Source:
        DICOM PS3.3, C.11.1 (Modality LUT) and C.7.6.16.2.11 (Real World Value Mapping).
    """
    dataset = dcmread(io.BytesIO(data), stop_before_pixels=True)
    if scale.table == MODALITY_TABLE:
        return _modality(dataset)
    item = _maps(dataset, frame)[scale.table]
    values = np.atleast_1d(np.asarray(item.RealWorldValueLUTData, dtype=np.float64))
    if len(values) != int(scale.last) - int(scale.first) + 1:
        raise ValueError("a real-world table does not have a value for each number that it maps")
    return Table(first=int(scale.first), values=values, is_open=False)


def _maps(dataset: Dataset, frame: int) -> list[Dataset]:
    """Real-world value maps of a frame: its own, the shared ones, or those of the whole image."""
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())[frame : frame + 1]
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]
    found = (level.get("RealWorldValueMappingSequence") for level in (*own, *shared, dataset))
    return list(next(items for items in found if items))


def _modality(dataset: Dataset) -> Table:
    item = dataset.ModalityLUTSequence[0]
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    count = count or MOST_ENTRIES
    if int(dataset.get("PixelRepresentation", 0)) and first >= MOST_ENTRIES // 2:
        first -= MOST_ENTRIES  # written as unsigned
    words = item.LUTData
    if isinstance(words, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        words = np.frombuffer(words[: len(words) // 2 * 2], f"{order}u2")
    entries = np.atleast_1d(np.asarray(words, dtype=np.uint16))
    if bits <= 8 and len(entries) < count:  # two in a word
        entries = entries.astype("<u2").view(np.uint8)
    if not 0 < count <= len(entries) or not 0 < bits <= 16:
        raise ValueError("a modality table has fewer entries than its descriptor says")
    return Table(first=first, values=entries[:count].astype(np.float64), is_open=True)
