"""NIfTI headers: units of space, two orientations or none, axes that shear, kinds of numbers, pairs of files."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from synthdata.errors import SourceError
from synthdata.intake import take_in
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel, Source

AFFINE = np.array([[-1.5, 0, 0, 10.0], [0, 2.0, 0, -20.0], [0, 0, 3.0, 30.0], [0, 0, 0, 1]])
VOXELS = np.random.default_rng(2).integers(0, 120, (6, 8, 5)).astype(np.int16)


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def image(voxels=VOXELS, affine=AFFINE, *, sform: int = 1, qform: int = 1, unit: str = "mm", other=None):
    result = nib.Nifti1Image(voxels, affine, dtype=voxels.dtype)
    result.set_sform(affine, sform)
    result.set_qform(affine if other is None else other, qform)
    result.header.set_xyzt_units(unit)
    return result


def write(scans: Path, volume, folder: str = "images") -> None:
    (scans / folder).mkdir(exist_ok=True)
    nib.save(volume, scans / folder / "case.nii.gz")


def take(build, scans, private, **changes):
    spec = build.spec(source=Source(kind="folder", uri="unused", format="nifti"), **changes)
    return take_in(spec, scans, private, pseudonym_key=build.key)


def only_case(report, private):
    assert report.accepted == report.seen, codes(report)
    (case,) = read_cases(private, report.cases)
    return case


@pytest.mark.parametrize(
    ("unit", "factor"), [("micron", 1e3), ("meter", 1e-3), ("mm", 1.0), ("unknown", 1.0)]
)
def test_space_is_in_mm_whatever_the_header_counts_in(build, scans, private, unit, factor) -> None:
    scaled = np.diag([factor, factor, factor, 1.0]) @ AFFINE
    write(scans, image(affine=scaled, unit=unit))
    grid = only_case(take(build, scans, private), private).grid
    assert grid.spacing_mm == pytest.approx((3.0, 2.0, 1.5), rel=1e-5)
    assert grid.origin_mm == pytest.approx((-10.0, 20.0, 30.0), rel=1e-5)


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (4, 1)])
def test_either_orientation_suffices(build, scans, private, sform, qform) -> None:
    write(scans, image(sform=sform, qform=qform))
    report = take(build, scans, private)
    assert only_case(report, private).grid.origin_mm == pytest.approx((-10.0, 20.0, 30.0))
    assert not any("sform" in note for note in report.notes)


def test_two_orientations_which_disagree_are_noted_with_the_figure(build, scans, private) -> None:
    moved = AFFINE.copy()
    moved[2, 3] += 4.0
    write(scans, image(other=moved))
    report = take(build, scans, private)
    assert only_case(report, private).grid.origin_mm[2] == pytest.approx(30.0)
    assert any("1 mm or more apart: the sform was used" in note for note in report.notes)


def test_a_header_without_orientation_is_refused_since_left_and_right_are_a_guess(
    build, scans, private
) -> None:
    write(scans, image(sform=0, qform=0))
    assert codes(take(build, scans, private)) == {"series.no_geometry": 1}


def test_a_sheared_header_is_told_from_one_without_geometry(build, scans, private) -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.4
    write(scans, image(affine=sheared, qform=0))
    assert codes(take(build, scans, private)) == {"series.sheared": 1}


@pytest.mark.parametrize(
    ("voxels", "code"),
    [
        (np.zeros((6, 8, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "pixels.colour"),
        (VOXELS.astype(np.complex64), "pixels.complex"),
        (np.stack([VOXELS] * 3, -1), "case.other_channels"),
    ],
)
def test_what_is_no_grey_volume_is_refused_as_what_it_is(build, scans, private, voxels, code) -> None:
    write(scans, image(voxels))
    assert codes(take(build, scans, private)) == {code: 1}


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", ">i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_numbers_of_any_kind_are_read_exactly(build, scans, private, kind) -> None:
    write(scans, image(VOXELS.astype(kind)))
    case = only_case(take(build, scans, private), private)
    np.testing.assert_array_equal(case.image[0], VOXELS.transpose(2, 1, 0))


def test_decimal_labels_a_rounding_from_whole_ones_are_these(build, scans, private) -> None:
    write(scans, image())
    labels = (VOXELS % 3).astype(np.float32)
    write(scans, image(labels + np.float32(3e-6)), "labels")
    case = only_case(take(build, scans, private, labels=build.labels), private)
    np.testing.assert_array_equal(case.mask, labels.transpose(2, 1, 0))


def test_labels_between_whole_numbers_are_refused(build, scans, private) -> None:
    write(scans, image())
    write(scans, image((VOXELS % 3).astype(np.float32) * 0.5), "labels")
    assert codes(take(build, scans, private, labels=build.labels))["mask.unknown_value"] == 1


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Spm2AnalyzeImage])
def test_a_pair_of_header_and_voxels_is_named(build, scans, private, kind) -> None:
    write(scans, image())
    nib.save(kind(VOXELS, AFFINE), scans / "images" / "other.img")
    report = take(build, scans, private)
    assert codes(report)["file.pair"] == 1
    assert report.accepted == 1
    (scans / "images" / "case.nii.gz").unlink()
    with pytest.raises(SourceError, match="convert 1 pairs"):
        take(build, scans, private)


def test_a_set_with_a_table_says_of_a_volume_too_many_what_it_is(build, scans, private) -> None:
    nib.save(image(np.stack([VOXELS] * 2, -1)), scans / "one.nii")
    (scans / "table.csv").write_text("file,patient\none.nii,PAT-1\n")
    source = Source(kind="folder", uri="unused", format="table", clinical="table.csv", images=".")
    spec = build.spec(source=source, channels=(Channel(name="T1w", modality="MR"),))
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    assert codes(report)["case.other_channels"] == 1


def test_a_slope_of_zero_means_no_scale(build, scans, private) -> None:
    write(scans, image())
    path = scans / "images" / "case.nii.gz"
    plain = bytearray(gzip.decompress(path.read_bytes()))
    plain[112:120] = np.array([0, 7], "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(plain), mtime=0))
    case = only_case(take(build, scans, private), private)
    np.testing.assert_array_equal(case.image[0], VOXELS.transpose(2, 1, 0))


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_two_files_of_one_name_are_held_since_either_may_be_meant(build, scans, private, folder) -> None:
    write(scans, image())
    write(scans, image(np.ones(VOXELS.shape, np.int16)), "labels")
    nib.save(image(VOXELS // 60), scans / folder / "case.nii")
    found = codes(take(build, scans, private, labels={"lesion": 1, "ventricle": 2}))
    assert found["file.same_name"] == 2
    assert found["case.companion"] == 1
