"""The first pass over a folder of DICOM: each file is read once, judged, and kept as a few numbers."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from synthdata.intake.dicom_file import Instance, is_dicom, quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.processes import in_order, in_parts, workers_for
from synthdata.progress import Progress

BATCH_FILES = 256
FILES_PER_WORKER = 3000  # take longer than a process to start


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Files to read and judge, in this process or in another one."""

    paths: Sequence[Path]
    names: Pseudonyms
    body_part: str


def survey(
    paths: Sequence[Path], inventory: Inventory, names: Pseudonyms, *, body_part: str, progress: Progress
) -> list[Instance]:
    """Read and judge each file once; what is no DICOM gets its reason. The cores share many files.

    Raises:
        WorkerError: A process which shared the work was killed.
    """
    instances, done = list[Instance](), 0
    batches = [Batch(paths=part, names=names, body_part=body_part) for part in in_parts(paths, BATCH_FILES)]
    workers = workers_for(len(paths), least=FILES_PER_WORKER)
    with closing(in_order(read_batch, batches, workers=workers)) as results:
        for book, found in results:
            inventory.take(book)
            instances += found
            done += len(book.files)
            progress(done, len(paths), "reading and judging files")
    kept = {id(seen) for seen in inventory.refuse_duplicates(item.seen for item in instances)}
    return [item for item in instances if id(item.seen) in kept]


def read_batch(batch: Batch) -> tuple[Inventory, list[Instance]]:
    """Book, read and judge files; the instances refer to the files of the book."""
    book, judge, instances = Inventory(), ElementJudge(), list[Instance]()
    with quiet_parsers():
        for path in batch.paths:
            seen, data = book.add(path)
            if data and not is_dicom(data):
                seen.reasons.add("file.not_an_image")
            elif data:
                instance = read_instance(
                    seen, data, judge=judge, names=batch.names, inventory=book, body_part=batch.body_part
                )
                instances += [instance] if instance is not None else []
    return book, instances
