"""Columns are those of `pa.array`, and pandas stays out of processes that take scans in."""

import subprocess
import sys

import pyarrow as pa
import pytest

from synthdata.records.arrow_columns import column

CASES = [
    ([], pa.string()),
    (["a", None, "", "ß日", "a"], pa.string()),
    ([None, None], pa.string()),
    ([1.5, None, float("inf"), -0.0], pa.float64()),
    ([1, 2.5, None], pa.float64()),
    ([1, None, -(2**63), 2**63 - 1], pa.int64()),
    ([True, None, False] * 7, pa.bool_()),
    ([(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)], pa.list_(pa.float64(), 3)),
    ([(1, 2, 3), (4, 5, 6)], pa.list_(pa.int32(), 3)),
    ([(1.0, 2.0, 3.0), None], pa.list_(pa.float64(), 3)),
]
WRONG = [
    (["a", 1], pa.string()),
    (["\ud800"], pa.string()),
    ([2**63], pa.int64()),
    (["1"], pa.float64()),
    ([1], pa.bool_()),
    ([(1.0, 2.0)], pa.list_(pa.float64(), 3)),
    ([(2**31,)], pa.list_(pa.int32(), 1)),
]
SCRIPT = """
import sys
from pathlib import Path
from synthdata.intake.memory import Memory
from synthdata.storage.folder import FolderStore
from tests.records.test_shard_file import committed, ellipsoids

store = FolderStore(Path(sys.argv[1]))
committed(store, list(ellipsoids(2)))
memory = Memory(store, "memory/")
memory.put("key", "value")
memory.flush()
assert Memory(store, "memory/").get("key") == "value"
print("pandas" in sys.modules)
"""


@pytest.mark.parametrize(("values", "kind"), CASES, ids=str)
def test_a_column_is_the_one_that_arrow_builds(values, kind) -> None:
    found, wanted = column(values, kind), pa.array(values, kind)
    found.validate(full=True)
    assert found.equals(wanted)
    assert found.null_count == wanted.null_count


@pytest.mark.parametrize(("values", "kind"), WRONG, ids=ascii)
def test_what_is_not_of_the_type_is_refused_as_arrow_refuses_it(values, kind) -> None:
    with pytest.raises((pa.ArrowException, ValueError, OverflowError)) as wanted:
        pa.array(values, kind)
    with pytest.raises(wanted.type):
        column(values, kind)


def test_shards_and_what_intake_remembers_are_written_without_pandas(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
