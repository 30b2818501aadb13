"""What becomes a case: built here or, a run of them at a time, in another process, with the same result.

A run ends at a pseudonym which chance picks, so where it ends depends on nothing but that. A process that builds a run
writes its shards to the store, or to files where the store does not travel to it; arrays never do.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from synthdata.allocation import keep_memory
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ShardRef
from synthdata.records.parquet import commit_file
from synthdata.records.shard_file import ShardFile, StagedShard, shard_file, staged_shard
from synthdata.storage.disk import on_disk
from synthdata.storage.folder import FolderStore
from synthdata.storage.incoming import new_file
from synthdata.storage.protocol import ObjectStore

STAGE = "intake"
SHARD_CASES = (
    16  # at most; half of it on average: few, so that a new case moves few others and cores share few cases
)
Effects = dict[str, Any]  # reasons by digest of the file, and notes


class Build(Protocol):
    """Builds the case of a unit."""

    def __call__(self, inventory: Inventory, /) -> Case | None:
        """The case, or None with the reasons booked with its files; the inventory reads them and takes notes."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What becomes one case, or none."""

    case_id: str
    key: str  # digest of all that decides what becomes of it; empty: it is built anew each time
    files: Sequence[SeenFile]  # take the reasons where it becomes none
    build: Build
    place: tuple[int, int]  # which one it is, from 1, of how many
    portable: bool = False  # true where another process can build it: it holds its own files and nothing else
    voxel_bytes: int = 0  # of its images once they are decoded; 0 where that is not known

    @property
    def work_bytes(self) -> int:
        """Of its files or, where they are coded, of what comes out of them."""
        return max(self.voxel_bytes, sum(seen.size_bytes for seen in self.files))


def here(build: Callable[[], Case | None]) -> Build:
    """Of a source which keeps its own inventory."""
    return lambda _: build()


def unit_key(*parts: object) -> str:
    """Digest of all that decides what becomes of a unit."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def keyed_files(files: Sequence[SeenFile]) -> list[tuple[str, list[str]]]:
    """What the key of a unit holds of its files: their content, and the reasons booked before it is built."""
    return sorted((seen.sha256, sorted(seen.reasons)) for seen in files)


def runs_of(units: Iterable[Unit]) -> Iterator[Iterator[Unit]]:
    """Runs of some 8 units, whose cases share shards; each is to be used up before the next."""
    for _, run in groupby(_numbered(units), key=lambda item: item[0]):
        yield (unit for _, unit in run)


def _numbered(units: Iterable[Unit]) -> Iterator[tuple[int, Unit]]:
    number = 0
    for unit in units:
        yield number, unit
        number += _ends_run(unit.case_id)


def _ends_run(case_id: str) -> bool:
    """True for one case of 8, whichever others there are."""
    return hashlib.sha256(case_id.encode()).digest()[0] % (SHARD_CASES // 2) == 0


def full(cases: int) -> bool:
    """True for as many cases as a shard holds."""
    return cases >= SHARD_CASES


def built(unit: Unit, inventory: Inventory) -> tuple[Case | None, Effects]:
    """The case of a unit, and the reasons and notes that building it gave."""
    before = [set(seen.reasons) for seen in unit.files]
    notes, inventory.notes = inventory.notes, set()
    try:
        case = unit.build(inventory)
    finally:
        own, inventory.notes = inventory.notes, notes | inventory.notes
    reasons = {
        seen.sha256: sorted(seen.reasons - old)
        for seen, old in zip(unit.files, before, strict=True)
        if seen.reasons - old
    }
    return case, {"reasons": reasons, "notes": sorted(own)}


def book(unit: Unit, effects: Effects, inventory: Inventory) -> None:
    """Book what building a unit gave, in another process or an earlier run."""
    for seen in unit.files:
        seen.reasons.update(effects["reasons"].get(seen.sha256, ()))
    inventory.notes.update(effects["notes"])


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOrder:
    """A run to build in another process."""

    units: Sequence[Unit]
    case_set: CaseSet
    folder: Path  # takes the shards where there is no store
    store: FolderStore | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltShard:
    """A shard that was committed, or written to a file for that."""

    ref: ShardRef | None  # where it was committed
    path: Path
    sha256: str
    members: Sequence[tuple[int, str]]  # which unit of the run, and its patient
    dtype: str

    def commit(self, store: ObjectStore, case_set: CaseSet) -> ShardRef:
        """Commit the file, unless that was done."""
        if self.ref is not None:
            return self.ref
        cases = len(self.members)
        ref = commit_file(store, case_set, STAGE, self.path, sha256=self.sha256, cases=cases)
        self.path.unlink()
        return ref


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltRun:
    """What became of each unit of a run; those in no shard are held back."""

    effects: Sequence[Effects]
    shards: Sequence[BuiltShard]


def build_run(order: RunOrder) -> BuiltRun:
    """Build a run and write its shards.

    Raises:
        StoreError: The store or the temporary folder cannot be written.
    """
    effects, inventory, shards = list[Effects](), Inventory(), _RunShards(order)
    keep_memory()  # until the process ends, or whoever asked for the intake gives it back
    with quiet_parsers(), shards.begun:
        for index, unit in enumerate(order.units):
            case, found = built(unit, inventory)
            effects.append(found)
            if case is not None:
                shards.add(index, case)
        shards.end()
    return BuiltRun(effects=effects, shards=shards.done)


class _RunShards:
    """Shards of a run, one open for each type of voxels."""

    def __init__(self, order: RunOrder) -> None:
        self.begun = ExitStack()  # files of shards, which are gone where a step fails
        self.done: list[BuiltShard] = []
        self._order = order
        self._open: dict[str, tuple[ShardFile, list[tuple[int, str]]]] = {}

    def add(self, index: int, case: Case) -> None:
        """Write the case of a unit."""
        dtype = case.image.dtype.name
        if dtype not in self._open:
            self._open[dtype] = self._begin(dtype), []
        shard, members = self._open[dtype]
        shard.add(case)
        members.append((index, case.patient_id))
        if full(len(members)):
            self._end(dtype)

    def end(self) -> None:
        """End what is open."""
        for dtype in sorted(self._open):
            self._end(dtype)

    def _begin(self, dtype: str) -> ShardFile:
        """A shard on its way to the store, or a file where the store stayed behind."""
        order = self._order
        if order.store is not None:
            return self.begun.enter_context(staged_shard(order.store, order.case_set, STAGE, dtype))
        with on_disk("the temporary folder (TMPDIR)"):
            order.folder.mkdir(exist_ok=True)
            path = order.folder / f"{len(self.done)}-{dtype}.parquet"
            return self.begun.enter_context(shard_file(new_file(path), order.case_set, dtype))

    def _end(self, dtype: str) -> None:
        shard, members = self._open.pop(dtype)
        ref = shard.commit() if isinstance(shard, StagedShard) else None
        sha256 = ref.sha256 if ref is not None else shard.finish()
        self.done.append(
            BuiltShard(ref=ref, path=shard.file.path, sha256=sha256, members=members, dtype=dtype)
        )
