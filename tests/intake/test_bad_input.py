"""Each bad input gets its reason or its sentence; nothing is lost and nobody is named."""

import json
from collections import Counter

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from synthdata.errors import ConfigError, SourceError
from synthdata.intake import inspect, take_in
from synthdata.intake.reasons import REASONS
from synthdata.records import to_json
from synthdata.spec import Channel, Source

CLINICAL = Source(kind="folder", uri="unused", format="dicom", clinical="clinical.csv")


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def take(build, scans, private, **changes):
    report = take_in(build.spec(**changes), scans, private, pseudonym_key=build.key)
    assert report.accepted + report.quarantined + report.refused == report.seen
    assert "PAT-" not in to_json(report).decode()
    return report


@pytest.mark.parametrize("call", ["take_in", "inspect"])
def test_an_empty_folder_is_refused_with_a_sentence(build, scans, private, call) -> None:
    with pytest.raises(SourceError, match=r"empty, expected scans: check"):
        take(build, scans, private) if call == "take_in" else inspect(scans)


def test_a_folder_which_is_not_there_is_refused_without_its_path(build, scans, private) -> None:
    with pytest.raises(SourceError, match="neither a folder nor a file") as caught:
        take(build, scans / "PAT-1", private)
    assert "PAT-1" not in str(caught.value)


@pytest.mark.parametrize("call", ["take_in", "inspect"])
def test_a_folder_without_dicom_is_refused_with_a_sentence(build, scans, private, call) -> None:
    (scans / "PAT-1.txt").write_text("no image")
    with pytest.raises(SourceError, match="holds 1 files") as caught:
        take(build, scans, private) if call == "take_in" else inspect(scans)
    assert "PAT-1" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.5, 0.8, 0.999])
@pytest.mark.parametrize("which", [0, 2, 4])
def test_a_truncated_file_is_refused_and_the_rest_of_its_series_is_not_taken(
    build, scans, private, keep, which
) -> None:
    path = build.write(scans, build.series("PAT-1"))[which]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    report = take(build, scans, private)
    assert (report.accepted, report.cases.cases) == (0, 0)
    assert not {"file.truncated", "file.malformed", "file.no_pixels"}.isdisjoint(codes(report))


def test_files_which_are_no_dicom_are_refused_and_the_rest_is_taken(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    (scans / "readme.txt").write_text("hello")
    (scans / "empty").write_bytes(b"")
    (scans / "magic").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    report = take(build, scans, private)
    assert (report.seen, report.accepted, report.cases.cases) == (8, 5, 1)
    assert codes(report).keys() >= {"file.not_an_image", "file.empty"}


def test_a_missing_slice_is_refused_with_its_figure(build, scans, private) -> None:
    build.write(scans, [item for index, item in enumerate(build.series("PAT-1")) if index != 2])
    report = take(build, scans, private)
    assert codes(report) == {"series.missing_slice": 4}
    assert report.notes == ("a series has slice distances from 3.00 to 6.00 mm, expected one distance",)


def test_uneven_gaps_are_refused(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    x, y, z = datasets[-1].ImagePositionPatient
    datasets[-1].ImagePositionPatient = [x, y, z + 1.2]
    build.write(scans, datasets)
    assert codes(take(build, scans, private)) == {"series.uneven_gaps": 5}


def test_a_tilt_that_no_gantry_has_is_refused_with_its_angle(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for index, dataset in enumerate(datasets):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + index * 3 * np.tan(np.radians(40)), z]
    build.write(scans, datasets)
    report = take(build, scans, private)
    assert codes(report) == {"series.gantry_tilt": 5}
    assert report.notes == ("a series is tilted by 40.0 degrees, expected at most 35",)


def test_a_slice_shifted_sideways_is_refused_with_its_figure(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    x, y, z = datasets[2].ImagePositionPatient
    datasets[2].ImagePositionPatient = [x + 2, y, z]
    build.write(scans, datasets)
    report = take(build, scans, private)
    assert codes(report) == {"series.shifted_slices": 5}
    assert report.notes == ("a series has slices shifted sideways by 2.00 mm, expected at most 0.09 mm",)


def test_a_dicomdir_is_refused_and_the_rest_is_taken(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.DirectoryRecordSequence = []
    directory.save_as(scans / "DICOMDIR", enforce_file_format=True)
    report = take(build, scans, private)
    assert (report.accepted, codes(report), report.cases.cases) == (5, {"file.dicomdir": 1}, 1)


@pytest.mark.parametrize("pixels", [lambda data: data * 2, lambda data: data[:-2]])
def test_pixel_data_of_another_length_than_the_header_says_are_refused(build, scans, private, pixels) -> None:
    datasets = build.series("PAT-1")
    datasets[1].PixelData = pixels(datasets[1].PixelData)
    build.write(scans, datasets)
    report = take(build, scans, private)
    assert report.accepted == 0
    assert not {"file.frames", "file.truncated"}.isdisjoint(codes(report))


def test_two_time_points_in_one_series_are_refused(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    again = build.series("PAT-1", seed=1)
    for index, dataset in enumerate(again):
        dataset.SOPInstanceUID = f"1.2.3.{index}"
    build.write(scans, again, "b")
    assert codes(take(build, scans, private)) == {"series.repeated_position": 10}


def test_one_uid_on_two_different_images_is_held(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    build.write(scans, build.series("PAT-1", seed=1)[:1], "b")
    assert codes(take(build, scans, private)) == {"series.duplicate_uid": 6}


def test_the_same_file_twice_is_counted_and_taken_once(build, scans, private) -> None:
    paths = build.write(scans, build.series("PAT-1"))
    (scans / "copy.dcm").write_bytes(paths[0].read_bytes())
    report = take(build, scans, private)
    assert (report.accepted, codes(report)) == (5, {"file.duplicate": 1})


def test_two_persons_under_one_id_are_held(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1", sex="F"), "a")
    build.write(scans, build.series("PAT-1", sex="M", study_uid="1.2.3", series_uid="1.2.4", seed=1), "b")
    build.write(scans, build.series("PAT-2", sex="M", seed=2), "c")
    report = take(build, scans, private)
    assert codes(report) == {"patient.conflict": 10}
    assert report.patients == 1


def test_differing_clinical_rows_of_one_id_hold_the_patient(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    (scans / "clinical.csv").write_text("patient,age\nPAT-1,50\nPAT-1,61\n")
    report = take(build, scans, private, clinical=(build.age,), source=CLINICAL)
    assert codes(report) == {"clinical.conflicting_rows": 5}


def test_rows_without_images_and_images_without_a_row_are_counted(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"), "a")
    build.write(scans, build.series("PAT-2", seed=1), "b")
    (scans / "clinical.csv").write_text("patient,age\nPAT-1,50\nPAT-8,61\nPAT-9,33\n")
    report = take(build, scans, private, clinical=(build.age,), source=CLINICAL)
    assert codes(report) == {"clinical.no_row": 5, "clinical.row_without_images": 2}
    assert (report.seen, report.accepted, report.quarantined) == (11, 6, 5)


@pytest.mark.parametrize(
    ("age", "code"),
    [("12", "out_of_range"), ("old", "bad_value"), ("", "bad_value"), ("50 or so", "bad_value")],
)
def test_impossible_clinical_values_hold_the_patient(build, scans, private, age, code) -> None:
    build.write(scans, build.series("PAT-1"))
    (scans / "clinical.csv").write_text(f"patient,age\nPAT-1,{age}\n")
    report = take(build, scans, private, clinical=(build.age,), source=CLINICAL)
    assert codes(report) == {f"clinical.{code}": 5}


def test_a_clinical_table_without_a_column_of_the_spec_is_refused(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    (scans / "clinical.csv").write_text("patient,weight\nPAT-1,50\n")
    with pytest.raises(SourceError, match="lacks the columns age"):
        take(build, scans, private, clinical=(build.age,), source=CLINICAL)


def test_a_clinical_table_that_is_not_there_is_refused(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    with pytest.raises(
        SourceError, match=r"table of source\.clinical is not there, expected a CSV below uri"
    ):
        take(build, scans, private, clinical=(build.age,), source=CLINICAL)


def test_a_missing_channel_holds_the_study_and_an_extra_series_is_refused(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1", name="T1w"), "a")
    build.write(scans, build.series("PAT-1", name="T2w"), "b")
    assert codes(take(build, scans, private)) == {"series.no_channel": 5}
    wanted = (
        Channel(name="T1w", modality="MR", series="T1w"),
        Channel(name="D", modality="MR", series="DWI"),
    )
    assert codes(take(build, scans, private, channels=wanted)) == {"case.missing_channel": 10}


def test_a_mask_on_another_grid_is_refused_and_its_images_held(build, scans, private) -> None:
    grid = build.grid()
    build.write(scans, build.series("PAT-1", grid), "a")
    elsewhere = build.grid(origin_mm=(500.0, 4.0, 11.0))
    mask = build.mask("PAT-1", build.series("PAT-1", elsewhere), elsewhere, np.ones(grid.shape_zyx, np.uint8))
    build.write(scans, [mask], "m")
    report = take(build, scans, private, labels=build.labels)
    assert codes(report) == {"mask.off_grid": 1, "case.companion": 5}


def test_a_case_without_its_mask_is_held(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    assert codes(take(build, scans, private, labels=build.labels)) == {"mask.missing": 5}


def test_quarantined_bytes_and_reasons_are_kept_without_names(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    datasets[0].PatientName = "Zacharias^Anna"
    paths = build.write(scans, datasets)
    take(build, scans, private)
    stored = list(private.keys("datasets/intake-test/quarantine/"))
    (listing,) = [key for key in stored if key.endswith(".json")]
    entries = json.loads(private.read(listing))["files"]
    assert Counter(code for entry in entries for code in entry["reasons"]) == {
        "deid.person_name": 1,
        "case.companion": 4,
    }
    assert {private.read(key) for key in stored if key != listing} == {path.read_bytes() for path in paths}
    assert b"Zacharias" not in private.read(listing)


def test_a_short_key_and_a_broken_pattern_are_refused(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    with pytest.raises(ConfigError, match="5 bytes, expected at least 16"):
        take_in(build.spec(), scans, private, pseudonym_key=b"short")
    with pytest.raises(ConfigError, match="regular expression"):
        take(build, scans, private, channels=(Channel(name="T1w", modality="MR", series="("),))


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_reason_says_what_came_and_what_to_do(code) -> None:
    came, colon, to_do = REASONS[code].explanation.rpartition(": ")
    assert came
    assert colon
    assert to_do.endswith(".")
