"""What lies below a folder, by name and stamp: enough to tell what is new without reading a byte of it."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthdata.errors import SourceError
from synthdata.storage.disk import disk_sentence

RACY_NS = 2_000_000_000  # coarsest clock of a file system (FAT): a later change may leave the same time

MAXIMUM_BYTES = 1 << 30  # of a file that intake reads

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file; path and name are for reading only and never leave this process."""

    path: Path
    name: str  # relative to the folder, with slashes
    stamp: (
        Stamp | None
    )  # size in bytes, times of change of content and of inode in ns, inode; None: cannot be asked
    packed: str = ""  # of a file in an archive: the names of both, and its stamp is that of the archive


@dataclass(frozen=True, slots=True)
class Listing:
    """All files below a folder, sorted by name."""

    entries: Sequence[Entry]
    links: int = 0  # links to folders, which are not followed

    @property
    def files(self) -> list[Entry]:
        """Those which are there: a link may lead nowhere."""
        return [entry for entry in self.entries if entry.stamp is not None]

    def digest(self) -> str:
        """Hex SHA-256 of names and stamps: another one when a file was added, removed or written, whatever its size.

        The time of the inode is among them, since tools that copy set the other time back.
        """
        rows = [(entry.name, *(entry.stamp or ())) for entry in self.entries]
        return hashlib.sha256(json.dumps(rows).encode(errors="surrogateescape")).hexdigest()

    def settled_before(self, time_ns: int) -> bool:
        """True where no file changed so shortly before a time that one more change could leave the same stamp."""
        return all(is_settled(entry.stamp, time_ns) for entry in self.files)


def is_settled(stamp: Stamp | None, time_ns: int) -> bool:
    """True where a change after that time must give another stamp. Compare Git's "racy" index entries.

    A file whose content is from the future, by a clock that was ahead, is as good: a change would date it back.
    """
    if stamp is None:
        return False
    return stamp[2] + RACY_NS < time_ns and abs(stamp[1] - time_ns) > RACY_NS


def stamp_of(found: os.stat_result) -> Stamp:
    """Stamp of a file."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def list_files(folder: Path) -> Listing:
    """All files below a folder, or the one file. Links to folders are not followed, so loops cannot occur.

    Raises:
        SourceError: There is no such folder, it holds no file, or a part of it is closed to this user.
    """
    try:
        found = folder.stat()
    except FileNotFoundError:
        raise SourceError(
            "the source is not there (neither a folder nor a file), expected scans: check the path, "
            "which for a spec is source.uri and the variables in it"
        ) from None
    except OSError as error:
        raise SourceError(disk_sentence("the source", error, "read")) from None
    if not stat.S_ISDIR(found.st_mode):
        return Listing([Entry(folder, folder.name, stamp_of(found))])
    walk = _Walk()
    entries = sorted(walk.below(folder, ""), key=lambda entry: entry.name)
    if walk.closed:  # its scans would be missing, and nobody would know
        what = f"{len(walk.closed)} of the source's folders"
        raise SourceError(disk_sentence(what, walk.closed[0], "read"))
    if not entries:
        raise SourceError(
            "the source folder is empty, expected scans: check the path (source.uri), or wait for the transfer"
        )
    return Listing(entries, walk.links)


class _Walk:
    """One call of the operating system per folder and per file: a hundred thousand files take about a second."""

    def __init__(self) -> None:
        self.closed: list[OSError] = []
        self.links = 0

    def below(self, folder: Path, prefix: str) -> Iterator[Entry]:
        waiting = [(folder, prefix)]
        while waiting:
            here, start = waiting.pop()
            try:
                with os.scandir(here) as items:
                    found = list(items)
            except OSError as error:
                self.closed.append(error)
                continue
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    waiting.append((here / item.name, f"{start}{item.name}/"))
                elif item.is_symlink() and _leads_to_a_folder(item):
                    self.links += 1
                else:
                    yield Entry(here / item.name, start + item.name, _stamp(item))


def _leads_to_a_folder(item: "os.DirEntry[str]") -> bool:
    """False also for a link that leads nowhere, or round in a circle."""
    try:
        return item.is_dir()
    except OSError:
        return False


def _stamp(item: "os.DirEntry[str]") -> Stamp | None:
    try:
        return stamp_of(item.stat())
    except OSError:
        return None
