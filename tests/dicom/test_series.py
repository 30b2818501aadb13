import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite

from synthdata.dicom import Deidentification, SeriesHeader, encode, image_datasets, save
from synthdata.errors import ConfigError, ShapeError, StoreError
from synthdata.records import Grid

Header = Callable[..., SeriesHeader]
Voxels = Callable[[Grid], np.ndarray]


def turned(degrees: tuple[float, float, float]) -> tuple[float, ...]:
    """Orthonormal directions of z, y and x after turns about three axes."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        a, b = [k for k in range(3) if k != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return tuple(float(value) for value in matrix[:, ::-1].T.ravel())


@pytest.mark.parametrize("degrees", [(0, 0, 0), (17, -33, 71), (90, 0, 45)])
def test_geometry_survives_a_round_trip_to_a_millionth_of_a_millimetre(
    header: Header, voxels: Voxels, degrees: tuple[float, float, float]
) -> None:
    grid = Grid(
        shape_zyx=(7, 6, 5),
        spacing_mm=(3.3333333, 0.7142857, 0.9876543),
        origin_mm=(-123.4567891, 87.6543219, -1013.1234567),
        direction=turned(degrees),  # type: ignore[arg-type]
    )
    files = [dcmread(io.BytesIO(encode(one))) for one in image_datasets(voxels(grid), grid, header())]
    for index in np.ndindex(grid.shape_zyx):
        z, y, x = index
        one = files[z]
        along_row, along_column = np.array(one.ImageOrientationPatient, float).reshape(2, 3)
        down, right = np.array(one.PixelSpacing, float)
        place = np.array(one.ImagePositionPatient, float) + right * x * along_row + down * y * along_column
        assert np.abs(place - (grid.affine @ [*index, 1])[:3]).max() < 1e-6


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_voxels_come_back_as_they_were(modality: str, header: Header, grid: Grid) -> None:
    image = np.random.default_rng(1).integers(-1024, 3072, grid.shape_zyx).astype(np.int16)
    files = [dcmread(io.BytesIO(encode(one))) for one in image_datasets(image, grid, header(modality))]
    assert np.array_equal(np.stack([one.pixel_array for one in files]), image)
    assert [one.InstanceNumber for one in files] == [1, 2, 3, 4, 5]
    if modality == "CT":
        assert {(one.RescaleSlope, one.RescaleIntercept, one.RescaleType) for one in files} == {(1, 0, "HU")}


def test_the_same_series_gives_the_same_bytes(header: Header, grid: Grid, voxels: Voxels) -> None:
    first, second = (image_datasets(voxels(grid), grid, header()) for _ in range(2))
    assert [encode(one) for one in first] == [encode(one) for one in second]


@pytest.mark.parametrize("modality", ["MR", "CT", "DX"])
def test_the_bytes_are_those_of_the_library(
    modality: str, header: Header, grid: Grid, flat_grid: Grid, voxels: Voxels
) -> None:
    where = flat_grid if modality == "DX" else grid
    for one in image_datasets(voxels(where), where, header(modality, patient_name="Ä^Ö")):
        one.ImageComments = "Größe"
        data = encode(one)
        decoded, again = dcmread(io.BytesIO(data)), io.BytesIO()
        assert len(list(decoded.iterall())) > 40  # so that the library encodes each element
        dcmwrite(again, decoded, enforce_file_format=True)
        assert again.getvalue() == data


def test_last_changes_are_made_once_and_reach_all_slices(header: Header, grid: Grid, voxels: Voxels) -> None:
    calls = []

    def finish(dataset: Dataset) -> None:
        calls.append(dataset)
        dataset.ImageComments = "finished"

    assert {one.ImageComments for one in image_datasets(voxels(grid), grid, header(), finish=finish)} == {
        "finished"
    }
    assert len(calls) == 1


def test_a_dataset_of_another_character_set_is_encoded_anew(
    header: Header, grid: Grid, voxels: Voxels
) -> None:
    one = image_datasets(voxels(grid), grid, header(study_description="Größe"))[0]
    one.SpecificCharacterSet = "ISO_IR 100"
    data = encode(one)
    assert "Größe".encode("latin-1") in data
    assert dcmread(io.BytesIO(data)).StudyDescription == "Größe"


def test_a_change_of_one_slice_leaves_the_others_as_they_are(
    header: Header, grid: Grid, voxels: Voxels
) -> None:
    datasets = image_datasets(voxels(grid), grid, header())
    before = encode(datasets[1])
    datasets[0].ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    datasets[0].DeidentificationMethodCodeSequence[0].CodeMeaning = "changed"
    datasets[0].SyntheticData = "YES"
    assert encode(datasets[1]) == before
    assert b"DERIVED" in encode(datasets[0])


def test_the_evidence_of_deidentification_is_written(header: Header, grid: Grid, voxels: Voxels) -> None:
    one = image_datasets(voxels(grid), grid, header(age_years=97.0))[0]
    assert one.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in one.DeidentificationMethodCodeSequence] == ["113100"]
    assert (one.BurnedInAnnotation, one.RecognizableVisualFeatures) == ("NO", "NO")
    assert one.LongitudinalTemporalInformationModified == "REMOVED"
    assert one.PatientAge == "090Y"  # higher ages are aggregated
    assert not one.PatientBirthDate
    assert not one.StudyDate
    assert not any(element.VR in {"DA", "DT", "TM"} and element.value for element in one.iterall())


def test_a_file_starts_with_zeros_and_its_meta_information_names_it(
    header: Header, grid: Grid, voxels: Voxels, tmp_path: Path
) -> None:
    one = image_datasets(voxels(grid), grid, header())[0]
    save(one, tmp_path / "a.dcm")
    assert (tmp_path / "a.dcm").read_bytes()[:132] == bytes(128) + b"DICM"
    read = dcmread(tmp_path / "a.dcm")
    assert read.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


def test_a_folder_which_is_not_there_is_refused_without_its_path(
    header: Header, grid: Grid, voxels: Voxels, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="check the folder") as error:
        save(image_datasets(voxels(grid), grid, header())[0], tmp_path / "missing" / "a.dcm")
    assert str(tmp_path) not in str(error.value)


def test_arrays_which_do_not_fit_are_refused(
    header: Header, grid: Grid, flat_grid: Grid, voxels: Voxels
) -> None:
    with pytest.raises(ShapeError, match="expected int16"):
        image_datasets(voxels(grid).astype(np.float32), grid, header())
    with pytest.raises(ShapeError, match=r"expected int16 \(z, y, x\) of \(1, 16, 12\)"):
        image_datasets(voxels(grid), flat_grid, header())
    with pytest.raises(ShapeError, match="without negative values"):
        image_datasets(-voxels(flat_grid), flat_grid, header("DX"))
    with pytest.raises(ShapeError, match="expected one slice"):
        image_datasets(voxels(grid), grid, header("CR"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit": "[hnsf'U]"}, "expected"),
        ({"window": (5.0, 5.0)}, "low < high"),
        ({"modality": "US"}, "modality is 'US'"),
        ({"body_part": "no code string, and too long"}, "body_part .* CS"),
        ({"patient_id": "x" * 65}, "patient_id .* LO"),
        ({"attributes": {"EchoTime": "soon"}}, "EchoTime .* DS"),
    ],
)
def test_headers_which_cannot_work_are_refused(
    header: Header, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        header(**changes)


def test_a_face_may_be_left_unsaid(header: Header, grid: Grid, voxels: Voxels) -> None:
    evidence = Deidentification(method="made by a test", recognizable=None)
    one = image_datasets(voxels(grid), grid, header(deidentification=evidence))[0]
    assert "RecognizableVisualFeatures" not in one
