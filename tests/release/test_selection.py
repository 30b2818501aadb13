"""A part of a release, case by case: by a condition over the index, or as a sample; verified like the whole."""

import io
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import synthdata
from synthdata.errors import ConfigError, IntegrityError, StoreError
from synthdata.records.pages import array_of, frames
from synthdata.records.parquet import read_file
from synthdata.release.client import check, pull
from synthdata.release.client.choosing import chosen_rows
from synthdata.storage.folder import FolderStore
from tests.release.builders import ellipsoid
from tests.release.test_web import serving

SUFFIXES = {"data": "parquet", "dicom": "tar", "records": "ndjson"}
RELEASE = "datasets/ellipsoids/1.0.0"
OLD_WITH_LESION = "age > 30 and lesion_count > 0"  # of the cases 0 to 5: 1, 3 and 5


@pytest.fixture
def got(tmp_path: Path) -> Path:
    return tmp_path / "got"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_the_wanted_cases_come_in_every_format_and_check(published: FolderStore, got: Path) -> None:
    pulled = pull("ellipsoids", None, published.url, got, where=OLD_WITH_LESION)
    assert pulled.cases == 3
    assert not pulled.complete
    selected = {name for name in files(got) if "selected" in name}
    assert selected == {
        "data/selected-00000.parquet", "dicom/selected-00000.tar", "nifti/selected-00000.tar",
        "records/selected-00000.ndjson",
    }  # fmt: skip
    opened = synthdata.open_release(got)
    cases = list(opened.cases())
    assert [case.case_id for case in cases] == ["SYN-000001", "SYN-000003", "SYN-000005"]
    for case, number in zip(cases, (1, 3, 5), strict=True):
        original = ellipsoid(number)
        assert np.array_equal(case.image, original.image)
        assert np.array_equal(case.mask, original.mask)
        assert dict(case.record) == dict(original.record)
        assert case.grid == original.grid
        assert dict(case.provenance) == dict(original.provenance)
    result = check(got)
    assert result.ok, result.problems
    assert any("a part of the release" in note for note in result.notes)


def test_selected_tar_files_hold_whole_cases_and_selected_records_whole_lines(
    published: FolderStore, got: Path
) -> None:
    pull("ellipsoids", None, published.url, got, where="case_id = 'SYN-000004'")
    with tarfile.open(got / "dicom/selected-00000.tar") as part:
        members = {item.name: part.extractfile(item).read() for item in part}  # type: ignore[union-attr]
    with tarfile.open(published.root / RELEASE / "dicom/cases-00000.tar") as whole:
        want = {
            item.name: whole.extractfile(item).read()  # type: ignore[union-attr]
            for item in whole
            if item.name.startswith("SYN-000004/")
        }
    assert members == want
    lines = [json.loads(line) for line in (got / "records/selected-00000.ndjson").read_text().splitlines()]
    assert {line["resourceType"] for line in lines} == {"Patient", "Observation", "ImagingStudy"}
    assert all("SYN-000004" in line["id"] for line in lines)


def test_a_partial_pull_moves_the_ranges_of_its_cases_and_no_whole_shard(
    published: FolderStore, got: Path
) -> None:
    with serving(published.root) as server:
        part = {"where": "case_id = 'SYN-000004'", "formats": ["parquet", "dicom"]}
        pull("ellipsoids", None, server.url, got, **part)
        asked = {(path, headers.get("Range")) for path, headers in server.seen if "/cases-" in path}
    index = pq.read_table(got / "index.parquet").to_pylist()[4]
    wanted = set()
    for name, file in (("image", "cases_file"), ("mask", "cases_file"), ("dicom", "dicom_file")):
        first, size = index[f"{name}_offset"], index[f"{name}_bytes"]
        wanted.add((f"/{RELEASE}/{index[file]}", f"bytes={first}-{first + size - 1}"))
    assert asked == wanted
    assert not {name for name in files(got) if name.startswith(("registry", "gallery", "nifti"))}


@pytest.mark.parametrize(
    ("sample", "count"), [("50%", 3), ("1%", 1), ("100%", 6), ("2", 2), ("99", 6), (" 34 % ", 3)]
)
def test_a_sample_has_its_size(published: FolderStore, got: Path, sample: str, count: int) -> None:
    assert pull("ellipsoids", None, published.url, got, sample=sample, formats=["fhir"]).cases == count
    assert check(got).ok


def test_a_smaller_sample_is_a_part_of_a_larger_one(published: FolderStore) -> None:
    index = published.root / RELEASE / "index.parquet"
    found = [set(chosen_rows(index, "", str(count))["case_id"].to_pylist()) for count in range(1, 7)]
    assert all(small < large for small, large in itertools.pairwise(found))


@pytest.mark.parametrize("sample", ["0", "0%", "101%", "-3", "1.5", "one", "1%%"])
def test_a_sample_that_cannot_be_read_is_refused(published: FolderStore, got: Path, sample: str) -> None:
    with pytest.raises(ConfigError, match="expected a share such as 1%"):
        pull("ellipsoids", None, published.url, got, sample=sample)
    assert not (got).exists()


def test_the_index_can_be_fetched_alone(published: FolderStore, got: Path) -> None:
    pull("ellipsoids", None, published.url, got, formats=["index"])
    assert "index.parquet" in files(got)
    assert not {name for name in files(got) if name.startswith(("data/", "dicom/", "nifti/", "records/"))}
    assert check(got).ok


def test_another_part_of_the_same_version_needs_another_folder(published: FolderStore, got: Path) -> None:
    pull("ellipsoids", None, published.url, got, sample="2", formats=["fhir"])
    with pytest.raises(StoreError, match="holds another part"):
        pull("ellipsoids", None, published.url, got, where="age > 31")
    assert pull("ellipsoids", None, published.url, got, sample="2", formats=["fhir"]).moved == 0


def test_a_mistyped_condition_does_not_take_the_folder(published: FolderStore, got: Path) -> None:
    for wrong in ("weight > 3", "age > 900"):
        with pytest.raises(ConfigError):
            pull("ellipsoids", None, published.url, got, where=wrong)
    pull("ellipsoids", None, published.url, got, where="age > 31", formats=["fhir"])
    assert check(got).ok


def test_a_download_that_was_broken_off_is_told_and_is_no_wrong_file(
    published: FolderStore, got: Path
) -> None:
    pull("ellipsoids", None, published.url, got, formats=["parquet"])
    (got / "dicom").mkdir()
    (got / "dicom" / "cases-00000.tar.part").write_bytes(b"half")
    found = check(got)
    assert found.ok
    assert (
        "dicom/cases-00000.tar.part is a download that was broken off: pull again, or remove it"
        in found.notes
    )
    (got / "dicom" / "cases-00009.tar.part").write_bytes(b"half")
    assert not check(got).ok


@pytest.mark.parametrize("name", [f"{kind}/cases-00000.{suffix}" for kind, suffix in SUFFIXES.items()])
def test_a_changed_range_is_refused_and_leaves_no_selected_file(
    published: FolderStore, got: Path, name: str
) -> None:
    index = pq.read_table(published.root / RELEASE / "index.parquet").to_pylist()[3]
    kind = {"data": "image", "dicom": "dicom", "records": "fhir"}[name.split("/", maxsplit=1)[0]]
    with (published.root / RELEASE / name).open("r+b") as file:
        file.seek(index[f"{kind}_offset"] + index[f"{kind}_bytes"] // 2)
        old = file.read(1)
        file.seek(-1, io.SEEK_CUR)
        file.write(bytes([old[0] ^ 1]))
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        pull("ellipsoids", None, published.url, got, where="case_id = 'SYN-000003'")
    made = {"data": "data/selected-00000.parquet", "dicom": "dicom/selected-00000.tar"}.get(
        name.split("/", maxsplit=1)[0], "records/selected-00000.ndjson"
    )
    assert made not in files(got)
    pull("ellipsoids", None, published.url, got / "other", where="case_id = 'SYN-000002'")


@pytest.mark.parametrize(
    "name", ["data/selected-00000.parquet", "dicom/selected-00000.tar", "records/selected-00000.ndjson"]
)
def test_a_check_finds_changed_missing_and_added_selected_files(
    published: FolderStore, got: Path, name: str
) -> None:
    pull("ellipsoids", None, published.url, got, where=OLD_WITH_LESION)
    whole = (got / name).read_bytes()
    (got / name).write_bytes(whole[:-2000] if name.endswith("tar") else whole[:-200])
    assert name in check(got).problems[0]
    (got / name).unlink()
    assert "is missing" in check(got).problems[0]
    (got / name).write_bytes(whole)
    assert check(got).ok
    (got / name).with_name("selected-00001.bin").write_bytes(whole)
    assert "nobody signed it" in check(got).problems[0]


def test_a_check_finds_a_changed_record_of_a_selected_case(published: FolderStore, got: Path) -> None:
    pull("ellipsoids", None, published.url, got, where=OLD_WITH_LESION, formats=["parquet"])
    path = got / "data/selected-00000.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("age")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([31.0, 33.0, 99.0])), path)
    assert "not the one that was released" in check(got).problems[0]


def test_a_frame_is_found_and_unpacked_and_nothing_larger(built, got: Path) -> None:
    path = built[0] / "data/cases-00000.parquet"
    found, data = frames(path, ("image", "mask")), path.read_bytes()
    with pq.ParquetFile(path) as file:
        cases = list(read_file(file, ()))
    for case, image, mask in zip(cases, found["image"], found["mask"], strict=True):
        frame = data[image.offset : image.offset + image.size_bytes]
        assert array_of(frame, case.image.nbytes) == case.image.tobytes()
        assert (
            array_of(data[mask.offset : mask.offset + mask.size_bytes], case.mask.size) == case.mask.tobytes()
        )
        for size in (case.image.nbytes - 1, case.image.nbytes + 1):
            with pytest.raises(ValueError, match="index names"):
                array_of(frame, size)


def test_a_release_whose_index_has_no_ranges_says_so(
    published: FolderStore, got: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(index: Path, where: str, sample: str) -> pa.Table:
        return chosen_rows(index, where, sample).select(["case_id", "cases_file"])

    monkeypatch.setattr("synthdata.release.client.pulling.chosen_rows", old)
    with pytest.raises(ConfigError, match="was made by an older version"):
        pull("ellipsoids", None, published.url, got, sample="1")
