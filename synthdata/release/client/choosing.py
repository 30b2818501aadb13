"""Which cases a partial pull is about: a condition in the words of SQL over the index, then a sample of some size."""

import hashlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from synthdata.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

SAMPLE = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")


def chosen_rows(index: Path, where: str, sample: str) -> "pa.Table":
    """Rows of the index that are asked for, in its order.

    A sample is the cases with the smallest hashes of their ids: the same in each pull, and a part of any larger one.

    Args:
        index: Index of the release.
        where: Condition, such as `age > 60 and lesion_count > 0`; empty for all.
        sample: `1%` of the cases that meet it, or a number of them; empty for all.

    Raises:
        ConfigError: The condition or the sample cannot be read, or no case meets the condition.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    from synthdata.release.client.where import case_filter

    with _readable():
        opened = pq.ParquetFile(index)
    with opened as file:
        condition = case_filter(where, file.schema_arrow) if where else None
        if sample:
            condition = ds.field("case_id").isin(_sampled(file, condition, sample))
        rows = pa.concat_tables(_groups(file, condition))
    if not rows.num_rows:
        raise ConfigError(f"no case meets {where!r}: widen the condition")
    return rows


def in_parts(rows: "pa.Table", cases: int, size_bytes: int) -> Iterator["pa.Table"]:
    """Cut rows into parts of at most so many cases and bytes of voxels."""
    import numpy as np

    sides = rows["shape_zyx"].combine_chunks().flatten().to_numpy().astype(np.int64)
    voxels = sides.reshape(-1, 3).prod(axis=1)
    start, held = 0, 0
    for row, count in enumerate(voxels):
        if row > start and (row - start >= cases or held + 3 * count > size_bytes):
            yield rows.slice(start, row - start)
            start, held = row, 0
        held += 3 * int(count)
    if rows.num_rows > start:
        yield rows.slice(start)


def check_sample(text: str) -> None:
    """Refuse a sample which cannot be read. Raises ConfigError."""
    _size(text, 1)


def _sampled(file: "pq.ParquetFile", condition: "pc.Expression | None", sample: str) -> list[str]:
    """Ids of the sample; memory holds the head of a hash per case, and the ids that are kept."""
    import numpy as np

    def ids() -> Iterator[str]:
        for table in _groups(file, condition):
            yield from table["case_id"].to_pylist()

    heads = np.fromiter((_head(case_id) for case_id in ids()), np.uint64)
    if not len(heads):
        return []
    count = _size(sample, len(heads))
    bound = int(np.partition(heads, count - 1)[count - 1])
    return sorted((case_id for case_id in ids() if _head(case_id) <= bound), key=_digest)[:count]


def _groups(file: "pq.ParquetFile", condition: "pc.Expression | None") -> "Iterator[pa.Table]":
    """What meets the condition, one row group in memory at a time, however long the index is."""
    for number in range(file.num_row_groups):
        with _readable():
            table = file.read_row_group(number)
        yield table if condition is None else table.filter(condition)


@contextmanager
def _readable() -> Iterator[None]:
    """Say in our words what pyarrow finds wrong in an index. Raises RecordError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise RecordError(
            f"the index of the release cannot be read ({type(error).__name__}), expected a Parquet file: it was broken "
            "before it was signed; tell its publisher"
        ) from error


def _digest(case_id: str) -> bytes:
    return hashlib.sha256(case_id.encode()).digest()


def _head(case_id: str) -> int:
    """The first 8 bytes of the digest, in its order."""
    return int.from_bytes(_digest(case_id)[:8], "big")


def _size(text: str, cases: int) -> int:
    match = SAMPLE.fullmatch(text.strip())
    number = float(match[1]) if match else 0.0
    if match is None or number <= 0 or (match[2] and number > 100) or (not match[2] and "." in match[1]):
        raise ConfigError(
            f"the sample is {text!r}, expected a share such as 1% or a number of cases such as 100"
        )
    return math.ceil(cases * number / 100) if match[2] else min(int(number), cases)
