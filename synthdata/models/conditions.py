"""Record columns as the condition vector of a generator."""

from collections.abc import Mapping, Sequence

import numpy as np

from synthdata.errors import ConfigError
from synthdata.records import ColumnSpec
from synthdata.records.case import Value


class ConditionCode:
    """Map the condition columns of a record to a vector; a missing value is all zeros with its own flag.

    A number of range [minimum, maximum] becomes (v scaled to [-1, 1], 1); a category becomes one of n; a
    boolean becomes (-1 or 1, 1). All is known from the spec, so nothing is fitted on patients.
    """

    def __init__(self, columns: Sequence[ColumnSpec]) -> None:
        self.columns = tuple(column for column in columns if column.role == "condition")
        for column in self.columns:
            if column.kind in {"number", "integer"} and (column.minimum is None or column.maximum is None):
                raise ConfigError(
                    f"column {column.name} is a condition without a range: give minimum and maximum"
                )

    @property
    def width(self) -> int:
        """Numbers per record."""
        return sum(len(column.values) if column.kind == "category" else 2 for column in self.columns)

    def encode(self, record: Mapping[str, Value]) -> np.ndarray:
        """float32 (width,). Raises ConfigError for a value that the spec does not allow."""
        parts = [self._one(column, record.get(column.name)) for column in self.columns]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)

    def _one(self, column: ColumnSpec, value: Value) -> np.ndarray:
        if column.kind == "category":
            if value is not None and value not in column.values:
                raise ConfigError(
                    f"column {column.name} has a value which is none of {column.values}: mend the spec"
                )
            return np.array([value == name for name in column.values], dtype=np.float32)
        if value is None:
            return np.zeros(2)
        if column.kind == "boolean":
            return np.array([1.0 if value else -1.0, 1.0])
        low, high = column.minimum, column.maximum
        if low is None or high is None or not low <= float(value) <= high:
            raise ConfigError(
                f"column {column.name} has a value outside [{low}, {high}]: mend the spec or the data"
            )
        return np.array([2 * (float(value) - low) / (high - low) - 1, 1.0])
