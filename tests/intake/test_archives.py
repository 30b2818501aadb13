"""ZIP and tar files among the scans: their files are taken, and what is no plain archive is refused as a whole."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from synthdata.intake import archives, inspect, take_in
from synthdata.records import digest_of


def study(build, folder: Path, patient: int) -> list[Path]:
    grid = build.grid(shape_zyx=(3, 8, 6))
    return build.write(folder, build.series(f"PAT-{patient}", grid, seed=patient), f"{patient}-")


def zipped(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def tarred(path: Path, members: dict[str, bytes], mode: str) -> None:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_files_in_an_archive_of_any_name_are_taken_as_those_beside_it(
    build, scans, private, tmp_path, kind
) -> None:
    study(build, scans, 1)
    members = {f"deep/{path.name}": path.read_bytes() for path in study(build, tmp_path / "packed", 2)}
    if kind == "zip":
        zipped(scans / "export", members)
    else:
        tarred(scans / "export", members, kind)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted, report.seen) == (2, 6, 6)
    assert digest_of(take_in(build.spec(), scans, private, pseudonym_key=build.key)) == digest_of(report)
    assert inspect(scans).accepted == 6


def spoiled(path: Path, how: str) -> None:
    """An archive which must not be unpacked."""
    data = b"\0" * 4_000_000
    if how == "bomb":
        zipped(path, {f"{index}": data for index in range(4)})
    elif how == "outside":
        zipped(path, {"good.dcm": b"1", "../../evil": b"2"})
    elif how == "absolute":
        tarred(path, {"/tmp/evil": b"2"}, "w")
    elif how == "windows":
        zipped(path, {"C:\\evil": b"2"})
    elif how == "link":
        with tarfile.open(path, "w:gz") as archive:
            item = tarfile.TarInfo("link")
            item.type, item.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(item)
    elif how == "nested":
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("a", b"1")
        zipped(path, {"inner.zip": inner.getvalue()})
    elif how == "cut":
        zipped(path, {"a": bytes(range(256)) * 99})
        path.write_bytes(path.read_bytes()[:200])
    elif how == "locked":
        zipped(path, {"a": b"1"})
        packed = bytearray(path.read_bytes())
        for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            packed[packed.index(magic) + flags] |= 1
        path.write_bytes(packed)


SPOILED = {
    "bomb": "archive.bomb",
    "outside": "archive.unsafe",
    "absolute": "archive.unsafe",
    "windows": "archive.unsafe",
    "link": "archive.unsafe",
    "nested": "archive.nested",
    "cut": "archive.damaged",
    "locked": "archive.locked",
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_no_plain_archive_is_refused_as_a_whole_and_the_rest_is_taken(
    build, scans, private, monkeypatch, how
) -> None:
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED_BYTES", 10_000_000)
    study(build, scans, 1)
    spoiled(scans / "export.dat", how)
    before = set(scans.parent.iterdir())
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.accepted, report.refused, report.seen) == (3, 1, 4)
    assert codes(report) == {SPOILED[how]: 1}
    assert codes(inspect(scans)) == codes(report)
    assert set(scans.parent.iterdir()) - before <= {private.root}


def test_an_npz_file_is_a_scan_and_no_archive(tmp_path) -> None:
    import numpy as np

    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4)))
    assert archives.archive_kind(tmp_path / "a.npz") == ""
    assert inspect(tmp_path).accepted == 1
