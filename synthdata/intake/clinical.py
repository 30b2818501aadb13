"""The clinical table: one row per patient, typed by the spec; only columns that the spec names are kept."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthdata.errors import SourceError
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.records.case import Value
from synthdata.records.case_set import ColumnSpec
from synthdata.storage.disk import disk_sentence

ID_COLUMNS = ("patient", "subject")
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


class ClinicalTable:
    """Records by the patient's pseudonym."""

    def __init__(
        self, columns: Sequence[ColumnSpec], rows: Mapping[str, Sequence[Mapping[str, str]]]
    ) -> None:
        self._columns = tuple(columns)
        self._rows = rows
        self._used: set[str] = set()

    def look_up(self, patient: str) -> tuple[dict[str, Value], str]:
        """Typed record of one patient, and an empty text or the reason why there is none."""
        if not self._columns:
            return {}, ""
        rows = self._rows.get(patient, ())
        if not rows:
            return {}, "clinical.no_row"
        self._used.add(patient)
        wanted = [{column.name: row.get(column.name, "") for column in self._columns} for row in rows]
        if any(row != wanted[0] for row in wanted):
            return {}, "clinical.conflicting_rows"
        record: dict[str, Value] = {}
        for column in self._columns:
            value, reason = typed(column, wanted[0][column.name])
            if reason:
                return {}, reason
            record[column.name] = value
        return record, ""

    def unused_rows(self) -> int:
        """Rows of patients without accepted images, after all cases were looked up."""
        return sum(len(rows) for patient, rows in self._rows.items() if patient not in self._used)


def typed(column: ColumnSpec, text: str) -> tuple[Value, str]:
    """Value of one cell, and an empty text or the reason why it cannot be used."""
    text = text.strip()
    if text.lower() in MISSING and text.lower() not in {value.lower() for value in column.values}:
        return None, "" if column.role == "outcome" else "clinical.bad_value"
    if column.kind == "category":
        match = {value.lower(): value for value in column.values}.get(text.lower())
        return match, "" if match is not None else "clinical.bad_value"
    if column.kind == "boolean":
        truth = BOOLEANS.get(text.lower())
        return truth, "" if truth is not None else "clinical.bad_value"
    return _number(column, text)


def _number(column: ColumnSpec, text: str) -> tuple[Value, str]:
    try:
        number = float(text)
    except ValueError:
        return None, "clinical.bad_value"
    if not math.isfinite(number) or (column.kind == "integer" and not number.is_integer()):
        return None, "clinical.bad_value"
    low, high = column.minimum, column.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        return None, "clinical.out_of_range"
    return (int(number) if column.kind == "integer" else number), ""


def table_bytes(path: Path, key: str) -> bytes:
    """A table that the spec names under a key. Raises SourceError where it is not there or may not be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SourceError(
            f"the table of {key} is not there, expected a CSV below uri: put it there, or mend the spec"
        ) from None
    except OSError as error:
        raise SourceError(disk_sentence(f"the table of {key}", error, "read")) from None


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
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise SourceError(f"the {what} lacks the columns {', '.join(missing)}: add them, or mend the spec")
    return rows


def load_table(
    data: bytes | None, columns: Sequence[ColumnSpec], names: Pseudonyms, inventory: Inventory
) -> ClinicalTable:
    """Table of a CSV file; identifiers become pseudonyms at once.

    Args:
        data: The file, or None where the spec names no table.
        columns: Columns of the spec.
        names: Makes the pseudonyms.
        inventory: Takes a note on columns which are not read.

    Raises:
        SourceError: The table lacks a column of the patient or of the spec, or the spec names no table.
    """
    if data is None:
        if columns:
            raise SourceError(
                "the spec has clinical columns and no source.clinical: name the CSV with a row per patient"
            )
        return ClinicalTable((), {})
    rows = read_rows(data, "clinical table", [column.name for column in columns])
    header = rows[0] if rows else {}
    key = next((name for name in ID_COLUMNS if name in header), None)
    if key is None:
        raise SourceError(
            "the clinical table lacks rows or a column patient (or subject): add a row per patient"
        )
    if extra := len(set(header) - {key} - {column.name for column in columns}):
        inventory.notes.add(
            f"{extra} columns of the clinical table are not named by the spec and were not read"
        )
    by_patient: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_patient.setdefault(names.patient(row[key]), []).append(row)
    return ClinicalTable(columns, by_patient)
