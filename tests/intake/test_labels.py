"""Masks of DICOM SEG, NIfTI label maps, NPZ classes and clinical columns."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from synthdata.errors import SourceError
from synthdata.intake import inspect, take_in
from synthdata.intake.clinical import typed
from synthdata.records import ColumnSpec
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel, GridSpec, Source


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def mask_of(grid) -> np.ndarray:
    mask = np.zeros(grid.shape_zyx, np.uint8)
    mask[1:3, 2:5, 1:4], mask[3:, 5:, 4:] = 1, 2
    return mask


def test_a_segmentation_lands_on_its_voxels(build, scans, private) -> None:
    grid = build.grid(direction=build.oblique)
    datasets, mask = build.series("PAT-1", grid), mask_of(grid)
    build.write(scans, [*datasets, build.mask("PAT-1", datasets, grid, mask)])
    report = take_in(build.spec(labels=build.labels), scans, private, pseudonym_key=build.key)
    assert report.accepted == 6, codes(report)
    (case,) = read_cases(private, report.cases)
    np.testing.assert_array_equal(case.mask, mask)


def test_labels_are_matched_by_name_and_mapped_to_the_values_of_the_spec(build, scans, private) -> None:
    grid = build.grid()
    datasets, mask = build.series("PAT-1", grid), mask_of(grid)
    build.write(scans, [*datasets, build.mask("PAT-1", datasets, grid, mask)])
    report = take_in(build.spec(labels={"VENTRICLE": 7}), scans, private, pseudonym_key=build.key)
    (case,) = read_cases(private, report.cases)
    np.testing.assert_array_equal(case.mask, np.where(mask == 2, 7, 0))
    assert any("left out" in note for note in report.notes)


def test_a_segmentation_on_a_finer_overlapping_grid_is_resampled_to_the_image(build, scans, private) -> None:
    grid = build.grid()
    fine = build.grid(shape_zyx=(5, 16, 12), spacing_mm=(3.0, 1.0, 0.75), origin_mm=(-7.375, 3.5, 11.0))
    mask = mask_of(grid)
    fine_mask = mask.repeat(2, axis=1).repeat(2, axis=2)
    sources = build.series("PAT-1", fine)
    build.write(scans, [*build.series("PAT-1", grid), build.mask("PAT-1", sources, fine, fine_mask)])
    report = take_in(build.spec(labels=build.labels), scans, private, pseudonym_key=build.key)
    assert report.accepted == 6, codes(report)
    (case,) = read_cases(private, report.cases)
    np.testing.assert_array_equal(case.mask, mask)


def test_a_segmentation_of_a_projection_follows_its_reference(build, scans, private) -> None:
    grid = build.grid(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5), origin_mm=(0.0, 0.0, 0.0))
    mask = np.zeros(grid.shape_zyx, np.uint8)
    mask[0, 2:5, 1:4] = 1
    for patient in ("PAT-1", "PAT-2"):
        datasets = build.series(patient, grid, modality="DX", name="XR")
        other = build.series("PAT-1", grid, modality="DX", name="XR")
        stray = build.mask(
            patient, other, grid, mask
        )  # of the second patient, it refers to the first one's image
        stray.PatientID, stray.StudyInstanceUID = datasets[0].PatientID, datasets[0].StudyInstanceUID
        stray.PatientName = patient
        build.write(scans, [*datasets, stray], patient)
    flat = GridSpec(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5))
    spec = build.spec(channels=(Channel(name="XR", modality="DX"),), labels=build.labels, grid=flat)
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    assert codes(report) == {"mask.off_grid": 1, "case.companion": 1}
    (case,) = read_cases(private, report.cases)
    np.testing.assert_array_equal(case.mask, mask)


def write_nifti(path, array_zyx, affine=None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(
        array_zyx.transpose(2, 1, 0), np.diag([-1.5, -2, 3, 1.0]) if affine is None else affine
    )
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def nifti_spec(build, **changes):
    source = Source(kind="folder", uri="unused", format="nifti", patients="subjects.csv")
    return build.spec(**{"source": source, "labels": {"lesion": 1}, **changes})


@pytest.fixture
def niftis(build, scans):
    grid = build.grid()
    for index in range(3):
        write_nifti(scans / "images" / f"c{index}.nii.gz", build.image(grid, index))
        write_nifti(scans / "labels" / f"c{index}.nii.gz", (mask_of(grid) == 1).astype(np.uint8))
    (scans / "subjects.csv").write_text("file,subject\nc0.nii.gz,S-1\nc1.nii.gz,S-1\nc2.nii.gz,S-2\n")
    return scans


def test_nifti_pairs_are_taken_with_their_subjects(build, niftis, private) -> None:
    report = take_in(nifti_spec(build), niftis, private, pseudonym_key=build.key)
    assert (report.seen, report.accepted, report.patients, report.cases.cases) == (7, 7, 2, 3)
    images = {case.image[0].tobytes() for case in read_cases(private, report.cases)}
    assert images == {build.image(build.grid(), index).tobytes() for index in range(3)}


def test_bad_nifti_files_are_refused_with_their_pair(build, niftis, private) -> None:
    whole = (niftis / "images" / "c0.nii.gz").read_bytes()
    (niftis / "images" / "c0.nii.gz").write_bytes(whole[: len(whole) // 2])
    write_nifti(niftis / "labels" / "c1.nii.gz", np.full(build.grid().shape_zyx, 9, np.uint8))
    away = np.array([[-1.5, 0, 0, 900], [0, -2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])
    write_nifti(niftis / "labels" / "c2.nii.gz", np.ones(build.grid().shape_zyx, np.uint8), away)
    (niftis / "labels" / "stray.nii.gz").write_bytes(whole)
    report = take_in(nifti_spec(build), niftis, private, pseudonym_key=build.key)
    assert (report.seen, report.cases.cases) == (8, 0)
    assert codes(report) == {
        "file.truncated": 1,
        "mask.unknown_value": 1,
        "mask.off_grid": 1,
        "mask.no_image": 1,
        "case.companion": 3,
    }


def test_a_file_without_a_subject_is_held_and_a_header_text_with_a_date_too(build, niftis, private) -> None:
    (niftis / "subjects.csv").write_text("file,subject\nc0.nii.gz,S-1\nc1.nii.gz,S-1\n")
    image = nib.Nifti1Image(build.image(build.grid()).transpose(2, 1, 0), np.diag([-1.5, -2, 3, 1.0]))
    image.header["descrip"] = b"scanned 2024-04-25"
    (niftis / "images" / "c0.nii.gz").write_bytes(gzip.compress(image.to_bytes()))
    report = take_in(nifti_spec(build), niftis, private, pseudonym_key=build.key)
    assert codes(report) == {"patient.unknown": 2, "deid.text_pattern": 1, "case.companion": 1}
    assert "deid.text_pattern" in codes(inspect(niftis))


FINDING = ColumnSpec(name="finding", kind="category", values=("normal", "sick"))


def npz_spec(build, images="a+b", labels="la+lb"):
    arrays = {"images": images, "finding": labels}
    return build.spec(
        source=Source(kind="folder", uri="unused", format="npz", arrays=arrays),
        channels=(Channel(name="XR", modality="CR"),),
        clinical=(FINDING,),
    )


def test_npz_arrays_are_joined_and_codes_become_categories(build, scans, private) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 255, (3, 4, 5)).astype(np.uint8), rng.integers(0, 255, (2, 4, 5)).astype(np.uint8)
    path = scans / "set.npz"
    np.savez(path, a=a, b=b, la=np.array([[0], [1], [0]]), lb=np.array([[1], [1]]))
    report = take_in(npz_spec(build), path, private, pseudonym_key=build.key)
    cases = list(read_cases(private, report.cases))
    assert {case.image.tobytes(): case.record["finding"] for case in cases} == {
        image.astype(np.int16).tobytes(): finding
        for image, finding in zip([*a, *b], ["normal", "sick", "normal", "sick", "sick"], strict=True)
    }
    assert report.patients == 5


def test_npz_without_the_arrays_of_the_spec_or_with_unknown_codes_is_refused(build, scans, private) -> None:
    path = scans / "set.npz"
    np.savez(path, a=np.zeros((1, 4, 5)), b=np.zeros((1, 4, 5)), la=np.array([5]), lb=np.array([0]))
    with pytest.raises(SourceError, match="lacks arrays for images"):
        take_in(npz_spec(build, images="nothing"), path, private, pseudonym_key=build.key)
    report = take_in(npz_spec(build), path, private, pseudonym_key=build.key)
    assert codes(report) == {"clinical.bad_value": 1}
    assert inspect(path).accepted == 1
    path.write_bytes(path.read_bytes()[:200])
    assert codes(inspect(path)) == {"file.malformed": 1}
    assert codes(take_in(npz_spec(build), path, private, pseudonym_key=build.key)) == {"file.malformed": 1}


def test_cells_are_typed_by_their_column() -> None:
    assert typed(FINDING, " Sick ") == ("sick", "")
    assert typed(ColumnSpec(name="b", kind="boolean"), "yes") == (True, "")
    assert (
        typed(ColumnSpec(name="n", kind="number", maximum=2, minimum=0), "2.5")[1] == "clinical.out_of_range"
    )
    assert typed(ColumnSpec(name="n", kind="number", role="outcome"), "NA") == (None, "")
