"""The clinical table: one record per patient, typed by the spec; only columns that the spec names are kept."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthdata.errors import SourceError, UnitError
from synthdata.intake.clinical_rows import Cell, PatientRow, patient_rows
from synthdata.intake.fhir import fhir_rows, is_fhir
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.rare import ages_in, generalised, rare_patients
from synthdata.intake.text_patterns import looks_identifying
from synthdata.intake.ucum import convert
from synthdata.records.case import Value
from synthdata.records.case_set import ColumnSpec
from synthdata.spec import RareCombinations
from synthdata.storage.disk import disk_sentence

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
LONGEST_VALUE, MOST_VALUES = 64, 200  # of a category; beyond it is free text
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
NO_RULE = RareCombinations(k=1)


class ClinicalTable:
    """Records by the patient's pseudonym."""

    def __init__(
        self,
        columns: Sequence[ColumnSpec],
        rows: Mapping[str, Sequence[Mapping[str, Cell]]],
        rule: RareCombinations = NO_RULE,
    ) -> None:
        self._columns = tuple(columns)
        self._rows = rows
        self._used: set[int] = set()
        records = {patient: self._read(group) for patient, group in rows.items()}
        good = {patient: record for patient, (record, reason) in records.items() if not reason}
        self.rare = rare_patients(columns, good, rule)
        self.changes = generalised(columns, good, rule)
        self._records = records

    def look_up(self, patient: str) -> tuple[dict[str, Value], str]:
        """Typed record of one patient, and an empty text or the reason why there is none."""
        if not self._columns:
            return {}, ""
        if patient not in self._rows:
            return {}, "clinical.no_row"
        self._used.add(id(self._rows[patient]))
        record, reason = self._records[patient]
        change = self.changes.get(patient, {})
        if not reason and change is None:
            return {}, "clinical.rare_combination"
        return ({**record, **(change or {})}, "") if not reason else ({}, reason)

    def unused_rows(self) -> int:
        """Rows of patients without accepted images, after all cases were looked up."""
        groups = {id(rows): len(rows) for rows in self._rows.values()}
        return sum(count for group, count in groups.items() if group not in self._used)

    def _read(self, rows: Sequence[Mapping[str, Cell]]) -> tuple[dict[str, Value], str]:
        if any(row != rows[0] for row in rows):
            return {}, "clinical.conflicting_rows"
        record: dict[str, Value] = {}
        for column in self._columns:
            cell = rows[0].get(column.name, Cell(""))
            value, reason = typed(column, cell.text, cell.unit)
            if reason:
                return {}, reason
            record[column.name] = value
        return record, ""


def typed(column: ColumnSpec, text: str, unit: str = "") -> tuple[Value, str]:
    """Value of one cell in the column's unit, and an empty text or the reason why it cannot be used.

    Args:
        column: Of the spec.
        text: As it stands in the table.
        unit: UCUM unit that the table states; empty: the column's.
    """
    text = text.strip()
    if text.lower() in MISSING and text.lower() not in {value.lower() for value in column.values}:
        return None, "" if column.role == "outcome" else "clinical.bad_value"
    if column.kind == "category":
        match = {value.lower(): value for value in column.values}.get(text.lower())
        return match, "" if match is not None else "clinical.bad_value"
    if column.kind == "boolean":
        truth = BOOLEANS.get(text.lower())
        return truth, "" if truth is not None else "clinical.bad_value"
    return _number(column, text, unit)


def _number(column: ColumnSpec, text: str, unit: str) -> tuple[Value, str]:
    if not NUMBER.fullmatch(text):
        return None, "clinical.bad_value"
    try:
        number = float(text)
        if unit and math.isfinite(number):
            number = convert(number, unit, column.unit)
    except UnitError:
        return None, "clinical.unit"
    except ValueError:
        return None, "clinical.bad_value"
    number = round(number, 9) if unit and unit != column.unit else number
    ages = ages_in(column)
    if ages is not None and column.kind == "integer" and math.isfinite(number):
        number = float(math.floor(number))  # an age is the number of completed years
    if not math.isfinite(number) or (column.kind == "integer" and not number.is_integer()):
        return None, "clinical.bad_value"
    # others stand for a missing one, as -1 and 999 do
    possible = ages is None or ages.lowest <= number <= ages.highest
    if ages is not None and possible:
        number = min(number, ages.aggregated)
    low, high = column.minimum, column.maximum
    if not possible or (low is not None and number < low) or (high is not None and number > high):
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


def load_table(
    data: bytes | None,
    columns: Sequence[ColumnSpec],
    names: Pseudonyms,
    inventory: Inventory,
    *,
    paths: Mapping[str, str] | None = None,
    rule: RareCombinations = NO_RULE,
) -> ClinicalTable:
    """Table of a CSV, Parquet or FHIR file; identifiers become pseudonyms at once.

    Args:
        data: The file, or None where the spec names no table.
        columns: Columns of the spec.
        names: Makes the pseudonyms.
        inventory: Takes notes on what is not read and on what was generalised.
        paths: FHIR: column to where its value stands.
        rule: What becomes of rare combinations.

    Raises:
        SourceError: The table lacks a column of the patient or of the spec, a column is free text, or the spec
            names no table.
    """
    if data is None:
        if columns:
            raise SourceError(
                "the spec has clinical columns and no source.clinical: name the CSV with a row per patient"
            )
        return ClinicalTable((), {})
    _refuse_free_text(columns)
    rows = _rows(data, columns, paths or {}, inventory)
    table = ClinicalTable(columns, _by_patient(rows, names), rule)
    if table.changes:
        inventory.notes.add(
            f"rare combinations (fewer than {rule.k} patients): {sum(map(bool, table.changes.values()))} records were "
            f"generalised, {sum(change is None for change in table.changes.values())} patients are held back"
        )
    if table.rare:
        inventory.notes.add(
            f"{table.rare} patients have combinations that fewer than {rule.k} share; the table has fewer than "
            f"{rule.least_patients} patients, so nothing was generalised"
        )
    return table


def _by_patient(rows: Sequence[PatientRow], names: Pseudonyms) -> dict[str, list[Mapping[str, Cell]]]:
    """Rows that share an identifier, or are connected by rows that do, are of one patient."""
    groups: dict[str, list[Mapping[str, Cell]]] = {}
    keys_of: dict[int, list[str]] = {}  # by the group
    for row in rows:
        keys = [names.patient(identifier) for identifier in row.identifiers]
        known = {id(groups[key]): groups[key] for key in keys if key in groups}
        group = [*(cells for other in known.values() for cells in other), row.cells]
        keys += [key for other in known for key in keys_of.pop(other)]
        keys_of[id(group)] = keys
        groups |= dict.fromkeys(keys, group)
    return groups


def _rows(
    data: bytes, columns: Sequence[ColumnSpec], paths: Mapping[str, str], inventory: Inventory
) -> list[PatientRow]:
    if is_fhir(data):
        rows, others = fhir_rows(data, columns, paths)
        if others:
            inventory.notes.add(
                f"{others} FHIR resources are of other kinds, refer to no patient of the bundle, are older versions, "
                "or have an extension that may change their sense"
            )
        return rows
    rows, extra = patient_rows(data, [column.name for column in columns])
    if extra:
        inventory.notes.add(
            f"{extra} columns of the clinical table are not named by the spec and were not read"
        )
    return rows


def _refuse_free_text(columns: Sequence[ColumnSpec]) -> None:
    """A category is a short list of words; what looks like dates, names or sentences is no category."""
    for column in columns:
        values = column.values
        long = len(values) > MOST_VALUES or any(len(value) > LONGEST_VALUE for value in values)
        if long or any(looks_identifying(value) for value in values):
            raise SourceError(
                f"column {column.name} has values that are free text, dates or identifiers: expected a short list of "
                "coded values; generalise them, or leave the column out"
            )
