"""The first pass over a folder of DICOM: each new file is read once, judged, and kept as a few numbers."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from synthdata.intake.cursor import Cursor, Finding, now_ns, take_finding
from synthdata.intake.dicom_file import Instance, is_dicom, quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.garbage import staying
from synthdata.intake.inventory import Inventory
from synthdata.intake.listing import Entry
from synthdata.intake.policy import STRICT, Policy
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.reading_ahead import read_ahead
from synthdata.intake.unread import series_beside_unread
from synthdata.processes import Crew, in_parts
from synthdata.progress import Progress

BATCH_FILES = 256  # at most; several batches for each process, so that none is idle at the end
BATCHES_PER_WORKER = 4
FILES_PER_WORKER = 100  # with their building, they take longer than a copy of the process


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Files to read and judge, in this process or in another one."""

    entries: Sequence[Entry]
    names: Pseudonyms
    body_part: str
    policy: Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a file is judged by, beside itself."""

    names: Pseudonyms
    body_part: str = ""
    policy: Policy = STRICT
    crew: Crew = field(default_factory=Crew)  # shares the reading of many files


def survey(
    entries: Sequence[Entry], inventory: Inventory, rules: Rules, *, cursor: Cursor, progress: Progress
) -> list[Instance]:
    """Read and judge each new file once; what is no DICOM gets its reason. The cores share many files.

    Raises:
        WorkerError: A process which shared the work was killed.
    """
    with staying():
        found = {entry.name: one for entry in entries if (one := cursor.recall_file(entry)) is not None}
    new = [entry for entry in entries if entry.name not in found]
    workers = rules.crew.workers_for(len(new), least=FILES_PER_WORKER)
    size = BATCH_FILES if workers == 1 else min(BATCH_FILES, 1 + len(new) // (BATCHES_PER_WORKER * workers))
    batches = [
        Batch(entries=part, names=rules.names, body_part=rules.body_part, policy=rules.policy)
        for part in in_parts(new, size)
    ]
    with closing(rules.crew.in_order(read_batch, batches, workers=workers)) as results:
        for batch, (read_ns, findings) in zip(batches, results, strict=False):
            for entry, finding in zip(batch.entries, findings, strict=True):
                cursor.keep_file(entry, finding, read_ns=read_ns)
                found[entry.name] = finding
            progress(len(found), len(entries), "reading and judging files")
    cursor.flush()
    findings = [found[entry.name] for entry in entries]
    for finding in findings:
        take_finding(inventory, finding)
    looked = zip(entries, findings, strict=True)
    inventory.note_unread(series_beside_unread((entry.name, one.seen, one.instance) for entry, one in looked))
    instances = [finding.instance for finding in findings if finding.instance is not None]
    kept = {id(seen) for seen in inventory.refuse_duplicates(item.seen for item in instances)}
    return [item for item in instances if id(item.seen) in kept]


def read_batch(batch: Batch) -> tuple[int, list[Finding]]:
    """Read and judge files; gives the time before the first was read, and a finding per file."""
    judge, started_ns = ElementJudge(batch.policy), now_ns()
    with quiet_parsers():
        coming = read_ahead(batch.entries, lambda entry: entry.path)
        return started_ns, [_read(entry, batch, judge) for entry in coming]


def _read(entry: Entry, batch: Batch, judge: ElementJudge) -> Finding:
    book = Inventory()
    seen, data = book.add(entry.path)
    if not data or not is_dicom(data):
        if data:
            seen.reasons.add("file.not_an_image")
        return Finding(seen)
    instance = read_instance(
        seen, data, judge=judge, names=batch.names, inventory=book, body_part=batch.body_part
    )
    return Finding(seen, instance, "dicom", tuple(sorted(book.broken)), tuple(sorted(book.notes)))
