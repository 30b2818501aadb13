"""Which cases a partial pull is about: a condition in the words of SQL over the index, then a sample of some size."""

import hashlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synthdata.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

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
    import pyarrow.dataset as ds

    from synthdata.release.client.where import case_filter

    source = ds.dataset(index, format="parquet")
    condition = case_filter(where, source.schema) if where else None
    if not sample:
        rows = source.to_table(filter=condition)
    else:
        ids = source.to_table(columns=["case_id"], filter=condition)["case_id"].to_pylist()
        kept = _sampled(ids, sample)
        rows = source.to_table(filter=ds.field("case_id").isin(kept))
    if not rows.num_rows:
        raise ConfigError(f"no case meets {where!r}: widen the condition")
    return rows


def in_parts(rows: "pa.Table", cases: int, size_bytes: int) -> Iterator["pa.Table"]:
    """Cut rows into parts of at most so many cases and bytes of voxels."""
    import numpy as np

    voxels = np.array(rows["shape_zyx"].to_pylist(), dtype=np.int64).prod(axis=1)
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


def _sampled(ids: list[str], sample: str) -> list[str]:
    ordered = sorted(ids, key=lambda case_id: hashlib.sha256(case_id.encode()).digest())
    return ordered[: _size(sample, len(ids))]


def _size(text: str, cases: int) -> int:
    match = SAMPLE.fullmatch(text.strip())
    number = float(match[1]) if match else 0.0
    if match is None or number <= 0 or (match[2] and number > 100) or (not match[2] and "." in match[1]):
        raise ConfigError(
            f"the sample is {text!r}, expected a share such as 1% or a number of cases such as 100"
        )
    return math.ceil(cases * number / 100) if match[2] else min(int(number), cases)
