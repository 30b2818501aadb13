"""FHIR as servers export it: references of every form, versions, states that do not count, modifiers."""

import json

import pytest

from synthdata.intake.clinical import load_table
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.records import ColumnSpec

NAMES = Pseudonyms(b"k" * 32)
AGE = ColumnSpec(name="age", kind="integer", unit="a", minimum=0, maximum=90)
SEX = ColumnSpec(name="sex", kind="category", values=("F", "M", "U"))
HB = ColumnSpec(name="hb", kind="number", unit="g/L", minimum=0, maximum=300, role="outcome")
STROKE = ColumnSpec(name="stroke", kind="boolean")
PATHS = {"hb": "Observation http://loinc.org|718-7", "stroke": "Condition 230690007"}
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
