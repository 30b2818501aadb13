"""The cases of a pulled release as a torch dataset: read by row group, the newest one is kept."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from synthdata.records.case import Case
from synthdata.records.case_set import ColumnSpec
from synthdata.records.parquet import PARQUET, read_file_group
from synthdata.records.readable import readable


class TorchCases(Dataset[Mapping[str, object]]):
    """Map-style: any order, any number of workers; going through in order reads each row group once."""

    def __init__(self, shards: Sequence[Path], columns: Sequence[ColumnSpec]) -> None:
        self._columns, self._groups = tuple(columns), list[tuple[Path, int]]()
        sizes = []
        for path in shards:
            with readable(path.name, PARQUET, pa.ArrowException), pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    self._groups.append((path, group))
                    sizes.append(file.metadata.row_group(group).num_rows)
        self._ends = list(accumulate(sizes))
        self._kept: tuple[int, list[Case]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Mapping[str, object]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"case {index} of {len(self)}")
        index %= len(self)
        number = bisect_right(self._ends, index)
        start = self._ends[number - 1] if number else 0
        case = self._group(number)[index - start]
        return {
            "image": torch.from_numpy(case.image.astype("float32")),
            "mask": torch.from_numpy(case.mask.copy()),
            "case_id": case.case_id,
            "record": dict(case.record),
        }

    def _group(self, number: int) -> list[Case]:
        if self._kept is None or self._kept[0] != number:
            path, group = self._groups[number]
            with readable(path.name, PARQUET, pa.ArrowException), pq.ParquetFile(path) as file:
                self._kept = (number, list(read_file_group(file, group, self._columns)))
        return self._kept[1]
