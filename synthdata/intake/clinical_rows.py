"""Rows of clinical tables: CSV and Parquet, with the units that their headers state."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from synthdata.errors import SourceError
from synthdata.intake.csv_rows import open_rows, require

ID_COLUMNS = ("patient", "subject")
UNIT_SUFFIX = "_unit"
PARQUET = b"PAR1"
MOST_CELLS = 50_000_000  # of a Parquet file; a few bytes may stand for any number of equal ones


class Cell(NamedTuple):
    """One value as it stands in a table; an empty unit is that of the spec."""

    text: str
    unit: str = ""


class PatientRow(NamedTuple):
    """What a table says of one patient, who may have several identifiers."""

    identifiers: tuple[str, ...]
    cells: Mapping[str, Cell]


def is_parquet(data: bytes) -> bool:
    """True for the magic word of Parquet."""
    return data[:4] == PARQUET


def patient_rows(data: bytes, wanted: Sequence[str]) -> tuple[list[PatientRow], int]:
    """Rows of a CSV or Parquet table with a column of patients.

    A unit may stand in the header (`height [cm]`), in the column's metadata `unit` (Parquet), or in a column of its own
    (`height_unit`).

    Args:
        data: The file.
        wanted: Columns which must be there; others are not read.

    Returns:
        The rows, and the number of columns that were not read.

    Raises:
        SourceError: The table cannot be read, or lacks rows, a column of patients or a wanted one.
    """
    used = {*ID_COLUMNS, *wanted, *(name + UNIT_SUFFIX for name in wanted)}
    rows, header, units = _parquet(data, used) if is_parquet(data) else _csv(data, wanted, used)
    key = next((name for name in ID_COLUMNS if name in header), None)
    require(wanted, header, "clinical table")
    twice = sorted(name for name, count in Counter(header).items() if count > 1 and name in used)
    if twice:
        raise SourceError(f"the clinical table has the columns {', '.join(twice)} twice: leave one of each")
    if key is None or not rows:
        raise SourceError(
            "the clinical table lacks rows or a column patient (or subject): add a row per patient"
        )
    found = [
        PatientRow(
            (row[key].strip(),),
            {
                name: Cell(row[name], row.get(name + UNIT_SUFFIX, "") or units.get(name, ""))
                for name in wanted
            },
        )
        for row in rows
        if row[key].strip()
    ]
    return found, len(set(header) - (used - set(ID_COLUMNS)) - {key})


def _csv(
    data: bytes, wanted: Sequence[str], used: Collection[str]
) -> tuple[list[dict[str, str]], list[str], dict[str, str]]:
    """Used cells by bare names, all bare names, and the units which the header states."""
    stated, rows = open_rows(data, "clinical table", [*ID_COLUMNS, *wanted])
    parts = [_name_and_unit(name) for name in stated]
    chosen = [(number, name) for number, (name, _) in enumerate(parts) if name in used]
    units = {name: unit for name, unit in parts if unit}
    return (
        [{name: row[number] for number, name in chosen} for row in rows],
        [name for name, _ in parts],
        units,
    )


def _name_and_unit(header: str) -> tuple[str, str]:
    """Such as `haemoglobin [g/dL]`; the unit is empty where the header states none."""
    name, _, unit = header.partition("[") if header.endswith("]") else (header, "", "")
    return (name.rstrip(), unit[:-1]) if name and len(unit) > 1 else (header, "")


def _parquet(data: bytes, used: Collection[str]) -> tuple[list[dict[str, str]], list[str], dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        is_small = file.metadata.num_rows * file.metadata.num_columns <= MOST_CELLS
        table = file.read() if is_small else None
        chosen = [number for number, name in enumerate(schema.names) if name in used]
        cells = [table.column(number).to_pylist() for number in chosen] if table is not None else []
    except (pa.ArrowException, OSError, ValueError, OverflowError):  # also of dates beyond the calendar
        raise SourceError("the clinical table is no whole Parquet file: write it again") from None
    if table is None:
        raise SourceError(f"the clinical table has more than {MOST_CELLS} cells: send its rows in parts")
    units = {
        field.name: (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace") for field in schema
    }
    names = [schema.names[number] for number in chosen]
    rows = [dict(zip(names, map(_text, row), strict=True)) for row in zip(*cells, strict=True)]
    return rows, list(schema.names), units


def _text(value: object) -> str:
    return "" if value is None else str(value)
