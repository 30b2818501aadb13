"""Clinical records from CSV, Parquet and FHIR: types, units, ages, free text, rare combinations."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthdata.errors import SourceError, UnitError
from synthdata.intake.clinical import load_table, typed
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.ucum import convert
from synthdata.records import ColumnSpec
from synthdata.spec import RareCombinations

NAMES = Pseudonyms(b"k" * 32)
AGE = ColumnSpec(name="age", kind="integer", unit="a", minimum=18, maximum=90)
SEX = ColumnSpec(name="sex", kind="category", values=("F", "M"))
HB = ColumnSpec(name="hb", kind="number", unit="g/L", minimum=0, maximum=300, role="outcome")
STROKE = ColumnSpec(name="stroke", kind="boolean")


def table(data, columns, inventory=None, **changes):
    return load_table(data, columns, NAMES, inventory or Inventory(), **changes)


def look_up(data, columns, patient="P-1", **changes):
    return table(data, columns, **changes).look_up(NAMES.patient(patient))


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (13.5, "g/dL", "g/L", 135.0),
        (1, "mmol/L", "umol/mL", 1.0),
        (120, "mm[Hg]", "kPa", 15.99868),
        (37, "Cel", "[degF]", 98.6),
        (98.6, "[degF]", "K", 310.15),
        (24, "mo", "a", 2.0),
        (5, "10*3/uL", "10*9/L", 5.0),
        (70, "kg/m2", "g/cm2", 7.0),
        (1, "U/L", "nkat/L", 16.6667),
        (12, "mg{creatinine}/d", "mg/d", 12.0),
        (40, "%", "1", 0.4),
        (6, "[in_i]", "cm", 15.24),
    ],
)
def test_units_are_converted_by_their_definition(value, source, target, expected) -> None:
    assert convert(value, source, target) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("mmol/L", "mg/dL"),
        ("furlong", "m"),
        ("g", "a"),
        ("", "cm"),
        ("m(2", "m"),
        ("[iU]/L", "U/L"),
        ("%", "mmol/mol"),
    ],
)
def test_units_that_are_unknown_or_of_another_kind_are_refused(source, target) -> None:
    with pytest.raises(UnitError):
        convert(1.0, source, target)
    number = ColumnSpec(name="x", kind="number", unit=target, role="outcome")
    assert not source or typed(number, "1", source) == (None, "clinical.unit")


def test_a_csv_states_units_in_its_header_or_in_a_column_of_their_own() -> None:
    header = b"patient,age,hb [g/dL]\nP-1,50,13.5\n"
    assert look_up(header, (AGE, HB)) == ({"age": 50, "hb": 135.0}, "")
    per_row = b"patient,hb,hb_unit\nP-1,13.5,g/dL\nP-2,140,g/L\nP-3,8.4,mmol/L\n"
    assert look_up(per_row, (HB,)) == ({"hb": 135.0}, "")
    assert look_up(per_row, (HB,), "P-2") == ({"hb": 140.0}, "")
    assert look_up(per_row, (HB,), "P-3") == ({}, "clinical.unit")


def test_parquet_gives_typed_columns_and_the_units_of_its_metadata() -> None:
    fields = [
        pa.field("patient", pa.string()),
        pa.field("hb", pa.float64(), metadata={"unit": "g/dL"}),
        pa.field("stroke", pa.bool_()),
        pa.field("note", pa.string()),
    ]
    rows = {"patient": ["P-1", "P-2"], "hb": [13.5, None], "stroke": [True, False], "note": ["x", "y"]}
    sink, inventory = io.BytesIO(), Inventory()
    pq.write_table(pa.table(rows, schema=pa.schema(fields)), sink)
    found = table(sink.getvalue(), (HB, STROKE), inventory)
    assert found.look_up(NAMES.patient("P-1")) == ({"hb": 135.0, "stroke": True}, "")
    assert found.look_up(NAMES.patient("P-2")) == ({"hb": None, "stroke": False}, "")
    assert any(note.startswith("1 columns") for note in inventory.notes)
    with pytest.raises(SourceError, match="no whole Parquet"):
        table(sink.getvalue()[:60], (HB,))


@pytest.mark.parametrize("unit", ["1", "years", "a"])
def test_ages_over_ninety_are_aggregated_where_their_column_has_no_unit_of_time(unit) -> None:
    assert typed(ColumnSpec(name="age_at_scan", kind="integer", unit=unit), "97") == (90, "")
    assert typed(ColumnSpec(name="age_days", kind="integer"), "20000") == (20000, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, 90) for name in ("PatientAge", "ageYears", "AGE", "age-years", "age at scan", "age1", "Alter")]
    + [(name, 97) for name in ("stage", "dosage", "Average", "imageCount")],
)
def test_a_column_is_one_of_ages_by_a_word_of_its_name(name, value) -> None:
    assert typed(ColumnSpec(name=name, kind="integer", unit="a"), "97") == (value, "")


@pytest.mark.parametrize("code", ["-1", "999"])
def test_numbers_that_stand_for_a_missing_age_are_no_ages(code) -> None:
    age, gap = (ColumnSpec(name=name, kind="integer", unit="a") for name in ("age", "brain_age_gap"))
    assert typed(age, code) == (None, "clinical.out_of_range")
    assert typed(gap, "-1") == (-1, "")


@pytest.mark.parametrize("age", ["90", "94", "107"])
def test_ages_of_ninety_and_more_become_ninety(age) -> None:
    assert typed(AGE, age) == (90, "")
    months = ColumnSpec(name="age", kind="integer", unit="mo")
    assert typed(months, str(int(age) * 12)) == (1080, "")
    assert typed(ColumnSpec(name="dosage", kind="integer"), "107") == (107, "")


@pytest.mark.parametrize(
    "values", [("2024-04-25", "none"), ("seen by Dr. Miller in the ward",), ("x" * 65,), ("a@b.org", "c")]
)
def test_categories_that_are_dates_names_or_sentences_are_refused(values) -> None:
    column = ColumnSpec(name="note", kind="category", values=values)
    with pytest.raises(SourceError, match="column note has values that are free text"):
        table(b"patient,note\nP-1,none\n", (column,))


@pytest.mark.parametrize("text", ["2024-04-25", "25.04.1931", "<5", "about 50", "1e999"])
def test_a_number_that_is_none_is_a_bad_value(text) -> None:
    assert typed(AGE, text) == (None, "clinical.bad_value")


def coded(code, system="http://loinc.org", display="") -> dict:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def quantity(value, unit="g/dL", status="final", when=None, **changes) -> dict:
    observation = {
        "resourceType": "Observation",
        "status": status,
        "subject": {"reference": "Patient/p1"},
        "code": coded("718-7", display="Hemoglobin"),
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit},
        **changes,
    }
    return observation | ({"effectiveDateTime": when} if when else {})


def bundle(*resources, patient=None, ndjson=False) -> bytes:
    person = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:pacs", "value": "P-1"}],
        "gender": "female",
        "birthDate": "1931-06-30",
        "name": [{"family": "Zacharias"}],
        **(patient or {}),
    }
    study = {
        "resourceType": "ImagingStudy",
        "subject": {"reference": "https://example.org/fhir/Patient/p1"},
        "started": "2011-06-29T10:00:00Z",
    }
    everything = [person, study, *resources]
    if ndjson:
        return "\n".join(map(json.dumps, everything)).encode()
    entries = [{"fullUrl": f"urn:uuid:{index}", "resource": item} for index, item in enumerate(everything)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


PATHS = {"hb": "Observation http://loinc.org|718-7", "stroke": "Condition 230690007"}
ALL = (AGE, SEX, HB, STROKE)


def stroke(status="active", verified="confirmed") -> dict:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/p1"},
        "code": coded("230690007", "http://snomed.info/sct"),
        "clinicalStatus": coded(status),
        "verificationStatus": coded(verified),
    }


@pytest.mark.parametrize("ndjson", [False, True])
def test_a_fhir_bundle_becomes_a_typed_record_in_the_units_of_the_spec(ndjson) -> None:
    data = bundle(quantity(13.5), stroke(), ndjson=ndjson)
    record = {"age": 79, "sex": "F", "hb": 135.0, "stroke": True}
    assert look_up(data, ALL, paths=PATHS) == (record, "")
    assert look_up(data, ALL, "p1", paths=PATHS) == (record, "")
    assert look_up(data, ALL, "P-2", paths=PATHS) == ({}, "clinical.no_row")


@pytest.mark.parametrize(("status", "verified"), [("resolved", "confirmed"), ("active", "refuted")])
def test_conditions_that_are_over_or_untrue_do_not_count(status, verified) -> None:
    assert look_up(bundle(stroke(status, verified)), (STROKE,), paths=PATHS) == ({"stroke": False}, "")


def test_of_several_observations_the_one_nearest_to_the_images_counts() -> None:
    dated = [quantity(9, when="2009-01-01"), quantity(12, when="2011-06-01"), quantity(15, when="2020-01-01")]
    assert look_up(bundle(*dated), (HB,), paths=PATHS) == ({"hb": 120.0}, "")
    undated = [quantity(9), quantity(12)]
    assert look_up(bundle(*undated), (HB,), paths=PATHS) == ({}, "clinical.conflicting_rows")
    assert look_up(bundle(quantity(9), quantity(9)), (HB,), paths=PATHS) == ({"hb": 90.0}, "")


def test_observations_that_are_not_final_of_another_kind_or_below_a_limit_are_not_taken() -> None:
    assert look_up(bundle(quantity(9, status="preliminary")), (HB,), paths=PATHS) == ({"hb": None}, "")
    assert look_up(bundle(quantity(9, "mmol/L")), (HB,), paths=PATHS) == ({}, "clinical.unit")
    below = quantity(9)
    below["valueQuantity"]["comparator"] = "<"
    assert look_up(bundle(below), (HB,), paths=PATHS) == ({}, "clinical.bad_value")


def test_an_age_over_ninety_at_the_images_is_aggregated_and_a_missing_birth_is_asked_of_loinc() -> None:
    assert look_up(bundle(patient={"birthDate": "1905"}), (AGE,)) == ({"age": 90}, "")
    age = quantity(61, "a", code=coded("30525-0"))
    assert look_up(bundle(age, patient={"birthDate": None}), (AGE,)) == ({"age": 61}, "")
    assert look_up(bundle(patient={"birthDate": None}), (AGE,)) == ({}, "clinical.bad_value")


def test_components_and_coded_values_are_found_by_code_or_display() -> None:
    pressure = {
        "resourceType": "Observation",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": coded("85354-9"),
        "component": [{"code": coded("8480-6"), "valueQuantity": {"value": 120, "code": "mm[Hg]"}}],
    }
    smoking = quantity(0, code=coded("72166-2", display="Smoking status"))
    smoking |= {"valueCodeableConcept": coded("8517006", "http://snomed.info/sct", "Former smoker")}
    del smoking["valueQuantity"]
    systolic = ColumnSpec(name="systolic", kind="number", unit="kPa", role="outcome")
    status = ColumnSpec(name="smoking status", kind="category", values=("never smoker", "former smoker"))
    record, reason = look_up(
        bundle(pressure, smoking), (systolic, status), paths={"systolic": "Observation 8480-6"}
    )
    assert reason == ""
    assert record == {"systolic": pytest.approx(15.9987, abs=1e-4), "smoking status": "former smoker"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{ not json", "no FHIR in JSON"),
        (b"[1, 2]", "no FHIR"),
        (json.dumps({"resourceType": "Bundle"}).encode(), "without a Patient"),
    ],
)
def test_what_is_no_fhir_is_refused_with_a_sentence(data, says) -> None:
    with pytest.raises(SourceError, match=says):
        table(data, (AGE,))


def test_what_refers_to_nobody_is_counted_and_no_name_is_kept() -> None:
    inventory = Inventory()
    stray = quantity(9, subject={"reference": "Patient/p9"})
    found = table(bundle(stray, {"resourceType": "Practitioner"}), (AGE,), inventory)
    (note,) = inventory.notes
    assert note.startswith("2 FHIR resources are of other kinds, refer to no patient of the bundle")
    assert "Zacharias" not in repr(vars(found))


def crowd(*rare: tuple[int, str]) -> bytes:
    """Sixty women and sixty men of 40 to 69, and some rare ones."""
    rows = [(40 + index % 30, "FM"[index // 60]) for index in range(120)]
    return (
        "patient,age,sex\n" + "".join(f"P-{i},{age},{sex}\n" for i, (age, sex) in enumerate([*rare, *rows]))
    ).encode()


def test_rare_ages_move_to_the_nearest_common_band_and_common_ones_stay() -> None:
    inventory = Inventory()
    found = table(crowd((23, "F"), (88, "M")), (AGE, SEX), inventory, rule=RareCombinations(k=5))
    assert found.look_up(NAMES.patient("P-0")) == ({"age": 40, "sex": "F"}, "")
    assert found.look_up(NAMES.patient("P-1")) == ({"age": 69, "sex": "M"}, "")
    assert found.look_up(NAMES.patient("P-2")) == ({"age": 40, "sex": "F"}, "")
    assert inventory.notes == {
        "rare combinations (fewer than 5 patients): 2 records were generalised, 0 patients are held back"
    }


def test_a_rare_value_without_a_common_neighbour_holds_the_patient() -> None:
    sex = ColumnSpec(name="sex", kind="category", values=("F", "M", "O"))
    data = crowd((50, "O"))
    assert table(data, (AGE, sex), rule=RareCombinations(k=5)).look_up(NAMES.patient("P-0")) == (
        {},
        "clinical.rare_combination",
    )
    assert table(data, (AGE, sex), rule=RareCombinations(k=1)).look_up(NAMES.patient("P-0"))[1] == ""


def test_a_table_too_small_for_the_rule_is_noted_and_left_as_it_is() -> None:
    inventory = Inventory()
    data = b"patient,age,sex\nP-1,50,F\nP-2,88,M\n"
    found = table(data, (AGE, SEX), inventory, rule=RareCombinations(k=5))
    assert found.look_up(NAMES.patient("P-2")) == ({"age": 88, "sex": "M"}, "")
    (note,) = inventory.notes
    assert note.startswith("2 patients have combinations that fewer than 5 share")


@pytest.mark.parametrize(("unit", "per_year"), [("a", 1.0), ("mo", 12.0), ("d", 365.25)])
def test_bands_of_ages_are_ten_years_in_any_unit(unit, per_year) -> None:
    age = ColumnSpec(name="age", kind="integer", unit=unit)
    rows = [f"P-{n},{round((40 + n % 30) * per_year)},F" for n in range(60)]
    data = "\n".join(["patient,age,sex", *rows, f"P-X,{round(85 * per_year)},F"]).encode()
    found = table(data, (age, SEX), rule=RareCombinations(k=5, least_patients=10))
    assert set(found.changes) == {NAMES.patient("P-X")}
    moved, _ = found.look_up(NAMES.patient("P-X"))
    assert 69 * per_year <= moved["age"] <= 70 * per_year
