"""Archives among the scans, replaced by the files in them: unpacked, or known from an earlier run."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from synthdata.intake.deny_list import DenyList
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.listing import Entry
from synthdata.intake.packing import archive_kind
from synthdata.intake.spool import Spool
from synthdata.intake.unpacking import Member, RefusedArchiveError
from synthdata.storage.scratch import scratch_folder

if TYPE_CHECKING:
    from synthdata.intake.cursor import Cursor

NOTE = "archives among the scans were unpacked, and count by the files in them"


@contextmanager
def unpacked(
    entries: Sequence[Entry], inventory: Inventory, *, cursor: "Cursor | None" = None
) -> Iterator[list[Entry]]:
    """The files of a listing, with those of its archives in the place of the archives.

    Args:
        entries: Files of a folder.
        inventory: Books the archives which are refused; the others count by their files.
        cursor: Knows the archives of earlier runs, which are then unpacked when one of their files is read.
    """
    with scratch_folder() as folder:
        opening = _Opening(Spool(folder), inventory, cursor, {entry.name for entry in entries})
        yield [one for number, entry in enumerate(entries) for one in opening.files_of(number, entry)]


class _Opening:
    """Opens the archives of one listing."""

    def __init__(self, spool: Spool, inventory: Inventory, cursor: "Cursor | None", taken: set[str]) -> None:
        self._spool, self._inventory, self._cursor, self._taken = spool, inventory, cursor, taken
        self._deny: DenyList = inventory.policy.deny

    def files_of(self, number: int, entry: Entry) -> list[Entry]:
        """The file itself, or the files of an archive; none for one which is refused."""
        if entry.stamp is None or not entry.stamp[0]:
            return [entry]
        cursor = self._cursor
        if cursor is not None and cursor.is_known_file(entry):
            return [entry]
        said = cursor.recall_archive(entry) if cursor is not None else None
        if said is None:
            read_ns = time.time_ns()
            said = self._looked_at(number, entry)
            if said is None:
                return [entry]
            if cursor is not None:
                cursor.keep_archive(entry, said, read_ns=read_ns)
        elif "refused" not in said:
            self._spool.promise(number, entry, said["kind"])
        return self._booked(number, entry, said)

    def _looked_at(self, number: int, entry: Entry) -> dict[str, Any] | None:
        """What came of unpacking; None where the file is no archive."""
        kind, stamp = archive_kind(entry.path), entry.stamp
        if not kind or stamp is None:
            return None
        try:
            done = self._spool.unpacked(number, entry, kind, stamp, self._deny)
        except RefusedArchiveError as refusal:
            return {"kind": kind, "refused": str(refusal), "sha256": _digest(entry.path)}
        members = [[one.name, one.place, one.size_bytes] for one in done.members]
        return {"kind": kind, "members": members, "codes": sorted(done.codes)}

    def _booked(self, number: int, entry: Entry, said: dict[str, Any]) -> list[Entry]:
        book, stamp = self._inventory, entry.stamp or (0, 0, 0, 0)
        if "refused" in said:
            code = said["refused"] if said["sha256"] else "file.unreadable"
            digest = said["sha256"] or hashlib.sha256(b"").hexdigest()
            book.files.append(SeenFile(entry.path, digest, stamp[0], {code}, entry.stamp))
            return []
        book.notes.add(NOTE)
        found = []
        for index, fields in enumerate(said["members"]):
            member = Member(*fields)
            path = self._spool.place(number, member)
            book.archived[path] = f"{entry.name}/{member.name}"
            book.beside[path] = frozenset(said["codes"])
            own, key = self._own_name(entry, member, index), f"{entry.name}!{index}/{member.name}"
            found.append(Entry(path, own, (member.size_bytes, *stamp[1:]), key))
        return found

    def _own_name(self, entry: Entry, member: Member, index: int) -> str:
        """As if it had been unpacked beside its archive, unless that name is taken."""
        beside = (PurePosixPath(entry.name).parent / member.name).as_posix()
        own = beside if beside not in self._taken else f"{entry.name}!{index}/{member.name}"
        self._taken.add(own)
        return own


def _digest(path: Path) -> str:
    """Of an archive's bytes, in bounded memory; empty where they cannot be read."""
    try:
        with path.open("rb") as reader:
            return hashlib.file_digest(reader, "sha256").hexdigest()
    except OSError:
        return ""
