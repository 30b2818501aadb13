"""Real objects: what is not de-identified is held back and says why; the clean slice and the hippocampus set pass."""

import os
from pathlib import Path

import numpy as np
import pytest

from synthdata.intake import inspect, take_in
from synthdata.intake.dicom_file import quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.inventory import Inventory
from synthdata.intake.pixels import stored_slices
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.series import group_series
from synthdata.spec import load_spec

REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", Path(__file__).parents[2] / "../shared/data"))
SPECS = Path(__file__).parents[2] / "pipelines" / "datasets"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not REALDATA.is_dir(), reason="SYNTHDATA_REALDATA names no folder with the real scans"
    ),
]


def codes(report) -> set[str]:
    return {reason.code for reason in report.reasons}


def test_of_the_planted_identifiers_only_the_clean_slice_is_accepted() -> None:
    report = inspect(REALDATA / "deid_phi")
    assert report.accepted == 1
    clean = inspect(REALDATA / "deid_phi" / "deid_method_codes_reference" / "00001.dcm")
    assert (clean.seen, clean.accepted) == (1, 1)


EXPECTED = {
    "ct_ge_head_gantry_tilt": {"deid.face", "deid.private_tag"},
    "dcmqi_ct_with_seg": {"deid.not_declared", "deid.date", "deid.private_tag"},
    "mr_ge_classic": {"deid.person_name", "deid.face", "deid.private_tag"},
    "mr_hippocrop_11": {"deid.person_name", "deid.not_declared", "source.secondary"},
    "mr_philips_classic": {"deid.birth_date", "deid.face"},
    "mr_philips_enhanced": {"deid.birth_date", "deid.face"},
    "mr_siemens_classic": {"deid.birth_date", "deid.text_pattern"},
    "mr_siemens_transfer_syntaxes": {"deid.birth_date", "series.repeated_position"},
}


@pytest.mark.parametrize("folder", EXPECTED)
def test_real_series_are_held_back_and_say_why(folder) -> None:
    report = inspect(REALDATA / "dicom" / folder)
    assert report.accepted == 0
    assert codes(report) >= EXPECTED[folder]


def instances_of(folder) -> list:
    inventory, judge, names = Inventory(), ElementJudge(), Pseudonyms(b"k" * 32)
    with quiet_parsers():
        booked = [inventory.add(path) for path in sorted((REALDATA / "dicom" / folder).glob("*.dcm"))]
        found = [
            (read_instance(seen, data, judge=judge, names=names, inventory=inventory, body_part=""), data)
            for seen, data in booked
        ]
    return [(instance, data) for instance, data in found if instance is not None]


def test_nine_encodings_of_one_object_decode_to_the_same_values() -> None:
    decoded = [
        stored_slices(instance, data, instance.frames)
        for instance, data in instances_of("mr_siemens_transfer_syntaxes")
    ]
    assert [values.shape for values in decoded] == [(35, 64, 64)] * 9
    assert all(np.array_equal(values, decoded[0]) for values in decoded)


def test_a_real_stack_is_sorted_along_its_normal_with_the_stated_distance() -> None:
    (series,) = group_series(instance for instance, _ in instances_of("mr_hippocrop_11"))
    assert series.grid.shape_zyx == (40, 50, 34)
    assert series.grid.spacing_mm == pytest.approx((1.0, 1.0, 1.0))
    heights = [item.frame.position_mm[2] for item in series.slices]
    assert heights == sorted(heights)


def test_the_hippocampus_set_is_taken_in_whole(private, build) -> None:
    spec = load_spec(SPECS / "hippocampus-mr.yaml")
    report = take_in(spec, REALDATA / "hippocampus_mr", private, pseudonym_key=build.key)
    assert (report.seen, report.accepted, report.patients, report.cases.cases) == (401, 401, 129, 200)


def test_the_chest_set_is_taken_in_whole(private, build) -> None:
    spec = load_spec(SPECS / "chest-xray.yaml")
    report = take_in(spec, REALDATA / "xray_chest" / "pneumonia28.npz", private, pseudonym_key=build.key)
    assert (report.accepted, report.patients, report.cases.cases) == (1, 2698, 2698)
