"""The book of one intake: each file that was seen, its digest, and why it was held back."""

import errno
import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from synthdata.errors import SynthDataError
from synthdata.intake.listing import MAXIMUM_BYTES, Listing, Stamp, is_settled, stamp_of
from synthdata.intake.policy import STRICT, Policy
from synthdata.intake.reasons import REASONS
from synthdata.intake.spool import restore
from synthdata.records.case_set import CaseSet
from synthdata.records.intake import IntakeReport, ReasonCount

UNREAD = frozenset({"file.unreadable", "file.changed"})


@dataclass(slots=True)
class SeenFile:
    """One file; the path is for reading only and never leaves this process."""

    path: Path
    sha256: str
    size_bytes: int
    reasons: set[str] = field(default_factory=set)
    stamp: Stamp | None = None  # when it was read; None where that did not work
    approved: frozenset[str] = frozenset()  # reasons which a signed approval lets pass
    read_ns: int = 0  # a time before it was read

    @property
    def outcome(self) -> str:
        """refused, quarantined or accepted; a reason to refuse wins, for no review could save the file."""
        outcomes = {REASONS[code].outcome for code in self.reasons - self.approved}
        return next((name for name in ("refused", "quarantined") if name in outcomes), "accepted")


class Inventory:
    """Every file has one outcome; nothing is lost."""

    def __init__(self, policy: Policy = STRICT) -> None:
        self.policy = policy  # by which its files are judged
        self.files: list[SeenFile] = []
        self.notes: set[str] = set()
        self.label_codes: dict[str, str] = {}  # as the masks state them
        self.row_counts: Counter[str] = Counter()  # reasons which count rows of a table
        self.archived: dict[Path, str] = {}  # names of files in archives, with the archive's own as a folder
        self.beside: dict[Path, frozenset[str]] = {}  # reasons of what stands beside them in their archive
        self.broken: set[str] = set()  # Series Instance UIDs, or else patients' pseudonyms, of damaged files

    def add(self, path: Path) -> tuple[SeenFile, bytes]:
        """Read a file once and book it; gives no bytes for a file which cannot be read."""
        read_ns = time.time_ns()
        data, stamp, reason = read_file(path)
        reasons = {reason} if reason else set()
        digest = hashlib.sha256(data).hexdigest()
        seen = SeenFile(path, digest, len(data), reasons, stamp, read_ns=read_ns)
        self.files.append(seen)
        return seen, data

    def take(self, other: "Inventory") -> None:
        """Add what another book holds; its files stay the same objects."""
        self.files += other.files
        self.notes |= other.notes
        self.row_counts += other.row_counts
        self.broken |= other.broken

    def reread(self, seen: SeenFile) -> bytes | None:
        """The bytes that were booked, or None (with a reason) where they are not there any more.

        A stamp that any change would have altered tells that they are the same; else their digest does.
        """
        data, stamp, _ = read_file(seen.path)
        if stamp is not None and stamp == seen.stamp and is_settled(stamp, seen.read_ns):
            return data
        if hashlib.sha256(data).hexdigest() == seen.sha256:
            return data
        seen.reasons.add("file.changed")
        return None

    def hold_archived(self) -> None:
        """Book what stands beside files in their archive with each of them."""
        for seen in self.files:
            seen.reasons |= self.beside.get(seen.path, frozenset())

    def note_unread(self, series: set[str]) -> None:
        """Count series as damaged which may lack a file that could not be read."""
        self.broken |= series
        if any(not UNREAD.isdisjoint(seen.reasons) for seen in self.files):
            self.notes.add(
                "files that could not be read do not tell their series: those of their neighbours by name were held "
                "back; compare the counts of slices with the archive's"
            )

    def note_links(self, listing: Listing) -> None:
        """Tell how many links to folders were not followed."""
        if listing.links:
            what = "link to a folder was" if listing.links == 1 else "links to folders were"
            self.notes.add(
                f"{listing.links} {what} not followed: name the target as a source of its own, or copy it here"
            )

    def unreadable(self) -> str:
        """How many files could not be read, for a sentence; empty where all could."""
        count = sum("file.unreadable" in seen.reasons for seen in self.files)
        return f" ({count} cannot be read: check their rights)" if count else ""

    def refuse_duplicates(self, files: Iterable[SeenFile]) -> list[SeenFile]:
        """Keep one file of each content; the others get their reason."""
        kept: dict[str, SeenFile] = {}
        for seen in files:
            if seen.sha256 in kept:
                seen.reasons.add("file.duplicate")
            else:
                kept[seen.sha256] = seen
        return list(kept.values())

    def digest(self) -> str:
        """Hex SHA-256 of the sorted (size, SHA-256) of all files; names play no part."""
        lines = sorted(f"{seen.size_bytes} {seen.sha256}\n" for seen in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def report(self, cases: CaseSet, *, patients: int) -> IntakeReport:
        """Counts and reasons."""
        outcomes = Counter(seen.outcome for seen in self.files)
        codes = Counter(code for seen in self.files for code in seen.reasons) + self.row_counts
        reasons = tuple(
            ReasonCount(
                code=code, outcome=REASONS[code].outcome, files=count, explanation=REASONS[code].explanation
            )
            for code, count in sorted(codes.items())
        )
        return IntakeReport(
            dataset=cases.dataset,
            inventory=self.digest(),
            seen=len(self.files),
            accepted=outcomes["accepted"],
            quarantined=outcomes["quarantined"],
            refused=outcomes["refused"],
            approved=sum(seen.outcome == "accepted" and bool(seen.reasons) for seen in self.files),
            patients=patients,
            cases=cases,
            reasons=reasons,
            notes=tuple(sorted(self.notes)),
            label_codes=self.label_codes,
        )


def read_file(path: Path) -> tuple[bytes, Stamp | None, str]:
    """Bytes of a file, its stamp and an empty text, or no bytes and the reason why it cannot be used."""
    try:
        handle = _opened(path)
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                return b"", None, "file.not_regular"
            if before.st_size > MAXIMUM_BYTES:
                return b"", stamp_of(before), "file.too_large"
            data = _read_whole(handle, before.st_size)  # growth shows in the stamp
            stamp = stamp_of(os.fstat(handle))
        finally:
            os.close(handle)
    except SynthDataError:  # its archive could not be unpacked, since the disk is full
        raise
    except OSError as error:
        return b"", None, _why_unread(path, error)
    if stamp != stamp_of(before) or len(data) != before.st_size:
        return b"", None, "file.changed"
    return data, stamp, "" if data else "file.empty"


def _why_unread(path: Path, error: OSError) -> str:
    if error.errno == errno.ENXIO:  # a socket
        return "file.not_regular"
    leads_nowhere = error.errno in {errno.ENOENT, errno.ELOOP} and path.is_symlink()
    return "file.link" if leads_nowhere else "file.unreadable"


def _opened(path: Path) -> int:
    """Descriptor of a file, whose archive may have to be unpacked first; a named pipe would else wait for a writer."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        if not restore(path):
            raise
        return os.open(path, flags)


def _read_whole(handle: int, size: int) -> bytes:
    """So many bytes of an open file, which a network may give in parts; fewer where it ends before."""
    data = os.read(handle, size)
    while len(data) < size and (more := os.read(handle, size - len(data))):
        data += more
    return data
