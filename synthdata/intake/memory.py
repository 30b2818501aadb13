"""What earlier runs found out, in a store as immutable segments: a killed run loses little, and nothing doubles."""

import hashlib
import io
import time
from collections.abc import Collection

import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import IntegrityError, MissingObjectError
from synthdata.records.arrow_columns import column
from synthdata.storage.commit import commit_blob, read_verified
from synthdata.storage.protocol import ObjectStore

SEGMENT_ROWS = 20_000  # at most so many findings,
SEGMENT_SECONDS = 20.0  # and at most that much work, are lost to a kill
SUFFIX = ".parquet"


class Memory:
    """Texts by key. A segment is named by its content, so two runs at once cannot harm each other."""

    def __init__(self, store: ObjectStore | None, prefix: str) -> None:
        """Read what is there; without a store nothing is remembered.

        Args:
            store: Private store.
            prefix: Of the segments' keys, with a slash at its end.
        """
        self._store, self._prefix = store, prefix
        self._segments: list[str] = []
        self._rows: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._flushed = time.monotonic()
        if store is not None:
            for key in list(store.keys(prefix)):
                self._read(store, key)

    def get(self, key: str) -> str | None:
        """What was remembered under a key."""
        return self._rows.get(key)

    def put(self, key: str, value: str) -> None:
        """Remember a text; it is written now and then."""
        self._rows[key] = self._new[key] = value
        if len(self._new) >= SEGMENT_ROWS or time.monotonic() - self._flushed > SEGMENT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is new as a segment of its own."""
        self._flushed = time.monotonic()
        if self._store is not None and self._new:
            self._segments.append(self._write(self._store, self._new))
        self._new = {}

    def close(self, used: Collection[str]) -> None:
        """Write what is new, and forget what is of no use any more, at the end of a whole run.

        Args:
            used: Keys which the run met.
        """
        wanted = set(used)
        kept = {key: value for key, value in self._rows.items() if key in wanted}
        if self._store is None or (
            not self._new and len(self._segments) <= 1 and len(kept) == len(self._rows)
        ):
            return
        old, self._rows, self._new = self._segments, kept, {}
        self._segments = [self._write(self._store, kept)] if kept else []
        for key in set(old) - set(self._segments):  # after the whole one is there
            self._store.delete(key)

    def _read(self, store: ObjectStore, key: str) -> None:
        digest = key.removeprefix(self._prefix).removesuffix(SUFFIX)
        try:
            whole = io.BytesIO(read_verified(store, key, digest))
            table = pq.ParquetFile(whole, pre_buffer=False).read(use_threads=False)  # as `read_shard` does
        except MissingObjectError:  # another run has just put it together with others
            return
        except (IntegrityError, pa.ArrowException):  # damaged: what it held is found out again
            self._segments.append(key)
            return
        self._segments.append(key)
        self._rows.update(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))

    def _write(self, store: ObjectStore, rows: dict[str, str]) -> str:
        texts = {"key": list(rows), "value": list(rows.values())}
        table = pa.table({name: column(values, pa.string()) for name, values in texts.items()})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_statistics=False)
        data = sink.getvalue()
        key = f"{self._prefix}{hashlib.sha256(data).hexdigest()}{SUFFIX}"
        commit_blob(store, key, data)
        return key
