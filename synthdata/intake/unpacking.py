"""One archive to a folder, within bounds, or refused as a whole.

No member is written under a path of its own choice, so nothing of an archive can leave that folder.
"""

import errno
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from synthdata.errors import SynthDataError
from synthdata.intake.archive_margins import (
    MarginJudge,
    TarStream,
    gzip_margins,
    tail_margins,
    zip_margins,
)
from synthdata.intake.deny_list import DenyList
from synthdata.intake.listing import MAXIMUM_BYTES, Stamp, stamp_of
from synthdata.intake.packing import DAMAGE, Kind, archive_kind, plain_stream
from synthdata.storage.disk import on_disk
from synthdata.storage.scratch import TEMPORARY

MOST_MEMBERS = 200_000
MOST_RATIO = 200  # unpacked to packed; scans reach some 20, bombs 1000 and more
ALWAYS_ALLOWED_BYTES = 1 << 30
CHUNK_BYTES = 1 << 20
ENCRYPTED = 0x1  # flag of a ZIP member
OPENED = frozenset({"zip", "tar", "packed"})
DEEPEST = 3  # archives within archives within one
WITHIN = "\0"  # stands behind the name of an archive, and in no name
LONGEST_NAME = 200  # bytes of a member's name on this disk; in the book it keeps its own
OF_THE_ARCHIVE = frozenset(
    {None, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)  # a damaged stream, an odd name


class RefusedArchiveError(Exception):
    """The reason code with which an archive is refused."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive."""

    name: str  # in the archive
    place: str  # below the folder it was unpacked to
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of an archive."""

    members: tuple[Member, ...]
    codes: frozenset[str]  # reasons to hold its files back, for what stands beside them


@dataclass(frozen=True, slots=True)
class _Packed:
    name: str
    open: Callable[[], IO[bytes]]


def unpack(path: Path, kind: Kind, stamp: Stamp, folder: Path, deny: DenyList) -> Unpacked:
    """Unpack all files of an archive; where one is amiss, none is left.

    Args:
        path: The archive.
        kind: As `archive_kind` told it.
        stamp: Of the archive as it was listed.
        folder: Is made; holds each file in a folder of its own.
        deny: The operator's list, for what stands beside the files.

    Raises:
        RefusedArchiveError: The archive is not opened, for the reason that it holds.
        StoreError: The folder cannot be written.
    """
    if kind == "closed":
        raise RefusedArchiveError("archive.other_kind")
    judge = MarginJudge(deny)
    try:
        _require_unchanged(path, stamp)
        budget = _Budget(max(ALWAYS_ALLOWED_BYTES, MOST_RATIO * stamp[0]))
        members = tuple(_unpacked(path, kind, folder, judge, budget))
        _require_unchanged(path, stamp)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        refusal = _refusal(error)
        if not refusal:
            raise
        raise RefusedArchiveError(refusal) from None
    return Unpacked(members, frozenset(judge.codes))


def _refusal(error: BaseException) -> str:
    """Reason code of what went wrong with an archive; empty where it is not the archive's fault."""
    match error:
        case RefusedArchiveError():
            return str(error)
        case NotImplementedError():  # zipfile's word for a method that it does not know
            return "archive.other_kind"
        case SynthDataError():
            return ""
        case OSError():  # it is gone, or its disk fails
            return "archive.damaged" if error.errno in OF_THE_ARCHIVE else "file.unreadable"
        case RuntimeError() if not isinstance(error, RecursionError):  # and for one that asks for a password
            return "archive.locked"
    return "archive.damaged" if isinstance(error, DAMAGE) else ""


@dataclass(slots=True)
class _Budget:
    """What may still be written, over all archives within one."""

    left: int  # bytes
    files: int = 0


def _unpacked(
    path: Path, kind: Kind, folder: Path, judge: MarginJudge, budget: _Budget, within: str = ""
) -> Iterator[Member]:
    """Files of an archive and of those within it, which are gone afterwards."""
    before = budget.files
    for member in _packed_members(path, kind, judge):
        if budget.files == MOST_MEMBERS:
            raise RefusedArchiveError("archive.bomb")
        _require_inside(member.name)
        place = f"{budget.files}/{_short(PurePosixPath(member.name).name or 'file')}"
        target, budget.files = folder / place, budget.files + 1
        with _writing():
            target.parent.mkdir(parents=True)
        written = _copy(member, target, min(budget.left, MAXIMUM_BYTES))
        budget.left -= written
        inner, name = archive_kind(target), f"{within}{member.name}"
        if inner in OPENED:
            if within.count(WITHIN) == DEEPEST:
                raise RefusedArchiveError("archive.nested")
            yield from _unpacked(target, inner, folder, judge, budget, name + WITHIN)
            with _writing():
                target.unlink()
        else:
            yield Member(name.replace(WITHIN, "/"), place, written)
    if budget.files == before:
        raise RefusedArchiveError("archive.damaged")
    _judge_margins(path, kind, judge)


def _packed_members(path: Path, kind: Kind, judge: MarginJudge) -> Iterator[_Packed]:
    match kind:
        case "zip":
            yield from _zip_members(path)
        case "tar":
            yield from _tar_members(path, judge)
        case _:  # one compressed file
            yield _Packed(path.stem, partial(plain_stream, path))


def _zip_members(path: Path) -> Iterator[_Packed]:
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            if item.flag_bits & ENCRYPTED:
                raise RefusedArchiveError("archive.locked")
            if stat.S_ISLNK(item.external_attr >> 16):
                raise RefusedArchiveError("archive.unsafe")
            if not item.is_dir():
                yield _Packed(item.filename, partial(archive.open, item))
            else:
                _require_inside(item.filename)


def _tar_members(path: Path, judge: MarginJudge) -> Iterator[_Packed]:
    with plain_stream(path) as reader:
        stream = TarStream(reader, judge)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload] # it reads alone
            for item in archive:
                stream.member(item)
                content = archive.extractfile(item) if item.isfile() else None
                if content is not None:
                    yield _Packed(item.name, partial(_given, content))
                elif item.isdir():
                    _require_inside(item.name)
                else:  # a link or a device
                    raise RefusedArchiveError("archive.unsafe")
        stream.close()


def _given(reader: IO[bytes]) -> IO[bytes]:
    return reader


def _judge_margins(path: Path, kind: Kind, judge: MarginJudge) -> None:
    if kind == "zip":
        zip_margins(path, judge)
    else:  # the tar file within was judged while it was read
        gzip_margins(path, judge)
        tail_margins(path, judge)


def _copy(member: _Packed, path: Path, most: int) -> int:
    size = 0
    with _writing():
        writer = path.open("wb", buffering=0)
    with writer, member.open() as reader:
        while chunk := reader.read(CHUNK_BYTES):
            size += len(chunk)
            if size > most:  # what the archive itself says of its sizes is not believed
                raise RefusedArchiveError("archive.bomb")
            rest = memoryview(chunk)
            while rest:
                with _writing():
                    rest = rest[writer.write(rest) :]
    return size


@contextmanager
def _writing() -> Iterator[None]:
    """Tell what the temporary folder does wrong from what the archive's own disk does."""
    with on_disk(TEMPORARY):
        try:
            yield
        except OSError as error:
            if error.errno in OF_THE_ARCHIVE:  # a name that this disk does not take
                raise RefusedArchiveError("archive.damaged") from None
            raise


def _require_unchanged(path: Path, stamp: Stamp) -> None:
    if stamp_of(path.stat()) != stamp:
        raise RefusedArchiveError("file.changed")


def _require_inside(name: str) -> None:
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        raise RefusedArchiveError("archive.unsafe")


def _short(name: str) -> str:
    """A name that any file system takes; its end tells the kind of file."""
    return os.fsdecode(os.fsencode(name)[-LONGEST_NAME:])
