"""Cases to shards, so that ten new cases cost ten: what was built before is neither read nor decoded nor written again.

Where a shard ends is decided by the pseudonyms of its cases alone. So the same cases give the same shards in whatever
order they arrived and on however many cores, and a new case changes the one shard that it belongs to.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from typing import Any

from synthdata.intake.cursor import Cursor
from synthdata.intake.inventory import Inventory
from synthdata.intake.open_shards import Member, OpenShard
from synthdata.intake.units import BuiltRun, Effects, RunOrder, Unit, book, build_run, built, full, runs_of
from synthdata.processes import Crew
from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet, ShardRef
from synthdata.records.codec import build_value
from synthdata.storage.folder import FolderStore
from synthdata.storage.protocol import ObjectStore
from synthdata.storage.scratch import scratch_folder

BYTES_PER_WORKER = 12 << 20  # of voxels take longer than a copy of the process


class CaseShards:
    """Writes the cases of one intake; memory holds one row group per type of voxels."""

    def __init__(
        self,
        store: ObjectStore,
        case_set: CaseSet,
        cursor: Cursor,
        inventory: Inventory,
        crew: Crew,
        progress: Progress = silent,
    ) -> None:
        self._store, self._case_set = store, case_set
        self._cursor, self._inventory, self._progress = cursor, inventory, progress
        self._crew = crew
        self._there: dict[str, bool] = {}
        self._refs: list[ShardRef] = []
        self._patients: set[str] = set()

    def write(self, units: Iterator[Unit]) -> tuple[CaseSet, int]:
        """Build or recall each unit; returns the set with its shards, and the number of patients.

        The cores share the units of a source which are portable, where there is enough to build.

        Raises:
            StoreError: The store cannot be written.
            WorkerError: A process which shared the work was killed.
        """
        first = next(units, None)
        if first is not None:
            everything = chain([first], units)
            if first.portable:
                self._write_runs([list(run) for run in runs_of(everything)])
            else:
                for run in runs_of(everything):
                    self._write_here(run)
        return replace(self._case_set, shards=tuple(self._refs)), len(self._patients)

    def _write_runs(self, runs: Sequence[Sequence[Unit]]) -> None:
        """Runs of which nothing is known are built by several processes, the others here."""
        new = [
            all(not unit.key or self._cursor.recall_case(unit.key) is None for unit in run) for run in runs
        ]
        much = sum(unit.work_bytes for run, fresh in zip(runs, new, strict=True) if fresh for unit in run)
        workers = min(self._crew.workers_for(much, least=BYTES_PER_WORKER), max(1, sum(new)))
        if workers == 1:
            for run in runs:
                self._write_here(run)
            return
        store = self._store if type(self._store) is FolderStore else None
        with scratch_folder() as folder:
            orders = [
                RunOrder(units=run, case_set=self._case_set, folder=folder / f"{number}", store=store)
                for number, (run, fresh) in enumerate(zip(runs, new, strict=True))
                if fresh
            ]
            with closing(self._crew.in_order(build_run, orders, workers=workers)) as results:
                for run, fresh in zip(runs, new, strict=True):
                    if fresh:
                        self._take(run, next(results))
                    else:
                        self._write_here(run)

    def _write_here(self, run: Iterable[Unit]) -> None:
        """Build or recall the units of a run in this process."""
        members = (member for unit in run if (member := self._member(unit)) is not None)
        with ExitStack() as begun:  # files of shards, which are gone where a step fails
            shards: dict[str, OpenShard] = {}
            for member in members:
                shard = shards.get(member.dtype)
                if shard is None:
                    shard = shards[member.dtype] = OpenShard(
                        self._store, self._case_set, self._inventory, begun
                    )
                shard.add(member)
                if full(len(shard.members)):
                    self._commit(shards.pop(member.dtype))
            for _, shard in sorted(shards.items()):
                self._commit(shard)

    def _take(self, run: Sequence[Unit], result: BuiltRun) -> None:
        """Commit the shards of a run that another process built, and book what it found."""
        for unit, effects in zip(run, result.effects, strict=True):
            book(unit, effects, self._inventory)
        kept = {index for shard in result.shards for index, _ in shard.members}
        for index, (unit, effects) in enumerate(zip(run, result.effects, strict=True)):
            if index not in kept:
                self._keep_held(unit, effects)
            self._progress(*unit.place, "building cases")
        for one in result.shards:
            shard = one.commit(self._store, self._case_set)
            self._refs.append(shard)
            for index, patient in one.members:
                self._patients.add(patient)
                self._keep_case(run[index], patient, one.dtype, shard, result.effects[index])

    def _member(self, unit: Unit) -> Member | None:
        """The case of a unit, recalled or built; None where it is held back."""
        member = self._recalled(unit) or self._built(unit)
        self._progress(*unit.place, "building cases")
        if member.dtype:
            self._patients.add(member.patient_id)
            return member
        return None

    def _recalled(self, unit: Unit) -> Member | None:
        """What became of a unit in an earlier run; None where that is not known, or its shard is gone."""
        said = self._cursor.recall_case(unit.key) if unit.key else None
        if said is None:
            return None
        shard = build_value(ShardRef, said["shard"]) if said["case"] else None
        if shard is not None and not self._is_there(shard):
            return None
        book(unit, said["effects"], self._inventory)
        if shard is None:  # held back, for reasons which hold still
            return Member(unit, "", "", None, None, said["effects"])
        return Member(unit, said["patient"], said["dtype"], None, shard, said["effects"])

    def _built(self, unit: Unit) -> Member:
        case, effects = built(unit, self._inventory)
        if case is None:
            self._keep_held(unit, effects)
            return Member(unit, "", "", None, None, effects)
        return Member(unit, case.patient_id, case.image.dtype.name, case, None, effects)

    def _keep_held(self, unit: Unit, effects: Effects) -> None:
        if unit.key:
            self._cursor.keep_case(unit.key, {"case": "", "effects": effects})

    def _keep_case(
        self, unit: Unit, patient: str, dtype: str, shard: ShardRef, effects: dict[str, Any]
    ) -> None:
        if unit.key:
            where = {name: getattr(shard, name) for name in ("key", "sha256", "size_bytes", "cases")}
            known = {"case": unit.case_id, "patient": patient, "dtype": dtype}
            self._cursor.keep_case(unit.key, {**known, "shard": where, "effects": effects})

    def _commit(self, open_shard: OpenShard) -> None:
        """Take the old shard where it holds these cases alone, else the new one, and remember what is in it."""
        shard, is_new = open_shard.commit()
        self._refs.append(shard)
        for member in open_shard.members if is_new else ():
            self._keep_case(member.unit, member.patient_id, member.dtype, shard, member.effects)

    def _is_there(self, shard: ShardRef) -> bool:
        if shard.key not in self._there:
            self._there[shard.key] = self._store.size(shard.key) == shard.size_bytes
        return self._there[shard.key]
