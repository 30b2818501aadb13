"""Rare combinations of what strangers may know of a patient: generalised, or the patient is held back."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from synthdata.errors import UnitError
from synthdata.intake.ucum import convert
from synthdata.records.case import Value
from synthdata.records.case_set import ColumnSpec
from synthdata.spec import RareCombinations

KNOWN_OUTSIDE = frozenset({"sex", "gender", "race", "ethnicity", "ethnic_group"})
AGES = frozenset({"age", "age_years"})  # columns that hold nothing else; `age_gap` may be below zero
AGE_WORDS = frozenset(
    {"age", "ages", "alter", "edad", "idade", "leeftijd", "alder", "ålder", "wiek", "età", "âge"}
)
WORD = re.compile(r"[^\W\d_a-z]?[^\W\d_A-Z]+|[^\W\d_a-z]+(?![a-z])")
UNSTATED = frozenset({"1", "", "year", "years", "y", "yr"})
FINER = frozenset({"days", "weeks", "months", "day", "week", "month"})
LONGEST_YEARS = 125  # nobody lived longer
OLDEST_YEARS = 90  # higher ages are aggregated to it: 45 CFR 164.514(b)(2)(i)(C)
BAND_YEARS = 10
BANDS = 10  # of other numbers, over their allowed range
Key = tuple[Value, ...]


def is_age(column: ColumnSpec) -> bool:
    """True for a number which is an age by its name."""
    return column.kind in {"number", "integer"} and not AGE_WORDS.isdisjoint(_words(column.name))


def _words(name: str) -> set[str]:
    """Words of a column's name in small letters, such as those of `age_at_scan` or `PatientAge`."""
    return {word.lower() for word in WORD.findall(name)}


class Ages(NamedTuple):
    """Limits of a column of ages in its unit."""

    lowest: float
    highest: float
    aggregated: float  # what stands for higher ages


def ages_in(column: ColumnSpec) -> Ages | None:
    """Limits of a column of ages, in years where it has no unit; None for others and units that are none of time."""
    if not is_age(column):
        return None
    unit, words = column.unit, _words(column.name)
    if unit in UNSTATED and words.isdisjoint(FINER):
        unit = "a"
    try:
        highest, aggregated = (convert(years, "a", unit) for years in (LONGEST_YEARS, OLDEST_YEARS))
    except UnitError:
        return None
    return Ages(0.0 if column.name.lower() in AGES else -highest, highest, aggregated)


def generalised(
    columns: Sequence[ColumnSpec], records: Mapping[str, Mapping[str, Value]], rule: RareCombinations
) -> dict[str, Mapping[str, Value] | None]:
    """Changes of the records whose combination fewer than k patients share.

    A combination is the values of the rule's columns, numbers in bands (ten years for ages). The numbers of a rare one
    move to the nearest band that k patients share with the same other values, and there to the near edge. Where no such
    band exists, the patient is held back.

    Args:
        columns: Columns of the spec.
        records: Typed record by patient.
        rule: k and columns.

    Returns:
        New values of the columns that change by patient, or None where the patient is held back.

    Source:
        Sweeney, "k-anonymity: a model for protecting privacy", Int. J. Uncertainty, Fuzziness and Knowledge-Based
        Systems 10(5), 2002.
    """
    chosen = [column for column in columns if _counts(column, rule)]
    if not chosen or len(records) < rule.least_patients:
        return {}
    keys = {patient: tuple(_band(column, record) for column in chosen) for patient, record in records.items()}
    common = {key for key, count in Counter(keys.values()).items() if count >= rule.k}
    return {patient: _moved(chosen, key, common) for patient, key in keys.items() if key not in common}


def rare_patients(
    columns: Sequence[ColumnSpec], records: Mapping[str, Mapping[str, Value]], rule: RareCombinations
) -> int:
    """Number of patients whose combination fewer than k share, where the table is too small for the rule."""
    chosen = [column for column in columns if _counts(column, rule)]
    if not chosen or len(records) >= rule.least_patients:
        return 0
    keys = Counter(tuple(_band(column, record) for column in chosen) for record in records.values())
    return sum(count for count in keys.values() if count < rule.k)


def _counts(column: ColumnSpec, rule: RareCombinations) -> bool:
    if rule.columns:
        return column.name in rule.columns
    return is_age(column) or column.name.lower() in KNOWN_OUTSIDE


def _width(column: ColumnSpec) -> float:
    if is_age(column):
        ages = ages_in(column)
        return BAND_YEARS * (ages.highest / LONGEST_YEARS if ages is not None else 1.0)
    if column.minimum is None or column.maximum is None:
        return math.inf
    return (column.maximum - column.minimum) / BANDS


def _band(column: ColumnSpec, record: Mapping[str, Value]) -> Value:
    value = record[column.name]
    if column.kind not in {"number", "integer"} or value is None or isinstance(value, str):
        return value
    return math.floor(value / _width(column))


def _moved(chosen: Sequence[ColumnSpec], key: Key, common: set[Key]) -> Mapping[str, Value] | None:
    """Values at the near edge of the nearest common band; None where there is none."""
    numbers = [
        index
        for index, column in enumerate(chosen)
        if column.kind in {"number", "integer"} and isinstance(key[index], int)
    ]
    fixed = [index for index in range(len(chosen)) if index not in numbers]
    near = [
        other
        for other in common
        if all(other[index] == key[index] for index in fixed)
        and all(isinstance(other[index], int) for index in numbers)
    ]
    if not near or not numbers:
        return None
    best = min(near, key=lambda other: (sum(abs(_step(other, key, index)) for index in numbers), str(other)))
    return {
        chosen[index].name: _edge(chosen[index], best[index], _step(best, key, index))
        for index in numbers
        if _step(best, key, index)
    }


def _step(other: Key, key: Key, index: int) -> int:
    there, here = other[index], key[index]
    return int(there) - int(here) if isinstance(there, int) and isinstance(here, int) else 0


def _edge(column: ColumnSpec, band: Value, step: int) -> Value:
    """The end of a band which is nearest to where the value came from."""
    width = _width(column)
    low = float(band if isinstance(band, int) else 0) * width
    edge = low if step > 0 else low + width - (1 if column.kind == "integer" else width * 1e-6)
    edge = max(edge, column.minimum) if column.minimum is not None else edge
    edge = min(edge, column.maximum) if column.maximum is not None else edge
    return round(edge) if column.kind == "integer" else edge
