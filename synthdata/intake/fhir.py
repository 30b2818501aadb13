"""Clinical records from FHIR R4: Patient, Condition, Observation and ImagingStudy to one row per patient."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from synthdata.errors import SourceError, UnitError
from synthdata.intake.clinical_rows import Cell, PatientRow
from synthdata.intake.fhir_resources import Person, Resource, named, people_of, resources_of
from synthdata.intake.rare import LONGEST_YEARS, OLDEST_YEARS
from synthdata.intake.ucum import convert
from synthdata.records.case_set import ColumnSpec

UCUM = "http://unitsofmeasure.org"
DEFAULT_PATHS = {
    "sex": "Patient.gender",
    "gender": "Patient.gender",
    "age": "Patient.age",
    "age_years": "Patient.age",
}
GENDERS = {"male": "m", "female": "f", "other": "o", "unknown": "u"}
FINAL = frozenset({"final", "amended", "corrected"})
UNTRUE = frozenset({"refuted", "entered-in-error"})
OVER = frozenset({"inactive", "remission", "resolved"})
UNDONE = frozenset({"cancelled", "entered-in-error"})  # of a study
FULL_DATE = len("2020-12-31")
AGE = "30525-0"  # LOINC: age


def is_fhir(data: bytes) -> bool:
    """True for JSON, or a line of it."""
    return data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}


def fhir_rows(
    data: bytes, columns: Sequence[ColumnSpec], paths: Mapping[str, str]
) -> tuple[list[PatientRow], int]:
    """One row per patient of a bundle, of a list of resources, or of a file with one resource per line.

    A path is `Patient.gender`, `Patient.age` (at the first ImagingStudy in whole units of the column: days, weeks,
    months, else years; else LOINC 30525-0), `Observation CODE`, `Condition CODE` (present and active or not), or
    `Condition` (which of the column's values); a code may have its system before it, `http://loinc.org|718-7`. Of
    several observations the one nearest to the first ImagingStudy counts; where dates do not tell and values differ,
    the rows contradict each other. Free text and narratives are not read.

    Args:
        data: The file.
        columns: Columns of the spec.
        paths: Column to path; without one, a name such as `age`, or the code, display or text that equals the name.

    Returns:
        The rows, and the number of resources that are none of the four kinds, refer to nobody, are older versions, or
        have an extension that may change their sense.

    Raises:
        SourceError: The file is no FHIR in JSON or holds no patient, or a path is none of the above.

    Source:
        HL7 FHIR R4 (4.0.1): Bundle, Patient, Condition, Observation, ImagingStudy.
    """
    try:
        return _rows(data, columns, paths)
    except (TypeError, AttributeError, LookupError):  # a list where FHIR has a text, and the like
        raise SourceError(
            "the clinical table has a FHIR element of another type than R4 gives it: export it again, or validate it"
        ) from None


def _rows(
    data: bytes, columns: Sequence[ColumnSpec], paths: Mapping[str, str]
) -> tuple[list[PatientRow], int]:
    resources = list(resources_of(data))
    people, left_over = people_of(resources)
    if not people:
        raise SourceError("the clinical table is FHIR without a Patient: export the patients, too")
    rows, ids = [], Counter(str(person.patient.get("id") or "") for person in people)
    for person in people:
        identifiers = tuple(_identifiers(person.patient, ids))
        found = {
            column.name: _cells(column, paths.get(column.name, ""), person) or [Cell("")]
            for column in columns
        }
        picks = (0, -1) if any(len(set(cells)) > 1 for cells in found.values()) else (0,)
        rows += [
            PatientRow(identifiers, {name: cells[pick] for name, cells in found.items()}) for pick in picks
        ]
    return rows, left_over


def _identifiers(patient: Resource, ids: Mapping[str, int]) -> Iterator[str]:
    """All that a DICOM Patient ID may repeat of a patient; not an id that two servers gave to two."""
    for item in named(patient):
        yield str(item["value"]).strip()
    if patient.get("id") and ids[str(patient["id"])] == 1:
        yield str(patient["id"])


def _cells(column: ColumnSpec, path: str, person: Person) -> list[Cell]:
    """Candidates for a value, most of the time one or none."""
    path = path or DEFAULT_PATHS.get(column.name.lower(), "")
    if not path:
        path = f"{'Condition' if column.kind == 'boolean' else 'Observation'} {column.name}"
    kind, _, code = path.partition(" ")
    if kind == "Patient.gender":
        return _gender(column, str(person.patient.get("gender", "")))
    if kind == "Patient.age":
        return [_aggregated(cell, column) for cell in _age(column, person)]
    if kind == "Observation" and code:
        return _observed(column, code, person)
    if kind == "Condition":
        return _diagnosed(column, code, person)
    raise SourceError(
        f"source.fhir names no path for column {column.name}: expected Patient.gender, Patient.age, Observation CODE "
        "or Condition CODE"
    )


def _gender(column: ColumnSpec, gender: str) -> list[Cell]:
    short = GENDERS.get(gender, "")
    values = [value for value in column.values if value.lower() in {gender, short} - {""}]
    return [Cell(values[0] if values else gender)]


def _age(column: ColumnSpec, person: Person) -> list[Cell]:
    born, seen = _day(person.patient.get("birthDate")), _first_study(person)
    if born is None or seen is None:
        return _observed(column, AGE, person)
    days, months = (seen - born).days, 12 * (seen.year - born.year) + seen.month - born.month
    months -= seen.day < born.day
    whole = {"d": days, "wk": days // 7, "mo": months}
    if column.unit not in whole:
        return [Cell(str(months // 12), "a")]
    is_day = len(str(person.patient.get("birthDate"))) == FULL_DATE
    return [Cell(str(whole[column.unit]) if is_day else "", column.unit)]


def _aggregated(cell: Cell, column: ColumnSpec) -> Cell:
    """An age of at most ninety years, whatever the name of its column."""
    try:
        years = convert(float(cell.text), cell.unit or column.unit, "a")
    except (ValueError, UnitError):
        return cell  # refused later
    if not 0 <= years <= LONGEST_YEARS:
        return Cell("")  # nobody is seen before birth
    return Cell(str(OLDEST_YEARS), "a") if years > OLDEST_YEARS else cell


def _day(text: Any) -> date | None:
    """Day of a FHIR date or time, the first one of a year or month that stands alone."""
    parts = str(text or "")[:10].split("-")
    try:
        return date(*(int(part) for part in [*parts, "1", "1"][:3]))
    except (ValueError, OverflowError):
        return None


def _first_study(person: Person) -> date | None:
    done = (study for study in person.studies if study.get("status") not in UNDONE)
    return min((day for study in done if (day := _day(study.get("started"))) is not None), default=None)


def _observed(column: ColumnSpec, code: str, person: Person) -> list[Cell]:
    found: list[tuple[date | None, Cell]] = []
    for observation in person.observations:
        if observation.get("status") not in FINAL:
            continue
        period = observation.get("effectivePeriod") or {}
        when = observation.get("effectiveDateTime") or observation.get("effectiveInstant")
        day = _day(when or period.get("start"))
        parts = (observation, *(observation.get("component") or ()))
        parts = tuple(part for part in parts if not part.get("modifierExtension"))
        cells = [_value(column, part) for part in parts if _is_coded(part.get("code"), code)]
        found += [(day, cell) for cell in cells if cell is not None]
    seen = _first_study(person)
    dated = [(abs((day - seen).days), cell) for day, cell in found if day is not None and seen is not None]
    if found and len(dated) == len(found):
        nearest = min(distance for distance, _ in dated)
        return [cell for distance, cell in dated if distance == nearest]
    return [cell for _, cell in found]


def _value(column: ColumnSpec, part: Resource) -> Cell | None:
    """Value of an observation or component; None where it has none."""
    quantity = part.get("valueQuantity")
    if isinstance(quantity, dict) and "value" in quantity:
        coded = quantity.get("code") if quantity.get("system", UCUM) == UCUM else ""
        return Cell(
            f"{quantity.get('comparator', '')}{quantity['value']}", str(coded or quantity.get("unit", ""))
        )
    concept = part.get("valueCodeableConcept")
    if isinstance(concept, dict):
        texts = list(_texts(concept))
        listed = {value.lower() for value in column.values}
        return Cell(next((text for text in texts if text.lower() in listed), texts[0] if texts else ""))
    for name in ("valueBoolean", "valueInteger", "valueString"):
        if name in part:
            return Cell(str(part[name]))
    return None


def _diagnosed(column: ColumnSpec, code: str, person: Person) -> list[Cell]:
    active = [
        condition
        for condition in person.conditions
        if _status(condition, "verificationStatus").isdisjoint(UNTRUE)
        and _status(condition, "clinicalStatus").isdisjoint(OVER)
    ]
    if any(item.get("modifierExtension") and _may_be(item, column, code) for item in active):
        return [Cell("")]  # what it says may be turned into its opposite
    if code:
        return [Cell(str(any(_is_coded(condition.get("code"), code) for condition in active)).lower())]
    return [
        Cell(value)
        for value in column.values
        if any(_is_coded(condition.get("code"), value) for condition in active)
    ]


def _may_be(condition: Resource, column: ColumnSpec, code: str) -> bool:
    return any(_is_coded(condition.get("code"), one) for one in ([code] if code else column.values))


def _status(condition: Resource, name: str) -> set[str]:
    return {str(coding.get("code", "")) for coding in (condition.get(name) or {}).get("coding") or ()}


def _is_coded(concept: Any, code: str) -> bool:
    """True where a concept has a code, a `system|code`, or a display or text of that name."""
    if not isinstance(concept, dict):
        return False
    system, bar, bare = code.rpartition("|")
    if bar:
        codings = concept.get("coding") or ()
        return any(item.get("system") == system and str(item.get("code")) == bare for item in codings)
    return code.lower() in {text.lower() for text in _texts(concept)}


def _texts(concept: Resource) -> Iterator[str]:
    for coding in concept.get("coding") or ():
        for name in ("code", "display"):
            if coding.get(name):
                yield str(coding[name])
    if concept.get("text"):
        yield str(concept["text"])
