"""Cases to shards, so that ten new cases cost ten: what was built before is neither read nor decoded nor written again.

Where a shard ends is decided by the pseudonyms of its cases alone. So the same cases give the same shards in whatever
order they arrived, and a new case changes the one shard that it belongs to.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from synthdata.errors import IntegrityError, MissingObjectError
from synthdata.intake.cursor import Cursor
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ShardRef
from synthdata.records.codec import build_value
from synthdata.records.parquet import commit_shard, read_shard
from synthdata.storage.protocol import ObjectStore

SHARD_CASES = 64  # at most; half of it on average
STAGE = "intake"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What becomes one case, or none."""

    key: str  # digest of all that decides what becomes of it; empty: it is built anew each time
    files: Sequence[SeenFile]  # take the reasons where it becomes none
    build: Callable[[], Case | None]


@dataclass(slots=True)
class _Member:
    """A case on its way to a shard: just built, or still in the shard of an earlier run."""

    unit: Unit
    case_id: str
    patient_id: str
    dtype: str
    case: Case | None
    shard: ShardRef | None
    effects: dict[str, Any]  # reasons of its files and notes


class CaseShards:
    """Writes the cases of one intake; memory holds one open shard per type of voxels."""

    def __init__(self, store: ObjectStore, case_set: CaseSet, cursor: Cursor, inventory: Inventory) -> None:
        self._store, self._case_set = store, case_set
        self._cursor, self._inventory = cursor, inventory
        self._there: dict[str, bool] = {}

    def write(self, units: Iterator[Unit]) -> tuple[CaseSet, int]:
        """Build or recall each unit; returns the set with its shards, and the number of patients.

        Raises:
            StoreError: The store cannot be written.
        """
        waiting: dict[str, list[_Member]] = {}
        refs: list[ShardRef] = []
        patients: set[str] = set()
        for unit in units:
            member = self._member(unit)
            if member is None:
                continue
            patients.add(member.patient_id)
            batch = waiting.setdefault(member.dtype, [])
            batch.append(member)
            if len(batch) == SHARD_CASES or _ends_shard(member.case_id):
                refs.append(self._commit(batch))
                batch.clear()
        refs.extend(self._commit(batch) for _, batch in sorted(waiting.items()) if batch)
        return replace(self._case_set, shards=tuple(refs)), len(patients)

    def _member(self, unit: Unit) -> _Member | None:
        """The case of a unit, recalled or built; None where it is held back."""
        said = self._cursor.recall_case(unit.key) if unit.key else None
        if said is not None and not said["case"]:  # held back, for reasons which hold still
            self._book(unit, said)
            return None
        shard = build_value(ShardRef, said["shard"]) if said is not None else None
        if said is not None and shard is not None and self._is_there(shard):
            self._book(unit, said)
            return _Member(unit, said["case"], said["patient"], said["dtype"], None, shard, said["effects"])
        case, effects = self._build(unit)
        if case is None:
            if unit.key:
                self._cursor.keep_case(unit.key, {"case": "", "effects": effects})
            return None
        return _Member(unit, case.case_id, case.patient_id, case.image.dtype.name, case, None, effects)

    def _build(self, unit: Unit) -> tuple[Case | None, dict[str, Any]]:
        """The case, and the reasons and notes that building it gave."""
        before = [set(seen.reasons) for seen in unit.files]
        notes, self._inventory.notes = self._inventory.notes, set()
        try:
            case = unit.build()
        finally:
            own, self._inventory.notes = self._inventory.notes, notes | self._inventory.notes
        reasons = {
            seen.sha256: sorted(seen.reasons - old)
            for seen, old in zip(unit.files, before, strict=True)
            if seen.reasons - old
        }
        return case, {"reasons": reasons, "notes": sorted(own)}

    def _book(self, unit: Unit, said: dict[str, Any]) -> None:
        for seen in unit.files:
            seen.reasons.update(said["effects"]["reasons"].get(seen.sha256, ()))
        self._inventory.notes.update(said["effects"]["notes"])

    def _commit(self, batch: Sequence[_Member]) -> ShardRef:
        """The shard of some cases: the old one where it holds these alone, else a new one."""
        first = batch[0].shard
        if first is not None and first.cases == len(batch) and all(one.shard == first for one in batch):
            return first
        shard = commit_shard(self._store, self._case_set, STAGE, self._cases(batch))
        where = {name: getattr(shard, name) for name in ("key", "sha256", "size_bytes", "cases")}
        for member in batch:
            if member.unit.key:
                known = {"case": member.case_id, "patient": member.patient_id, "dtype": member.dtype}
                self._cursor.keep_case(member.unit.key, {**known, "shard": where, "effects": member.effects})
        return shard

    def _cases(self, batch: Sequence[_Member]) -> list[Case]:
        """All cases of a shard, those of earlier runs read from their old shards, one shard at a time."""
        cases = {member.case_id: member.case for member in batch if member.case is not None}
        for shard in {
            member.shard.key: member.shard for member in batch if member.shard is not None
        }.values():
            wanted = {member.case_id for member in batch if member.shard == shard}
            try:
                cases |= {
                    case.case_id: case
                    for case in read_shard(self._store, self._case_set, shard)
                    if case.case_id in wanted
                }
            except (MissingObjectError, IntegrityError):  # harmed since: built again below
                continue
        found = [cases.get(member.case_id) or member.unit.build() for member in batch]
        return [case for case in found if case is not None]

    def _is_there(self, shard: ShardRef) -> bool:
        if shard.key not in self._there:
            self._there[shard.key] = self._store.size(shard.key) == shard.size_bytes
        return self._there[shard.key]


def unit_key(*parts: object) -> str:
    """Digest of all that decides what becomes of a unit."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def keyed_files(files: Sequence[SeenFile]) -> list[tuple[str, list[str]]]:
    """What the key of a unit holds of its files: their content, and the reasons booked before it is built."""
    return sorted((seen.sha256, sorted(seen.reasons)) for seen in files)


def _ends_shard(case_id: str) -> bool:
    """True for one case of 32, whichever others there are."""
    return hashlib.sha256(case_id.encode()).digest()[0] % (SHARD_CASES // 2) == 0
