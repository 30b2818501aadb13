"""ZIP and tar files among the scans: unpacked to a private temporary folder, within bounds, or refused as a whole.

No member is written under a path of its own choice, so nothing of an archive can leave that folder.
"""

import bz2
import errno
import hashlib
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from synthdata.intake.inventory import MAXIMUM_BYTES, Inventory, SeenFile
from synthdata.intake.listing import Entry, stamp_of
from synthdata.storage.disk import on_disk

ZIP, GZIP, BZIP2, XZ = b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
BLOCK = 512  # of tar
MAGIC_AT = 257  # of a tar header
MOST_MEMBERS = 200_000
MOST_RATIO = 200  # unpacked to packed; scans reach some 20, bombs 1000 and more
ALWAYS_ALLOWED_BYTES = 1 << 30
CHUNK_BYTES = 1 << 20
ENCRYPTED = 0x1  # flag of a ZIP member
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
)


class _RefusedArchive(Exception):  # noqa: N818 - never leaves this module
    """The reason code with which an archive is refused."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of an archive."""

    name: str
    open: Callable[[], IO[bytes]]


@contextmanager
def unpacked(entries: Sequence[Entry], inventory: Inventory) -> Iterator[list[Entry]]:
    """The files of a listing, with those of its archives in the place of the archives.

    Args:
        entries: Files of a folder.
        inventory: Books the archives which are refused; the others count by their files.
    """
    with on_disk("the temporary folder (TMPDIR)"), tempfile.TemporaryDirectory(prefix="synthdata-") as name:
        spool, found, taken = Path(name), list[Entry](), {entry.name for entry in entries}
        for number, entry in enumerate(entries):
            kind = archive_kind(entry.path) if entry.stamp is not None and entry.stamp[0] else ""
            if not kind:
                found.append(entry)
                continue
            try:
                members = _unpack(entry, kind, spool / str(number))
            except _RefusedArchive as refusal:
                inventory.files.append(_refused(entry, str(refusal)))
                continue
            inventory.notes.add("archives among the scans were unpacked, and count by the files in them")
            for path, member in members:
                beside = (PurePosixPath(entry.name).parent / member).as_posix()
                own = beside if beside not in taken else f"{entry.name}!{len(taken)}/{member}"
                taken.add(own)
                inventory.archived[path] = f"{entry.name}/{member}"
                found.append(Entry(path, own, stamp_of(path.stat())))
        yield found


NAME_END = 30 + 255  # of the first member of a ZIP: a local header and its name


def archive_kind(path: Path) -> str:
    """`zip`, `tar`, or empty for another file; an NPZ file is none, though it is a ZIP."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as reader:
            if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
                return ""
            head = reader.read(BLOCK)
        if head.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            return "" if names and all(name.endswith(".npy") for name in names) else "zip"
        return "tar" if b"ustar" in _plain_head(path, head)[MAGIC_AT : MAGIC_AT + 5] else ""
    except zipfile.BadZipFile:
        return "" if b".npy" in head[:NAME_END] else "zip"  # a damaged NPZ file is judged by its own reader
    except (OSError, *DAMAGE):
        return ""


def _plain_head(path: Path, head: bytes) -> bytes:
    """First block of a file, once unpacked."""
    if head.startswith(GZIP):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, BLOCK)
    if head.startswith(BZIP2):
        with bz2.open(path) as reader:
            return reader.read(BLOCK)
    if head.startswith(XZ):
        with lzma.open(path) as reader:
            return reader.read(BLOCK)
    return head


def _unpack(entry: Entry, kind: str, folder: Path) -> list[tuple[Path, str]]:
    """Files of an archive with their names in it; all or, where one is amiss, none."""
    left = max(ALWAYS_ALLOWED_BYTES, MOST_RATIO * (entry.stamp[0] if entry.stamp else 0))
    found: list[tuple[Path, str]] = []
    members = _zip_members(entry.path) if kind == "zip" else _tar_members(entry.path)
    try:
        for member in members:
            if len(found) == MOST_MEMBERS:
                raise _RefusedArchive("archive.bomb")
            _require_inside(member.name)
            place = folder / str(len(found))
            place.mkdir(parents=True)
            path = place / (PurePosixPath(member.name).name or "file")
            left -= _copy(member, path, min(left, MAXIMUM_BYTES))
            found.append((path, member.name))
    except DAMAGE:
        raise _RefusedArchive("archive.damaged") from None
    except OSError as error:  # a damaged bzip2 stream, a name that is too long; else the disk is full
        if error.errno not in {None, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}:
            raise
        raise _RefusedArchive("archive.damaged") from None
    except RuntimeError:  # zipfile's word for a member that asks for a password
        raise _RefusedArchive("archive.locked") from None
    if any(archive_kind(path) for path, _ in found):
        raise _RefusedArchive("archive.nested")
    if not found:
        raise _RefusedArchive("archive.damaged")
    return found


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            if item.flag_bits & ENCRYPTED:
                raise _RefusedArchive("archive.locked")
            if stat.S_ISLNK(item.external_attr >> 16):
                raise _RefusedArchive("archive.unsafe")
            if not item.is_dir():
                yield _Member(item.filename, partial(archive.open, item))
            else:
                _require_inside(item.filename)


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r|*") as archive:
        for item in archive:
            reader = archive.extractfile(item) if item.isfile() else None
            if reader is not None:
                yield _Member(item.name, partial(_given, reader))
            elif item.isdir():
                _require_inside(item.name)
            else:  # a link or a device
                raise _RefusedArchive("archive.unsafe")


def _given(reader: IO[bytes]) -> IO[bytes]:
    return reader


def _copy(member: _Member, path: Path, most: int) -> int:
    size = 0
    with member.open() as reader, path.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            size += len(chunk)
            if size > most:  # what the archive itself says of its sizes is not believed
                raise _RefusedArchive("archive.bomb")
            writer.write(chunk)
    return size


def _require_inside(name: str) -> None:
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        raise _RefusedArchive("archive.unsafe")


def _refused(entry: Entry, code: str) -> SeenFile:
    """The archive as one refused file; its digest is that of its bytes, in bounded memory."""
    try:
        with entry.path.open("rb") as reader:
            digest = hashlib.file_digest(reader, "sha256").hexdigest()
    except OSError:
        digest, code = hashlib.sha256(b"").hexdigest(), "file.unreadable"
    return SeenFile(entry.path, digest, entry.stamp[0] if entry.stamp else 0, {code}, entry.stamp)
