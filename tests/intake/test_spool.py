"""Archives that were known and are asked for once more, by then gone or another one."""

import zipfile
from pathlib import Path

import pytest

from synthdata.intake import inventory, listing, take_in, taking, unpacking
from synthdata.intake.listing import Entry, stamp_of
from synthdata.intake.spool import Spool, restore
from synthdata.storage.scratch import PREFIX


def zipped(path: Path, files: list[Path]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return path


def study(build, folder: Path, patient: int) -> list[Path]:
    grid = build.grid(shape_zyx=(3, 8, 6))
    return build.write(folder, build.series(f"PAT-{patient}", grid, seed=patient), f"{patient}-")


def test_an_archive_that_goes_while_it_is_needed_ends_no_intake(
    build, scans, private, tmp_path, monkeypatch
) -> None:
    """Its files were known; now their pixels are asked for, and the archive is no longer there."""
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))
    paths = study(build, tmp_path / "packed", 1)
    zipped(scans / "study.zip", paths[:2])
    take_in(build.spec(), scans, private, pseudonym_key=build.key)
    (scans / "late.dcm").write_bytes(paths[2].read_bytes())
    study(build, scans, 2)
    original = taking.survey

    def survey_before_it_goes(*args, **options):
        found = original(*args, **options)
        (scans / "study.zip").unlink()
        return found

    monkeypatch.setattr(taking, "survey", survey_before_it_goes)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted) == (1, 3)
    assert "file.changed" in {reason.code for reason in report.reasons}


def test_an_archive_that_is_another_one_now_is_not_unpacked_for_each_of_its_files(
    build, scans, tmp_path, monkeypatch
) -> None:
    opened: list[Path] = []
    original = unpacking._unpacked
    monkeypatch.setattr(
        unpacking, "_unpacked", lambda path, *rest: (opened.append(path), original(path, *rest))[1]
    )
    archive = zipped(scans / "study.zip", study(build, tmp_path / "packed", 1))
    spool = Spool(tmp_path / f"{PREFIX}1")
    spool.root.mkdir()
    spool.promise(0, Entry(archive, archive.name, stamp_of(archive.stat())), "zip")
    archive.write_bytes(archive.read_bytes() + b" ")
    assert not any(restore(spool.root / "0" / f"{number}" / "1.dcm") for number in range(3))
    assert opened == []


def test_an_archive_on_a_disk_that_fails_is_refused_and_the_others_are_taken(
    build, scans, private, tmp_path, monkeypatch
) -> None:
    for patient in (1, 2):
        (scans / f"{patient}").mkdir()
        zipped(scans / f"{patient}" / "study.zip", study(build, tmp_path / "packed", patient))
    original = unpacking._zip_members

    def members(path: Path):
        if path.parent.name == "1":
            raise OSError(5, "Input/output error")
        return original(path)

    monkeypatch.setattr(unpacking, "_zip_members", members)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted, report.seen) == (1, 3, 4)
    assert [reason.code for reason in report.reasons] == ["file.unreadable"]


@pytest.mark.parametrize("start", [".", "/"])
def test_a_link_that_leads_nowhere_is_a_file_that_cannot_be_read_wherever_the_source_lies(
    start, tmp_path, monkeypatch
) -> None:
    """Two folders above the file there is none that has a name."""
    monkeypatch.chdir(tmp_path)
    assert inventory.read_file(Path(start) / "scan-that-is-gone.dcm")[2] == "file.unreadable"
