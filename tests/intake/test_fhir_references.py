"""FHIR as servers export it: references of every form, versions, states that do not count, modifiers."""

import json

import pytest

from synthdata.errors import SourceError
from synthdata.intake.clinical import load_table
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.records import ColumnSpec

NAMES = Pseudonyms(b"k" * 32)
AGE = ColumnSpec(name="age", kind="integer", unit="a", minimum=0, maximum=90)
SEX = ColumnSpec(name="sex", kind="category", values=("F", "M", "U"))
HB = ColumnSpec(name="hb", kind="number", unit="g/L", minimum=0, maximum=300, role="outcome")
YEARS = ColumnSpec(name="years", kind="integer", unit="a")
STROKE = ColumnSpec(name="stroke", kind="boolean")
PATHS = {"hb": "Observation http://loinc.org|718-7", "stroke": "Condition 230690007", "years": "Patient.age"}
NAMED = {"system": "urn:pacs", "value": "P-1"}
MODIFIER = [{"url": "https://example.org/not", "valueBoolean": True}]


def person(**changes) -> dict:
    return {"resourceType": "Patient", "id": "p1", "identifier": [NAMED], "gender": "female", **changes}


def hb(value: float, **changes) -> dict:
    return {
        "resourceType": "Observation",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "g/dL"},
        **changes,
    }


def stroke(**changes) -> dict:
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "230690007"}]}
    return {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}, "code": coded, **changes}


def study(started: str, **changes) -> dict:
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": "Patient/p1"},
        "started": started,
        **changes,
    }


def look_up(columns, *resources, urls=(), kind="searchset", lines=False, inventory=None):
    if lines:
        data = "\n".join(json.dumps(item, ensure_ascii=False) for item in resources).encode()
    else:
        entries = [
            {"fullUrl": urls[index] if index < len(urls) else f"urn:uuid:{index}", "resource": item}
            for index, item in enumerate(resources)
        ]
        data = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()
    found = load_table(data, columns, NAMES, inventory or Inventory(), paths=PATHS)
    return found.look_up(NAMES.patient("P-1"))


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/p1"},
        {"reference": "Patient/p1/_history/3"},
        {"reference": "https://example.org/fhir/Patient/p1"},
        {"reference": "https://example.org/fhir/Patient/p1/_history/3"},
        {"reference": "urn:uuid:0"},
        {"identifier": NAMED},
        {"reference": "#someone"},
    ],
)
def test_a_resource_finds_its_patient_whatever_the_form_of_its_reference(subject) -> None:
    contained = [{"resourceType": "Patient", "id": "someone", "identifier": [NAMED]}]
    assert look_up((HB,), person(), hb(13.5, subject=subject, contained=contained)) == ({"hb": 135.0}, "")


def test_a_patient_of_a_transaction_has_no_id_but_a_url() -> None:
    first, second = person(), person(identifier=[{"system": "urn:pacs", "value": "P-2"}], gender="male")
    del first["id"], second["id"]
    of_first, of_second = (
        hb(value, subject={"reference": f"urn:uuid:{n}"}) for n, value in enumerate((13.5, 9))
    )
    found = look_up((HB, SEX), first, second, of_first, of_second, kind="transaction")
    assert found == ({"hb": 135.0, "sex": "F"}, "")


@pytest.mark.parametrize(
    "stray", [{"reference": "Patient/p2"}, {"reference": "#nobody"}, {"identifier": {"value": "P-1"}}, {}]
)
def test_what_refers_to_somebody_else_is_nobody_elses(stray) -> None:
    inventory = Inventory()
    assert look_up((HB,), person(), hb(13.5, subject=stray), inventory=inventory) == ({"hb": None}, "")
    assert any(note.startswith("1 FHIR resources") for note in inventory.notes)


def test_of_several_versions_of_a_resource_the_last_one_counts() -> None:
    versions = [hb(9, id="o1", meta={"versionId": "2"}), hb(13.5, id="o1", meta={"versionId": "10"})]
    assert look_up((HB,), person(), *versions, kind="history") == ({"hb": 135.0}, "")
    assert look_up((HB,), person(), *versions[::-1], kind="history") == ({"hb": 135.0}, "")


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_studies_and_observations_that_did_not_happen_do_not_count(status) -> None:
    studies = [study("1990-01-01", status=status), study("2011-01-01")]
    found = look_up((AGE, HB), person(birthDate="1950-06-01"), *studies, hb(9, status=status))
    assert found == ({"age": 60, "hb": None}, "")


@pytest.mark.parametrize("where", ["observation", "component", "patient", "condition"])
def test_what_an_unknown_extension_may_turn_around_is_not_taken(where) -> None:
    changes = {name: {} for name in ("observation", "component", "patient", "condition")}
    changes[where] = {"modifierExtension": MODIFIER}
    part = {key: hb(13.5)[key] for key in ("code", "valueQuantity")}
    outer = hb(1, code={"text": "blood"}, component=[part | changes["component"]], **changes["observation"])
    record, reason = look_up(
        (HB, STROKE),
        person(**changes["patient"]),
        person(id="p2", identifier=[]),
        outer,
        stroke(**changes["condition"]),
    )
    if where == "patient":
        assert reason == "clinical.no_row"
    elif where == "condition":
        assert reason == "clinical.bad_value"
    else:
        assert record == {"hb": None, "stroke": True}


def test_an_instant_tells_which_observation_is_near_to_the_images() -> None:
    early, late = (
        hb(value, effectiveInstant=when)
        for value, when in ((9, "2009-01-01T00:00:00Z"), (13.5, "2011-01-01T00:00:00Z"))
    )
    assert look_up((HB,), person(), study("2011-02-01"), early, late) == ({"hb": 135.0}, "")


@pytest.mark.parametrize(("gender", "value"), [("unknown", "U"), ("male", "M"), ("female", "F")])
def test_a_gender_is_found_by_its_first_letter(gender, value) -> None:
    assert look_up((SEX,), person(gender=gender)) == ({"sex": value}, "")


def test_a_gender_that_the_spec_does_not_list_is_a_bad_value() -> None:
    assert look_up((SEX,), person(gender="other")) == ({}, "clinical.bad_value")


def test_signs_that_other_programs_take_for_the_end_of_a_line_are_none() -> None:
    noted = hb(13.5, note=[{"text": "one\u2028two\x85three"}])
    assert look_up((HB,), person(), noted, lines=True) == ({"hb": 135.0}, "")


def test_the_age_of_the_dead_and_the_old_is_that_at_the_images() -> None:
    old = person(birthDate="1910-01-01", deceasedDateTime="2012-01-01")
    assert look_up((AGE,), old, study("2005-05-05")) == ({"age": 90}, "")


def test_an_age_is_aggregated_whatever_its_column_is_called_and_none_is_below_zero() -> None:
    old, unborn = person(birthDate="1910-01-01"), person(birthDate="2006-01-01")
    assert look_up((YEARS,), old, study("2005-05-05")) == ({"years": 90}, "")
    assert look_up((YEARS,), unborn, study("2005-05-05")) == ({}, "clinical.bad_value")


@pytest.mark.parametrize(("unit", "age"), [("d", 336), ("wk", 48), ("mo", 11), ("a", 0)])
def test_infants_have_an_age_in_the_unit_of_the_column(unit, age) -> None:
    column = ColumnSpec(name="age", kind="integer", unit=unit)
    assert look_up((column,), person(birthDate="2020-01-31"), study("2021-01-01")) == ({"age": age}, "")
    _, reason = look_up((column,), person(birthDate="2020"), study("2021-01-01"))
    assert reason == ("" if unit == "a" else "clinical.bad_value")


def of_two_hospitals(*, urls: bool) -> dict[str, tuple[dict, str]]:
    """Records of patients A and B of two servers, which both count from 1."""
    bundles = []
    for name, born, started, value in (
        ("A", "1950-01-01", "2020-06-01", 9),
        ("B", "1980-01-01", "2021-06-01", 13.5),
    ):
        named = [{"system": "urn:pacs", "value": name}]
        items = person(identifier=named, birthDate=born), study(started, id="s1"), hb(value, id="o1")
        server = f"https://{name.lower()}.example.org/fhir"
        entries = [
            {"fullUrl": f"{server}/{item['resourceType']}/{item['id']}" if urls else "", "resource": item}
            for item in items
        ]
        bundles.append({"resourceType": "Bundle", "type": "searchset", "entry": entries})
    found = load_table(json.dumps(bundles).encode(), (AGE, HB), NAMES, Inventory(), paths=PATHS)
    return {name: found.look_up(NAMES.patient(name)) for name in "AB"}


def test_one_id_of_two_servers_is_two_patients() -> None:
    records = of_two_hospitals(urls=True)
    assert records == {"A": ({"age": 70, "hb": 90.0}, ""), "B": ({"age": 41, "hb": 135.0}, "")}


def test_one_id_of_two_patients_whose_servers_are_not_told_is_refused() -> None:
    with pytest.raises(SourceError, match="two patients of one id"):
        of_two_hospitals(urls=False)


def test_what_another_server_says_of_an_id_is_nobodys_here() -> None:
    here, there = (
        hb(v, subject={"reference": f"https://{s}.org/Patient/p1"}) for s, v in (("a", 13.5), ("b", 9))
    )
    found = look_up((HB,), person(), here, there, urls=["https://a.org/Patient/p1"])
    assert found == ({"hb": 135.0}, "")


def test_the_later_version_is_the_later_one_in_any_time_zone() -> None:
    times = "2020-01-01T00:30:00Z", "2020-01-01T01:00:00.000+02:00"
    late, early = (hb(v, id="o1", meta={"lastUpdated": t}) for v, t in zip((13.5, 9), times, strict=True))
    assert look_up((HB,), person(), late, early, kind="history") == ({"hb": 135.0}, "")


def test_without_versions_one_id_about_two_patients_is_two_observations() -> None:
    other = hb(9, id="o1", subject={"reference": "Patient/p2"})
    found = look_up((HB,), person(), person(id="p2", identifier=[]), hb(13.5, id="o1"), other)
    assert found == ({"hb": 135.0}, "")


def test_patients_whose_identifiers_cross_are_told_by_none_of_them() -> None:
    def named(id_: str, value: str, gender: str) -> dict:
        return person(id=id_, identifier=[{"system": "urn:pacs", "value": value}], gender=gender)

    people = named("1", "P-1", "male"), named("3", "4", "female"), named("P-1", "3", "female")
    assert look_up((SEX,), *people) == ({}, "clinical.conflicting_rows")


def test_resources_of_other_kinds_may_have_several_subjects() -> None:
    account = {"resourceType": "Account", "status": "active", "subject": [{"reference": "Patient/p1"}]}
    assert look_up((HB,), person(), hb(13.5), account) == ({"hb": 135.0}, "")
