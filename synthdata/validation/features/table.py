"""Features of one CaseSet: a matrix whose rows know their case and their patient."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import ShapeError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Features:
    """One row per case. Of real cases this is private data: it stays in memory and in the private store."""

    values: np.ndarray  # float64 (n, d), finite
    names: tuple[str, ...]  # d
    case_ids: tuple[str, ...]  # n
    patient_ids: tuple[str, ...]  # n

    def __post_init__(self) -> None:
        rows, columns = len(self.case_ids), len(self.names)
        if self.values.shape != (rows, columns) or len(self.patient_ids) != rows:
            raise ShapeError(
                f"features have shape {self.values.shape} for {rows} cases, "
                f"{len(self.patient_ids)} patients and {columns} names: expected (cases, names)"
            )
        if self.values.dtype != np.float64 or not np.isfinite(self.values).all():
            raise ShapeError(
                f"features are {self.values.dtype} with {int((~np.isfinite(self.values)).sum())} values "
                "which are no finite number: expected finite float64; look for images with NaN"
            )

    def take(self, rows: Sequence[int] | np.ndarray) -> Self:
        """The rows of these indices, in their order."""
        index = np.asarray(rows, np.intp)
        return type(self)(
            values=self.values[index],
            names=self.names,
            case_ids=tuple(self.case_ids[i] for i in index),
            patient_ids=tuple(self.patient_ids[i] for i in index),
        )

    def to_bytes(self) -> bytes:
        """Parquet: case_id, patient_id and one list column of values."""
        flat = pa.array(np.ascontiguousarray(self.values).ravel())
        table = pa.table(
            {
                "case_id": pa.array(self.case_ids, pa.string()),
                "patient_id": pa.array(self.patient_ids, pa.string()),
                "values": pa.FixedSizeListArray.from_arrays(flat, max(1, len(self.names))),
            }
        ).replace_schema_metadata({"names": json.dumps(self.names)})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        table = pq.read_table(pa.BufferReader(data))
        names = tuple(json.loads(table.schema.metadata[b"names"]))
        column = table["values"].combine_chunks()
        flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float64)
        return cls(
            values=flat.reshape(table.num_rows, len(names)),
            names=names,
            case_ids=tuple(table["case_id"].to_pylist()),
            patient_ids=tuple(table["patient_id"].to_pylist()),
        )


def check_same_width(first: Features, second: Features) -> None:
    """Raise ShapeError unless both are features of one extractor."""
    if first.names != second.names:
        raise ShapeError(
            f"features have {len(first.names)} and {len(second.names)} columns or other names: "
            "use one extractor for both sets"
        )
