"""Which files are archives, known by their first bytes; and the plain stream of a compressed one."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Literal, cast

import pyarrow as pa

Kind = Literal["", "zip", "tar", "packed", "closed"]

BLOCK = 512  # of tar
MAGIC = slice(128, 132)  # of DICOM
CHECKSUM = slice(148, 156)  # of a tar header, in octal digits; older ones have no magic word
USTAR = slice(257, 262)
ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # with files, without one, in volumes
GZIP, BZIP2, XZ, ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
CLOSED = (
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x04\x22\x4d\x18",  # LZ4
    b"\x1f\x9d",  # compress
    b"LZIP",
    b"MSCF",  # cabinet
    ZSTD,  # of something else than a tar file
)
DISC, DISC_AT = b"CD001", 0x8001  # an image of a CD
NAME_END = 30 + 255  # of the first member of a ZIP: a local header and its name
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    pa.ArrowException,
    EOFError,
    ValueError,
    NotImplementedError,
)


def archive_kind(path: Path) -> Kind:
    """Kind of an archive; `packed` is one compressed DICOM file, `closed` one that intake cannot open.

    Empty for another file, and for an NPZ file, though that is a ZIP.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as reader:
            if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
                return ""
            head = reader.read(BLOCK)
            if is_dicom_head(head):
                return ""
            if not any(head) and reader.seek(DISC_AT) and reader.read(len(DISC)) == DISC:
                return "closed"
        if head.startswith(ZIPS):
            return _zip_kind(path, head)
        return _packed_kind(path, head)
    except OSError:
        return ""


def is_dicom_head(head: bytes) -> bool:
    """True for the beginning of a DICOM file."""
    return head[MAGIC] == b"DICM"


def _zip_kind(path: Path, head: bytes) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return "" if names and all(name.endswith(".npy") for name in names) else "zip"
    except DAMAGE:
        return "" if b".npy" in head[:NAME_END] else "zip"  # a damaged NPZ file is judged by its own reader


def _packed_kind(path: Path, head: bytes) -> Kind:
    """Of a tar file, plain or compressed, or of one compressed file."""
    plain = head
    if head.startswith((GZIP, BZIP2, XZ, ZSTD)):
        try:
            with plain_stream(path) as reader:
                plain = reader.read(BLOCK)
        except (OSError, *DAMAGE):
            plain = b""
        if is_dicom_head(plain):
            return "packed"
    if _is_tar(plain):
        return "tar"
    return "closed" if head.startswith(CLOSED) else ""


def _is_tar(block: bytes) -> bool:
    """True for the first block of a tar file."""
    if len(block) < BLOCK or block[USTAR] == b"ustar":
        return block[USTAR] == b"ustar"
    said = block[CHECKSUM].strip(b" \0")
    return said.isdigit() and set(said) <= set(b"01234567") and _sum(block) == int(said, 8)


def _sum(block: bytes) -> int:
    return sum(block) - sum(block[CHECKSUM]) + 8 * ord(" ")


def plain_stream(path: Path) -> IO[bytes]:
    """Reader of a file, uncompressed while it is read."""
    with path.open("rb") as reader:
        head = reader.read(len(XZ))
    if head.startswith(GZIP):
        return cast("IO[bytes]", gzip.open(path))
    if head.startswith(BZIP2):
        return bz2.open(path)
    if head.startswith(XZ):
        return lzma.open(path)
    if head.startswith(ZSTD):
        return cast("IO[bytes]", pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")
