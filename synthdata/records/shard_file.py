"""A shard whose cases come one by one: memory holds no more of it than one row group."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pyarrow.parquet as pq

from synthdata.errors import RecordError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ShardRef
from synthdata.records.parquet import ARRAYS, PAGE_BYTES, ROW_GROUP_CASES, shard_schema, table_of
from synthdata.storage import keys
from synthdata.storage.incoming import Incoming, commit_incoming, incoming
from synthdata.storage.protocol import ObjectStore

# Of arrays, after which a row group is full; no more than caches of a processor hold.
ROW_GROUP_BYTES = 16 << 20


class ShardFile:
    """Writes cases as `write_shard` does, but for a shape that all may share; equal cases give equal bytes."""

    def __init__(self, file: Incoming, case_set: CaseSet, dtype: str) -> None:
        """Begin.

        Args:
            file: Takes the bytes.
            case_set: Names the channels, units, labels and record columns.
            dtype: numpy name of the images' type.
        """
        self.file, self.cases = file, 0
        self._case_set, self._dtype = case_set, dtype
        self._schema = shard_schema(case_set, dtype=dtype, shape=None)
        self._group: list[Case] = []
        names = self._schema.names
        self._writer = pq.ParquetWriter(
            file,
            self._schema,
            compression="zstd",
            use_dictionary=[name for name in names if name not in ARRAYS],
            write_statistics=[name for name in names if name not in {*ARRAYS, "provenance"}],
            data_page_size=PAGE_BYTES,
            write_batch_size=1,
        )

    def add(self, case: Case) -> None:
        """Write a case, or keep it until its row group is full.

        Raises:
            RecordError: Its image is of another type, or its record has unknown columns.
        """
        if case.image.dtype.name != self._dtype:
            raise RecordError(
                f"a case has images of {case.image.dtype.name}, expected {self._dtype}: convert them"
            )
        self._group.append(case)
        self.cases += 1
        held = sum(one.image.nbytes + one.mask.nbytes for one in self._group)
        if len(self._group) == ROW_GROUP_CASES or held >= ROW_GROUP_BYTES:
            self._write_group()

    def finish(self) -> str:
        """Write the rest; the file's hex SHA-256."""
        if self._group:
            self._write_group()
        self._writer.close()
        return self.file.sha256

    def close(self) -> None:
        """Let an unfinished file be: the writer would end it by itself."""
        self._writer.is_open = False

    def _write_group(self) -> None:
        group, self._group = self._group, []
        self._writer.write_table(
            table_of(group, self._case_set.columns, self._schema), row_group_size=len(group)
        )


class StagedShard(ShardFile):
    """A shard of a private stage on its way to the store."""

    def __init__(self, store: ObjectStore, file: Incoming, case_set: CaseSet, stage: str, dtype: str) -> None:
        super().__init__(file, case_set, dtype)
        self._store, self._stage = store, stage

    def commit(self) -> ShardRef:
        """Write the rest and give the shard its key.

        Raises:
            IntegrityError: The store gives back other bytes.
            StoreError: The store cannot be written.
        """
        sha256 = self.finish()
        key = keys.shard(self._case_set.dataset, self._stage, sha256)
        commit_incoming(self._store, key, self.file)
        return ShardRef(key=key, sha256=sha256, size_bytes=self.file.size_bytes, cases=self.cases)


@contextmanager
def shard_file(file: AbstractContextManager[Incoming], case_set: CaseSet, dtype: str) -> Iterator[ShardFile]:
    """A shard in a file of its own."""
    with file as opened, closing(ShardFile(opened, case_set, dtype)) as shard:
        yield shard


@contextmanager
def staged_shard(store: ObjectStore, case_set: CaseSet, stage: str, dtype: str) -> Iterator[StagedShard]:
    """A shard which is gone at the end, unless it was committed.

    Raises:
        StoreError: The disk fails or is full.
    """
    with (
        incoming(store, keys.shard(case_set.dataset, stage, "new")) as file,
        closing(StagedShard(store, file, case_set, stage, dtype)) as shard,
    ):
        yield shard
