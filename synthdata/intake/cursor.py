"""Where an intake stands: what it knows of each file, of each case, and of its last whole run.

A file is known by its name and stamp, so an unchanged one is not read again. What was found out holds for one version
of the code and its decoders, one pseudonym key and one set of rules; another one begins anew.
"""

import dataclasses
import hashlib
import json
import time
from importlib import metadata
from typing import Any

from synthdata.code_version import code_digest
from synthdata.errors import MissingObjectError, RecordError
from synthdata.intake.dicom_file import Instance
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.listing import Entry, Listing, Stamp, is_settled
from synthdata.intake.memory import Memory
from synthdata.intake.portable import from_text, to_text
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.records.codec import from_json, to_json
from synthdata.records.intake import IntakeReport
from synthdata.spec import DatasetSpec
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore

LATER = ("name", "title", "description", "owner", "split", "generator", "sampling", "gates", "release")
READERS = (
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-libjpeg",
    "pylibjpeg-openjpeg",
    "python-gdcm",
    "pyjpegls",
    "nibabel",
)
NEVER_REMEMBERED = frozenset({"file.unreadable", "file.changed"})  # the next run may find it well


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What the first look at one file told."""

    seen: SeenFile
    instance: Instance | None = None
    kind: str = ""  # dicom, nifti, npz, or empty
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Cursor:
    """What one intake remembers, in the private store; it names no file and no person of the source."""

    def __init__(self, store: ObjectStore | None, name: str, names: Pseudonyms, rules: str) -> None:
        """Open it.

        Args:
            store: Keeps it; None remembers nothing.
            name: Of the dataset.
            names: Its pseudonyms; another key is another cursor.
            rules: Digest of all else that decides what becomes of a file, such as `rules_of`.
        """
        self._store, self._name, self._names = store, name, names
        context = hashlib.sha256(f"{names.tag()} {rules} {_readers()}".encode()).hexdigest()[:16]
        self._finished = keys.cursor(name, context, "finished.json")
        self._parts = {
            part: keys.cursor(name, context, f"{part}/") for part in ("files", "cases", "archives")
        }
        self._used: dict[str, set[str]] = {part: set() for part in self._parts}
        self._memories: dict[str, Memory] = {}

    def last_report(self, digest: str) -> IntakeReport | None:
        """Report of the last whole run where the source is what it was then and its shards are there.

        Args:
            digest: Of the source's listing.
        """
        if self._store is None:
            return None
        try:
            said = json.loads(self._store.read(self._finished))
            report = from_json(IntakeReport, said["report"].encode()) if said["listing"] == digest else None
        except (MissingObjectError, RecordError, ValueError, KeyError):
            return None
        whole = report is not None and all(
            self._store.size(ref.key) == ref.size_bytes for ref in report.cases.shards
        )
        return report if whole else None

    def finish(self, listing: Listing, digest: str, report: IntakeReport, *, started_ns: int) -> None:
        """Remember a whole run, and forget what only earlier ones knew.

        Args:
            listing: The source at the start of the run.
            digest: Of the listing and whatever else was read.
            report: What came out.
            started_ns: Time at which the listing was made.
        """
        if self._store is None:
            return
        for part, memory in self._memories.items():
            memory.close(self._used[part])
        own = tuple(self._parts.values())
        for key in list(self._store.keys(keys.cursor(self._name))):
            if not key.startswith(own):
                self._store.delete(key)
        again = any(not NEVER_REMEMBERED.isdisjoint({reason.code}) for reason in report.reasons)
        if listing.settled_before(started_ns) and not again:
            said = {"listing": digest, "report": to_json(report).decode()}
            self._store.write(self._finished, json.dumps(said).encode())

    def recall_file(self, entry: Entry) -> Finding | None:
        """What is known of a file, or None where it is new, has changed, or may have."""
        if entry.stamp is None:
            return None
        key = self._names.file(entry.packed or entry.name)
        self._used["files"].add(key)
        text = self._memory("files").get(key)
        if text is None or not text.startswith(_beginning(entry.stamp)):
            return None
        head, _, instance = text.partition("\n")
        try:
            said = json.loads(head)
            seen = SeenFile(entry.path, said["sha256"], said["size"], set(said["reasons"]), entry.stamp)
            seen.read_ns = now_ns()  # only settled files are remembered
            found = from_text(Instance, instance, seen=seen) if instance else None
            return Finding(seen, found, said["kind"], tuple(said["broken"]), tuple(said["notes"]))
        except (ValueError, TypeError, KeyError):
            return None

    def keep_file(self, entry: Entry, finding: Finding, *, read_ns: int) -> None:
        """Remember what was found, unless a later change of the file could go unseen.

        Args:
            entry: The file.
            finding: As the first look told it, before series and cases are judged.
            read_ns: A time before the file was read.
        """
        seen = finding.seen
        stamp = entry.stamp if entry.packed and seen.stamp is not None else seen.stamp
        if not is_settled(stamp, read_ns) or not NEVER_REMEMBERED.isdisjoint(seen.reasons):
            return
        said = {
            "stamp": stamp,
            "sha256": seen.sha256,
            "size": seen.size_bytes,
            "reasons": sorted(seen.reasons),
            "kind": finding.kind,
            "broken": finding.broken,
            "notes": finding.notes,
        }
        try:
            text = to_text(finding.instance, frozenset({"seen"})) if finding.instance is not None else ""
        except TypeError:  # it is read again next time
            return
        self._memory("files").put(self._names.file(entry.packed or entry.name), f"{json.dumps(said)}\n{text}")

    def is_known_file(self, entry: Entry) -> bool:
        """True where a file is what it was when an earlier run read it, and found no archive."""
        if self._store is None:
            return False
        text = self._memory("files").get(self._names.file(entry.name))
        return text is not None and entry.stamp is not None and text.startswith(_beginning(entry.stamp))

    def recall_archive(self, entry: Entry) -> dict[str, Any] | None:
        """What came of an archive, or None where it is new, has changed, or may have."""
        key = self._names.file(entry.name)
        self._used["archives"].add(key)
        text = self._memory("archives").get(key)
        said: dict[str, Any] = json.loads(text) if text is not None else {}
        return said if said.get("stamp") == list(entry.stamp or ()) else None

    def keep_archive(self, entry: Entry, said: dict[str, Any], *, read_ns: int) -> None:
        """Remember what came of an archive, unless a later change of it could go unseen."""
        if is_settled(entry.stamp, read_ns) and said.get("refused") not in NEVER_REMEMBERED:
            text = json.dumps({**said, "stamp": entry.stamp})
            self._memory("archives").put(self._names.file(entry.name), text)

    def recall_case(self, key: str) -> dict[str, Any] | None:
        """What became of a case of that key."""
        self._used["cases"].add(key)
        text = self._memory("cases").get(key)
        said: dict[str, Any] | None = json.loads(text) if text is not None else None
        return said

    def keep_case(self, key: str, said: dict[str, Any]) -> None:
        """Remember what became of a case."""
        self._memory("cases").put(key, json.dumps(said))

    def flush(self) -> None:
        """Write down what is new."""
        for memory in self._memories.values():
            memory.flush()

    def _memory(self, part: str) -> Memory:
        """Opened when it is asked for the first time: an unchanged source needs none."""
        if part not in self._memories:
            self._memories[part] = Memory(self._store, self._parts[part])
        return self._memories[part]


def rules_of(spec: DatasetSpec) -> str:
    """Digest of those sections of a spec which intake reads; the address of the source plays no part."""
    read = {name: value for name, value in dataclasses.asdict(spec).items() if name not in LATER}
    read["source"].pop("uri")
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def take_finding(inventory: Inventory, finding: Finding) -> None:
    """Book a file with what was found of it."""
    inventory.files.append(finding.seen)
    inventory.broken.update(finding.broken)
    inventory.notes.update(finding.notes)


def now_ns() -> int:
    """The time, for comparison with those of files."""
    return time.time_ns()


def _beginning(stamp: Stamp) -> str:
    """Of what is remembered of a file, as `json.dumps` writes it."""
    size, changed, inode_changed, inode = stamp
    return f'{{"stamp": [{size}, {changed}, {inode_changed}, {inode}],'


def _readers() -> str:
    """The code and its decoders: with another one, a file that could not be read may be read."""
    versions = []
    for name in READERS:
        try:
            versions.append(f"{name}={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name}=none")
    return " ".join([code_digest("intake", "dicom", "records"), *versions])
