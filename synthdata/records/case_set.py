"""A CaseSet: a small manifest which names immutable Parquet shards by SHA-256."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from synthdata.errors import ConfigError
from synthdata.records.codec import Record

Origin = Literal["real", "synthetic"]
Kind = Literal["number", "integer", "category", "boolean"]
Role = Literal["condition", "outcome"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnSpec(Record):
    """One column of the clinical record."""

    name: str
    kind: Kind
    unit: str = "1"  # UCUM: a (year), mL, g/L, 1 (none)
    minimum: float | None = None  # of a number or an integer
    maximum: float | None = None
    values: tuple[str, ...] = ()  # of a category
    role: Role = (
        "condition"  # condition: drawn before the image and steers it; outcome: drawn to match the image
    )
    description: str = ""

    def __post_init__(self) -> None:
        if self.kind == "category" and not self.values:
            raise ConfigError(f"column {self.name} is a category without values: list them")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low >= high:
            raise ConfigError(f"column {self.name} goes from {low} to {high}: expected minimum < maximum")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRef(Record):
    """One immutable Parquet file of cases."""

    key: str
    sha256: str
    size_bytes: int
    cases: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseSet(Record):
    """Cases of one origin, with one set of channels, labels and record columns."""

    dataset: str
    origin: Origin
    channels: tuple[str, ...]
    modalities: tuple[str, ...]  # DICOM Modality of each channel: MR, CT, CR, DX
    units: tuple[str, ...]  # unit of each channel: [hnsf'U] for HU, 1 for arbitrary
    labels: Mapping[str, int]  # name to mask value
    columns: tuple[ColumnSpec, ...]
    shards: tuple[ShardRef, ...]
    parents: tuple[str, ...] = ()  # digests of the records it was made from; synthetic: plan, copy filter

    @property
    def cases(self) -> int:
        """Number of cases."""
        return sum(shard.cases for shard in self.shards)
