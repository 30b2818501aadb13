from dataclasses import replace
from pathlib import Path

import pytest

from assets.inventory import take_inventory, write_phantom
from synthdata.errors import SourceError
from synthdata.records import to_json
from synthdata.spec import DatasetSpec, Source
from tests.tiny import House


@pytest.fixture
def spec(tmp_path: Path) -> DatasetSpec:
    return House(root=tmp_path).write_spec(patients=3)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans" / "DOE_JANE"
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_bytes(b"one")
    return folder.parent


def of_folder(spec: DatasetSpec, folder: Path) -> DatasetSpec:
    return replace(spec, source=Source(kind="folder", uri=str(folder)))


def test_an_inventory_counts_files_and_names_none(spec: DatasetSpec, scans: Path) -> None:
    inventory = take_inventory(of_folder(spec, scans), scans)
    assert (inventory.files, inventory.size_bytes) == (1, 3)
    assert b"DOE" not in to_json(inventory)


def test_a_new_and_a_changed_file_change_the_digest(spec: DatasetSpec, scans: Path) -> None:
    digests = {take_inventory(of_folder(spec, scans), scans).digest}
    (scans / "2.dcm").write_bytes(b"two")
    digests.add(take_inventory(of_folder(spec, scans), scans).digest)
    (scans / "2.dcm").write_bytes(b"three")
    digests.add(take_inventory(of_folder(spec, scans), scans).digest)
    assert len(digests) == 3


def test_an_absent_and_an_empty_folder_are_refused_with_what_to_do(spec: DatasetSpec, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not there .+ expected scans: check the path"):
        take_inventory(spec, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="is empty, expected scans: check the path"):
        take_inventory(spec, tmp_path / "empty")


def test_a_phantom_is_written_once_and_again_when_it_was_harmed(spec: DatasetSpec, tmp_path: Path) -> None:
    folder = tmp_path / "sources" / spec.name
    first = write_phantom(spec, folder, "key")
    assert write_phantom(spec, folder, "key") == first
    next(folder.rglob("*.dcm")).unlink()
    mended = write_phantom(spec, folder, "key")
    assert mended.files == first.files
    assert mended.size_bytes == first.size_bytes
    assert write_phantom(spec, folder, "another key").digest != mended.digest
