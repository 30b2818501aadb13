"""Arrays of many cases on disk instead of in memory: a file without a name, gone with the process that made it."""

import math
import tempfile
import weakref
from dataclasses import dataclass

import numpy as np

from synthdata.errors import StoreError
from synthdata.storage.disk import on_disk

PLACE = "the temporary folder (TMPDIR)"


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an array lies in a `Scratch`."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class Scratch:
    """A temporary file of arrays."""

    def __init__(self) -> None:
        """Open the file, in TMPDIR."""
        with on_disk(PLACE):
            self._file = tempfile.TemporaryFile(prefix="synthdata-")  # noqa: SIM115  closed by the next line
        weakref.finalize(self, self._file.close)
        self._end = 0

    def keep(self, values: np.ndarray) -> Kept:
        """Write an array."""
        kept = Kept(self._end, values.shape, values.dtype)
        with on_disk(PLACE):
            self._file.seek(self._end)
            self._end += self._file.write(np.ascontiguousarray(values).tobytes())
        return kept

    def read(self, kept: Kept) -> np.ndarray:
        """The array again.

        Raises:
            StoreError: The file cannot be read.
        """
        values = np.empty(math.prod(kept.shape), kept.dtype)
        with on_disk(PLACE, "read"):
            self._file.seek(kept.offset)
            count = self._file.readinto(values.view(np.uint8).data)
        if count != values.nbytes:
            raise StoreError(
                f"a file in {PLACE} gave {count} bytes, expected {values.nbytes}: check the disk and run it again"
            )
        return values.reshape(kept.shape)
