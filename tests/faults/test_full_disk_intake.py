"""A disk that is full while scans are taken in: a sentence, nothing lost, and the next try goes on."""

import re
import tempfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from synthdata.errors import StoreError
from synthdata.intake import inspect, listing, take_in
from synthdata.intake.quarantine import held_files
from synthdata.records.intake import IntakeReport
from synthdata.records.parquet import read_cases
from synthdata.storage.folder import PARTIAL, FolderStore
from tests.faults.conftest import Disk
from tests.faults.disks import pages_of
from tests.intake.conftest import KEY, make_series, make_spec, write

FULL = r"^the disk is full at .+ \(No space left on device\), expected room for it: free some space and run it again"
PATIENTS = 12


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Patients of whom every fourth has a name in a text, and is held."""
    folder = tmp_path / "scans"
    for number in range(PATIENTS):
        datasets = make_series(f"PAT-{number}", seed=number)
        if number % 4 == 0:
            datasets[0].Manufacturer = "Dr. Quorlwick"
        write(folder, datasets, f"{number}-")
    return folder


def taken(scans: Path, root: Path) -> tuple[IntakeReport, FolderStore]:
    store = FolderStore(root / "private")
    return take_in(make_spec(), scans, store, pseudonym_key=KEY), store


def stopping(scans: Path, root: Path) -> str:
    """The sentence with which an intake stops; empty where all fits."""
    try:
        taken(scans, root)
    except StoreError as error:
        return str(error)
    return ""


def files_of(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_an_intake_goes_on_when_there_is_room(scans: Path, disk: Disk, tmp_path: Path) -> None:
    """Sizes at which shards, held files, their list, and what is remembered do not fit."""
    wanted, undisturbed = taken(scans, tmp_path / "undisturbed")
    assert (wanted.quarantined, wanted.cases.cases) == (3 * 5, 9)
    whole, stopped = pages_of(undisturbed.root), 0
    for pages in range(1, whole + 2, 2):
        with disk(pages) as place:
            sentence = stopping(scans, place.root)
            stopped += bool(sentence)
            assert not sentence or re.match(FULL, sentence)
            assert not [name for name in files_of(place.root) if name.startswith(PARTIAL)]
            place.grow()
            report, store = taken(scans, place.root)
            assert report == wanted
            assert held_files(store, "intake-test") == held_files(undisturbed, "intake-test")
            assert len({case.case_id for case in read_cases(store, report.cases)}) == 9
    assert stopped > 8


def test_a_full_temporary_folder_is_named(
    scans: Path, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where archives are unpacked; the source and the store stay as they are."""
    packed = tmp_path / "packed"
    packed.mkdir()
    with ZipFile(packed / "scans.zip", "w") as archive:
        for path in scans.iterdir():
            archive.write(path, path.name)
    with disk(3) as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place.root))
        for look in (lambda: taken(packed, tmp_path), lambda: inspect(packed)):
            with pytest.raises(StoreError, match=r"the disk is full at the temporary folder \(TMPDIR\)"):
                look()
            assert files_of(place.root) == files_of(tmp_path / "private") == []
        place.grow()
        assert taken(packed, tmp_path)[0].cases.cases == 9


def test_a_known_archive_that_cannot_be_unpacked_again_stops_the_run_and_is_no_bad_scan(
    scans: Path, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))
    packed = tmp_path / "packed"
    packed.mkdir()
    *early, late = sorted(scans.glob("1-*"))
    with ZipFile(packed / "scans.zip", "w") as archive:
        for path in (*early, *scans.glob("2-*")):
            archive.write(path, path.name)
    assert taken(packed, tmp_path)[0].cases.cases == 2
    (packed / late.name).write_bytes(late.read_bytes())
    with disk(3) as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place.root))
        with pytest.raises(StoreError, match=r"the disk is full at the temporary folder \(TMPDIR\)"):
            taken(packed, tmp_path)
        assert files_of(place.root) == []
        place.grow()
        report, _ = taken(packed, tmp_path)
    assert (report.cases.cases, report.accepted, report.refused) == (2, 10, 0)
