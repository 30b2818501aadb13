"""A shard of intake that takes cases as they come: new ones are written at once, old ones where they must move."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from synthdata.errors import IntegrityError, MissingObjectError
from synthdata.intake.inventory import Inventory
from synthdata.intake.units import STAGE, Effects, Unit, built
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ShardRef
from synthdata.records.parquet import read_shard
from synthdata.records.shard_file import StagedShard, staged_shard
from synthdata.storage.protocol import ObjectStore


@dataclass(slots=True)
class Member:
    """A case on its way to a shard: just built, or still in the shard of an earlier run."""

    unit: Unit
    patient_id: str
    dtype: str
    case: Case | None  # until it is written
    shard: ShardRef | None
    effects: Effects


class OpenShard:
    """Cases of one shard, in their order; the arrays of those that were written are let go."""

    def __init__(self, store: ObjectStore, case_set: CaseSet, inventory: Inventory, begun: ExitStack) -> None:
        """Begin with no case and no file.

        Args:
            store: Takes the shard.
            case_set: Names what a case has.
            inventory: Reads files of a case that has to be built again.
            begun: Closes the file.
        """
        self.members: list[Member] = []
        self._store, self._case_set, self._inventory, self._begun = store, case_set, inventory, begun
        self._written = 0  # of the members
        self._file: StagedShard | None = None
        self._old: dict[str, _OldShard] = {}  # by key

    def add(self, member: Member) -> None:
        """Take a case; the first one that no earlier shard holds makes it certain that a new shard is written."""
        self.members.append(member)
        if self._file is not None or member.case is not None:
            self._write()

    def commit(self) -> tuple[ShardRef, bool]:
        """The old shard where it holds these cases alone, else a new one; and whether it is new."""
        first = self.members[0].shard
        alone = first is not None and first.cases == len(self.members)
        if first is not None and alone and all(member.shard == first for member in self.members):
            return first, False
        return self._write().commit(), True

    def _write(self) -> StagedShard:
        """Write what was not."""
        if self._file is None:
            dtype = self.members[0].dtype
            self._file = self._begun.enter_context(staged_shard(self._store, self._case_set, STAGE, dtype))
        for member in self.members[self._written :]:
            case = member.case or self._recalled(member) or built(member.unit, self._inventory)[0]
            member.case = None
            if case is not None:
                self._file.add(case)
        self._written = len(self.members)
        return self._file

    def _recalled(self, member: Member) -> Case | None:
        """A case out of its old shard; None where that is harmed or gone since, and it is built again."""
        shard = member.shard
        if shard is None:
            return None
        if shard.key not in self._old:
            self._old[shard.key] = _OldShard(self._store, self._case_set, shard)
        return self._old[shard.key].case(member.unit.case_id)


class _OldShard:
    """Cases of a shard by their pseudonyms; asked for in their order it is read once."""

    def __init__(self, store: ObjectStore, case_set: CaseSet, shard: ShardRef) -> None:
        self._store, self._case_set, self._shard = store, case_set, shard
        self._coming: Iterator[Case] = iter(())

    def case(self, case_id: str) -> Case | None:
        """A case; None where the shard cannot be read or lacks it."""
        for _ in range(2):
            try:
                for case in self._coming:
                    if case.case_id == case_id:
                        return case
            except (MissingObjectError, IntegrityError):
                return None
            self._coming = read_shard(self._store, self._case_set, self._shard)
        return None
