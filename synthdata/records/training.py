"""The training set: one grid, one encoding of intensities, three groups of patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthdata.errors import ConfigError
from synthdata.records.case_set import CaseSet, ColumnSpec
from synthdata.records.codec import Record
from synthdata.records.grid import Grid


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelScale(Record):
    """How one channel is encoded as int16, in training, synthetic and released cases alike.

    A window keeps the physical unit: CT in HU, clipped to [low, high]. Percentiles map the two percentiles of
    each volume to 0 and 1000 arbitrary units; the percentiles are kept per case in `provenance`, as
    `<channel>_low` and `<channel>_high`, so that the native value is low + v / 1000 * (high - low).
    """

    channel: str
    modality: str  # DICOM Modality
    method: Literal["window", "percentile"]
    unit: str  # UCUM unit of the encoded values
    low: float  # encoded value which networks see as -1
    high: float  # encoded value which networks see as +1
    percentiles: tuple[float, float] | None = None  # of each volume, for method percentile

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(
                f"channel {self.channel} goes from {self.low} to {self.high}: expected low < high"
            )

    def to_network(self, encoded: np.ndarray) -> np.ndarray:
        """Map encoded values to about [-1, 1], float32, any shape."""
        scaled: np.ndarray = (encoded.astype(np.float32) - self.low) * (2 / (self.high - self.low)) - 1
        return scaled

    def to_encoded(self, scaled: np.ndarray) -> np.ndarray:
        """Map values of about [-1, 1] back to int16, rounded; clipped to 5 % beyond the range."""
        wide = 1.05 if self.method == "percentile" else 1.0
        values = (np.clip(scaled, -wide, wide) + 1) * ((self.high - self.low) / 2) + self.low
        encoded: np.ndarray = np.rint(values).astype(np.int16)
        return encoded


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSet(Record):
    """Prepared cases: int16 on one grid, split by patient into train, control and test."""

    dataset: str
    grid: Grid
    scales: tuple[ChannelScale, ...]
    labels: Mapping[str, int]
    columns: tuple[ColumnSpec, ...]
    train: CaseSet
    control: CaseSet  # same size as train; seen by the privacy tests alone
    test: CaseSet  # seen by the utility and fidelity measures alone
    patients: Mapping[str, int]  # per group
    dropped: Mapping[str, int]  # cases left out, by reason code (near duplicates across groups ...)
    parents: tuple[str, ...] = ()
