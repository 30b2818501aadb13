"""From stored numbers to values with a unit: the modality's rescale, and real-world value maps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

HOUNSFIELD = "[hnsf'U]"
ARBITRARY = "1"
UNSTATED = frozenset({"", "US"})  # Rescale Type: unspecified
NO_TABLE, MODALITY_TABLE = -1, -2


class Attributes(Protocol):
    """A header or a nested item, asked by keyword."""

    def get(self, keyword: str, default: Any = None, /) -> Any:
        """Value of an attribute, or the default."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Value = slope * stored + intercept, or an entry of a table, for stored numbers of a range."""

    unit: str  # UCUM; `1` for arbitrary numbers
    slope: float
    intercept: float
    first: float = float("-inf")  # stored numbers which the map covers
    last: float = float("inf")
    table: int = NO_TABLE  # `MODALITY_TABLE`, or the number of the real-world value map which has one

    @property
    def is_usable(self) -> bool:
        """False for a slope of zero, which makes all values one."""
        return self.slope != 0


def is_stated(value: Any) -> bool:
    """True where an attribute is there and holds a value."""
    return value is not None and value != ""


def scales_of(place: Attributes, modality: str) -> tuple[Scale, ...]:
    """All ways to values that a file states for a frame; the modality's own comes first.

    Source:
        DICOM PS3.3, C.11.1 (Modality LUT) and C.7.6.16.2.11 (Real World Value Mapping).
    """
    real_world = tuple(_real_world(place.get("RealWorldValueMappingSequence") or ()))
    tables = place.get("ModalityLUTSequence")
    if tables:
        return (_modality_table(tables[0], modality), *real_world)
    slope, intercept = place.get("RescaleSlope"), place.get("RescaleIntercept")
    kind = str(place.get("RescaleType") or "")
    stated = is_stated(slope) and is_stated(intercept)
    if modality == "CT":
        unit = HOUNSFIELD if stated and kind in {*UNSTATED, "HU"} else kind or "unstated"
    else:
        unit = ARBITRARY if kind in UNSTATED else kind
    modality_scale = Scale(
        unit=unit,
        slope=float(slope) if is_stated(slope) else 1.0,
        intercept=float(intercept) if is_stated(intercept) else 0.0,
    )
    return (modality_scale, *real_world)


def _modality_table(item: Attributes, modality: str) -> Scale:
    kind = str(item.get("ModalityLUTType") or "")
    if modality == "CT":
        unit = HOUNSFIELD if kind == "HU" else kind or "unstated"
    else:
        unit = ARBITRARY if kind in UNSTATED else kind
    return Scale(unit=unit, slope=1.0, intercept=0.0, table=MODALITY_TABLE)


def _real_world(items: Sequence[Attributes]) -> Iterator[Scale]:
    for number, item in enumerate(items):
        units = item.get("MeasurementUnitsCodeSequence") or ()
        slope, intercept = item.get("RealWorldValueSlope"), item.get("RealWorldValueIntercept")
        is_linear = is_stated(slope) and is_stated(intercept)
        first, last = (_bound(item, f"RealWorldValue{end}ValueMapped") for end in ("First", "Last"))
        is_table = item.get("RealWorldValueLUTData") is not None and None not in {first, last}
        if not units or not (is_linear or is_table):
            continue
        yield Scale(
            unit=str(units[0].get("CodeValue", "")),
            slope=float(slope) if is_linear else 1.0,
            intercept=float(intercept) if is_linear else 0.0,
            first=float("-inf") if first is None else first,
            last=float("inf") if last is None else last,
            table=NO_TABLE if is_linear else number,
        )


def _bound(item: Attributes, keyword: str) -> float | None:
    value = item.get(keyword)
    if value is None:
        value = item.get(f"DoubleFloat{keyword}")
    return None if value is None else float(value)


def scale_for(scales: Sequence[Scale], unit: str) -> Scale | None:
    """The way to values of a channel's unit; None where the file states none.

    Args:
        scales: What the file states, the modality's own first.
        unit: UCUM unit of the channel; empty: the modality's own, whatever its unit.
    """
    own = scales[0] if scales[0].is_usable else None
    if unit in {
        "",
        ARBITRARY,
    }:  # numbers without a unit: the modality's own, else none is better than another
        return own
    return next((scale for scale in scales if scale.unit == unit and scale.is_usable), None)
