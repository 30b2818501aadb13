"""Rows of clinical tables: CSV and Parquet, with the units that their headers state."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from synthdata.errors import SourceError

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


def read_rows(data: bytes, what: str, needed: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header line.

    Args:
        data: The file.
        what: What the table is, for messages.
        needed: Columns which must be there.

    Raises:
        SourceError: The file is no UTF-8 CSV or lacks a column.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise SourceError(f"the {what} is no CSV in UTF-8: save it as comma separated text") from None
    _require(needed, reader.fieldnames or (), what)
    return rows


def _require(needed: Sequence[str], there: Sequence[str], what: str) -> None:
    missing = [name for name in needed if name not in there]
    if missing:
        raise SourceError(f"the {what} lacks the columns {', '.join(missing)}: add them, or mend the spec")


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
    rows, units = _parquet(data) if is_parquet(data) else _csv(data)
    header = list(rows[0]) if rows else list(units)
    key = next((name for name in ID_COLUMNS if name in header), None)
    _require(wanted, header, "clinical table")
    if key is None or not rows:
        raise SourceError(
            "the clinical table lacks rows or a column patient (or subject): add a row per patient"
        )
    used = {key, *wanted, *(name + UNIT_SUFFIX for name in wanted)}
    found = [
        PatientRow(
            (row[key].strip(),),
            {
                name: Cell(row[name], row.get(name + UNIT_SUFFIX, "") or units.get(name, ""))
                for name in wanted
            },
        )
        for row in rows
    ]
    return found, len(set(header) - used)


def _csv(data: bytes) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows by bare names, and the units which the header states."""
    rows = read_rows(data, "clinical table", ())
    header = list(rows[0]) if rows else []
    parts = {name: _name_and_unit(name.strip()) for name in header}
    units = {name: unit for name, unit in parts.values() if unit}
    return [{parts[column][0]: value for column, value in row.items()} for row in rows], units


def _name_and_unit(header: str) -> tuple[str, str]:
    """Such as `haemoglobin [g/dL]`; the unit is empty where the header states none."""
    name, _, unit = header.partition("[") if header.endswith("]") else (header, "", "")
    return (name.rstrip(), unit[:-1]) if name and len(unit) > 1 else (header, "")


def _parquet(data: bytes) -> tuple[list[dict[str, str]], dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        is_small = file.metadata.num_rows * file.metadata.num_columns <= MOST_CELLS
        table = file.read() if is_small else None
        cells = table.to_pylist() if table is not None else []
    except (pa.ArrowException, OSError, ValueError, OverflowError):  # also of dates beyond the calendar
        raise SourceError("the clinical table is no whole Parquet file: write it again") from None
    if table is None:
        raise SourceError(f"the clinical table has more than {MOST_CELLS} cells: send its rows in parts")
    units = {
        field.name: (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace")
        for field in table.schema
    }
    rows = [{name: _text(value) for name, value in row.items()} for row in cells]
    return rows, units


def _text(value: object) -> str:
    return "" if value is None else str(value)
