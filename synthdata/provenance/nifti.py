"""The voxels and the description of a NIfTI-1 file, without a further package: all that `verify` needs."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from synthdata.errors import UnreadableFileError

HEADER_BYTES = 348
TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
GZIP_MAGIC = b"\x1f\x8b"
MAX_AXES = 7


def is_nifti(head: bytes) -> bool:
    """Whether some first bytes, not compressed, are those of a single-file NIfTI-1."""
    return len(head) >= HEADER_BYTES and head[344:348] in {b"n+1\0", b"ni1\0"}


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file, decompressed where it is gzip; empty where that fails."""
    try:
        with path.open("rb") as reader:
            head = reader.read(HEADER_BYTES + 4)
        if not head.startswith(GZIP_MAGIC):
            return head
        with gzip.open(path, "rb") as unzipped:
            return unzipped.read(HEADER_BYTES + 4)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""


def read_nifti(path: Path) -> tuple[np.ndarray, str]:
    """Stored voxels (..., z, y, x), without slope and offset, and the description field.

    Raises:
        UnreadableFileError: The file is no NIfTI-1, was cut, or holds voxels which are no plain numbers.

    Source:
        NIfTI-1.1 data format, https://nifti.nimh.nih.gov/nifti-1 (nifti1.h).
    """
    try:
        data = path.read_bytes()
        if data.startswith(GZIP_MAGIC):
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _unreadable(path, "is cut or damaged inside its compression") from None
    if not is_nifti(data):
        raise _unreadable(path, "has no NIfTI-1 header")
    order = "<" if struct.unpack("<i", data[:4])[0] == HEADER_BYTES else ">"
    axes, *sizes = struct.unpack(f"{order}8h", data[40:56])
    kind = TYPES.get(struct.unpack(f"{order}h", data[70:72])[0])
    if kind is None:
        raise _unreadable(path, "holds voxels which are no plain numbers")
    if not 1 <= axes <= MAX_AXES or min(sizes[:axes]) < 1:
        raise _unreadable(path, "has a header with an impossible shape")
    start = int(struct.unpack(f"{order}f", data[108:112])[0])
    shape = tuple(sizes[:axes])[::-1]
    dtype = np.dtype(order + kind)
    if start < HEADER_BYTES or start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize > len(data):
        raise _unreadable(path, "has fewer voxels than its header says")
    count = int(np.prod(shape, dtype=np.int64))
    voxels = np.frombuffer(data, dtype, count=count, offset=start).reshape(shape)
    return voxels.astype(dtype.newbyteorder("=")), data[148:228].split(b"\0")[0].decode("latin-1")


def _unreadable(path: Path, what: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path.name} {what}, expected a single-file NIfTI-1 (.nii, .nii.gz): export it again"
    )
