"""The registry: the same pixels are found in every format and orientation, empty slices never."""

import numpy as np
import pytest

from synthdata.errors import IntegrityError, RecordError, UnreadableFileError
from synthdata.provenance.canonical import is_telling, orientations, pixel_hash, ranks
from synthdata.provenance.registry import Registry, open_registry, write_registry
from synthdata.records import Case, FileEntry, Grid, ReleaseManifest, to_json


def write(folder, cases) -> Registry:
    write_registry(folder / "registry.parquet", cases, channels=["T1w"], dataset="heads", version="1.0.0")
    return open_registry(folder)


def test_ranks_are_the_order_of_the_values() -> None:
    assert ranks(np.array([[7, -3], [7, 40000]])).tolist() == [[1, 0], [1, 2]]
    assert ranks(np.array([[0.5, -1e9], [0.5, 2e9]])).tolist() == [[1, 0], [1, 2]]


def test_whole_numbers_and_floats_have_the_same_canonical_form(scan) -> None:
    pixels = scan(1)[0, 8]
    for changed in (
        pixels.astype(np.float32) * 0.013 + 7,
        pixels.astype(np.int64) * 100_000,
        pixels.astype(">i2"),
    ):
        assert pixel_hash(ranks(changed)) == pixel_hash(ranks(pixels))


def test_another_shape_is_another_hash() -> None:
    values = np.arange(400)
    assert pixel_hash(ranks(values.reshape(20, 20))) != pixel_hash(ranks(values.reshape(10, 40)))


def test_the_orientations_of_a_slice_are_sixteen_different_ones(scan) -> None:
    assert len({pixel_hash(turned) for turned in orientations(ranks(scan(2)[0, 8]))}) == 16


def test_a_slice_is_found_with_its_case_and_place(case, tmp_path) -> None:
    cases = [case(seed) for seed in range(5)]
    entry = write(tmp_path, cases).find_slice(cases[3].image[0, 7])
    assert entry is not None
    assert (entry.dataset, entry.version, entry.case_id, entry.slice) == ("heads", "1.0.0", "SYN-3", 7)


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels.T[::-1],
        lambda pixels: 1000 - pixels,
        lambda pixels: (pixels.astype(np.float32) * 812.5) - 3,
        lambda pixels: pixels.astype(np.uint16),
    ],
    ids=["turned", "inverted", "rescaled", "unsigned"],
)
def test_a_slice_is_found_after_a_lossless_change(change, case, tmp_path) -> None:
    one = case(1)
    assert write(tmp_path, [one]).find_slice(change(one.image[0, 7])) is not None


def test_a_volume_is_found(case, tmp_path) -> None:
    one = case(1)
    entry = write(tmp_path, [one]).find_volume(one.image[0].astype(np.float64) / 3)
    assert entry is not None
    assert entry.slice == -1


def test_one_changed_pixel_hides_a_slice(case, tmp_path) -> None:
    one = case(1)
    changed = one.image[0, 7].copy()
    changed[20, 16] += 9
    assert write(tmp_path, [one]).find_slice(changed) is None


def test_an_empty_slice_is_neither_registered_nor_found(case, tmp_path) -> None:
    empty = np.zeros((40, 32), np.int16)
    empty[3, :20] = np.arange(20)
    assert not is_telling(ranks(empty))
    assert write(tmp_path, [case(1)]).find_slice(empty) is None


def test_a_projection_is_found_as_dicom_holds_it_without_negative_values(scan, tmp_path) -> None:
    image = scan(1, (1, 40, 32)) - 480
    assert image.min() < 0
    grid = Grid(shape_zyx=(1, 40, 32), spacing_mm=(1.0, 1.0, 1.0))
    mask = np.zeros(grid.shape_zyx, np.uint8)
    one = Case(case_id="SYN-1", patient_id="SYN-1", image=image, mask=mask, grid=grid, record={})
    registry = write(tmp_path, [one])
    assert registry.find_slice(image[0, 0]) is not None
    assert registry.find_slice(np.maximum(image[0, 0], 0)) is not None


def test_the_same_cases_give_the_same_bytes(case, tmp_path) -> None:
    path = tmp_path / "registry.parquet"
    write(tmp_path, [case(1), case(2)])
    first = path.read_bytes()
    write(tmp_path, [case(1), case(2)])
    assert path.read_bytes() == first


def test_a_release_without_cases_has_an_empty_registry(case, tmp_path) -> None:
    assert len(write(tmp_path, [])) == 0
    assert open_registry(tmp_path).find_slice(case(1).image[0, 7]) is None


def test_registries_of_several_releases_are_read_together(case, tmp_path) -> None:
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        write(tmp_path / str(seed), [case(seed)])
    registry = open_registry(tmp_path)
    assert len(registry.releases) == 2
    assert all(registry.find_slice(case(seed).image[0, 7]) for seed in (1, 2))


def test_a_registry_which_the_manifest_does_not_name_is_refused(case, tmp_path) -> None:
    write(tmp_path, [case(1)])
    file = FileEntry(path="registry.parquet", sha256="0" * 64, size_bytes=1, media_type="x", role="records")
    manifest = ReleaseManifest(
        dataset="heads",
        version="1.0.0",
        created="2026-11-22",
        licence="CC0-1.0",
        cases=1,
        channels=("T1w",),
        labels={},
        files=(file,),
        verdict="0" * 64,
        outcome="PASS",
        provenance={},
        development_keys=True,
    )
    (tmp_path / "manifest.json").write_bytes(to_json(manifest))
    with pytest.raises(IntegrityError, match=r"registry registry\.parquet"):
        open_registry(tmp_path)


def test_a_folder_without_a_registry_is_refused_with_what_to_do(tmp_path) -> None:
    with pytest.raises(UnreadableFileError, match="give the folder of a release"):
        open_registry(tmp_path)
    (tmp_path / "registry.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(UnreadableFileError, match="pull the release again"):
        open_registry(tmp_path)


def test_a_table_which_is_no_registry_is_refused(case, tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"sha256": [b"0" * 32]}), tmp_path / "registry.parquet")
    with pytest.raises(RecordError, match="of no registry"):
        open_registry(tmp_path)
