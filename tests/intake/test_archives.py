"""ZIP and tar files among the scans: their files are taken; one that is amiss is refused as a whole."""

import bz2
import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from synthdata.intake import case_shards, inspect, inventory, listing, packing, take_in, units, unpacking
from synthdata.records import digest_of
from synthdata.spec import Source


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


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:bz2", "w:xz", "zst", "nested"])
def test_files_in_an_archive_of_any_name_are_taken_as_those_beside_it(
    build, scans, private, tmp_path, kind
) -> None:
    study(build, scans, 1)
    members = {f"deep/{path.name}": path.read_bytes() for path in study(build, tmp_path / "packed", 2)}
    if kind == "zip":
        zipped(scans / "export", members)
    elif kind == "nested":
        tarred(tmp_path / "inner", members, "w:gz")
        zipped(tmp_path / "middle", {"inner.tgz": (tmp_path / "inner").read_bytes()})
        zipped(scans / "export", {"middle.zip": (tmp_path / "middle").read_bytes()})
    elif kind == "zst":
        tarred(tmp_path / "plain", members, "w")
        with pa.output_stream(str(scans / "export"), compression="zstd") as writer:
            writer.write((tmp_path / "plain").read_bytes())
    else:
        tarred(scans / "export", members, kind)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted, report.seen) == (2, 6, 6)
    assert digest_of(take_in(build.spec(), scans, private, pseudonym_key=build.key)) == digest_of(report)
    assert inspect(scans).accepted == 6


def nest(path: Path, data: bytes) -> None:
    """Archives within archives: four of one size, or one below the other."""
    zipped(path, {"a": data})
    if len(data) > 1:
        zipped(path, {f"{index}.zip": path.read_bytes() for index in range(4)})
        return
    for _ in range(4):
        zipped(path, {"inner.zip": path.read_bytes()})


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
    elif how.startswith("nested"):
        nest(path, data if how == "nested bomb" else b"1")
    elif how in CLOSED:
        path.write_bytes(CLOSED[how])
    elif how == "cut":
        zipped(path, {"a": bytes(range(256)) * 99})
        path.write_bytes(path.read_bytes()[:200])
    elif how == "deflate64":
        zipped(path, {"a": b"1"})
        packed = bytearray(path.read_bytes())
        packed[packed.index(b"PK\x01\x02") + 10] = packed[8] = 9
        path.write_bytes(packed)
    elif how == "locked":
        zipped(path, {"a": b"1"})
        packed = bytearray(path.read_bytes())
        for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            packed[packed.index(magic) + flags] |= 1
        path.write_bytes(packed)


CLOSED = {
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(99),
    "rar": b"Rar!\x1a\x07\x01\0" + bytes(99),
    "disc": bytes(0x8001) + b"CD001" + bytes(99),
}
SPOILED = {
    "bomb": "archive.bomb",
    "deflate64": "archive.other_kind",
    "nested bomb": "archive.bomb",
    **dict.fromkeys(CLOSED, "archive.other_kind"),
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
    monkeypatch.setattr(unpacking, "ALWAYS_ALLOWED_BYTES", 10_000_000)
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
    assert packing.archive_kind(tmp_path / "a.npz") == ""
    assert inspect(tmp_path).accepted == 1


def test_one_compressed_image_is_taken_and_a_name_longer_than_the_disk_takes(
    build, scans, private, tmp_path
) -> None:
    paths = study(build, tmp_path / "packed", 1)
    for path, packed in zip(paths, (gzip.compress, bz2.compress, gzip.compress), strict=True):
        (scans / f"{path.name}.packed").write_bytes(packed(path.read_bytes()))
    long = {f"{'series-' * 60}{path.name}": path.read_bytes() for path in study(build, tmp_path / "long", 2)}
    zipped(scans / "long.zip", long)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted, report.seen) == (2, 6, 6)


@pytest.fixture
def unpackings(monkeypatch) -> list[str]:
    """Names of the archives that were unpacked; files that were written a moment ago count as settled."""
    names: list[str] = []
    original = unpacking._unpacked
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))
    monkeypatch.setattr(
        unpacking, "_unpacked", lambda path, *rest: (names.append(path.name), original(path, *rest))[1]
    )
    return names


def test_an_unchanged_archive_is_not_unpacked_and_a_new_one_costs_itself(
    build, scans, private, tmp_path, unpackings, monkeypatch
) -> None:
    for patient in range(1, 5):
        paths = study(build, tmp_path / f"packed{patient}", patient)
        zipped(scans / f"study-{patient}.zip", {path.name: path.read_bytes() for path in paths})
    last = scans / "study-4.zip"
    last.rename(tmp_path / "later.zip")
    spoiled(scans / "bad.zip", "locked")
    first = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (first.cases.cases, first.refused) == (3, 1)
    assert sorted(unpackings) == ["bad.zip", "study-1.zip", "study-2.zip", "study-3.zip"]
    unpackings.clear()
    (tmp_path / "later.zip").rename(last)
    reads: list[Path] = []
    original = inventory.read_file
    monkeypatch.setattr(inventory, "read_file", lambda path: (reads.append(path), original(path))[1])
    second = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (second.cases.cases, second.refused) == (4, 1)
    assert unpackings == ["study-4.zip"]
    assert len(reads) == 2 * 3  # once to judge, once for the pixels
    whole = take_in(build.spec(), scans, type(private)(tmp_path / "whole"), pseudonym_key=build.key)
    assert digest_of(whole) == digest_of(second)


def test_a_file_of_a_known_archive_is_unpacked_when_it_is_needed(
    build, scans, private, tmp_path, unpackings
) -> None:
    """A study of which one slice comes later lies half in an archive that was not unpacked again."""
    paths = study(build, tmp_path / "packed", 1)
    zipped(scans / "study.zip", {path.name: path.read_bytes() for path in paths[:2]})
    take_in(build.spec(), scans, private, pseudonym_key=build.key)
    unpackings.clear()
    (scans / "late.dcm").write_bytes(paths[2].read_bytes())
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted, unpackings) == (1, 3, ["study.zip"])


def test_an_archive_that_changed_is_judged_anew(build, scans, private, tmp_path, unpackings) -> None:
    members = {path.name: path.read_bytes() for path in study(build, tmp_path / "packed", 1)}
    zipped(scans / "study.zip", members)
    take_in(build.spec(), scans, private, pseudonym_key=build.key)
    found = (scans / "study.zip").stat()
    with zipfile.ZipFile(scans / "study.zip", "a") as archive:
        archive.comment = b"Jane Doe 12.03.1961"
    os.utime(scans / "study.zip", ns=(found.st_atime_ns, found.st_mtime_ns))
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.accepted, codes(report)) == (0, {"deid.archive_text": 3})


def test_processes_which_share_the_building_unpack_a_known_archive_once(
    build, scans, private, tmp_path, monkeypatch
) -> None:
    """Another table of records: all cases are built anew, of files that no process has unpacked yet."""
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))
    monkeypatch.setattr(units, "SHARD_CASES", 2)
    members = {
        path.name: path.read_bytes()
        for patient in range(8)
        for path in study(build, tmp_path / "packed", patient)
    }
    zipped(scans / "export.zip", members)
    changes = {"clinical": (build.age,), "source": Source(kind="folder", uri="-", clinical="clinical.csv")}

    def taken(age: int, store) -> object:
        rows = "".join(f"PAT-{patient},{age}\n" for patient in range(8))
        (scans / "clinical.csv").write_text(f"patient,age\n{rows}")
        return take_in(build.spec(**changes), scans, store, pseudonym_key=build.key)

    taken(40, private)
    monkeypatch.setattr(case_shards, "BYTES_PER_WORKER", 1)
    monkeypatch.setenv("SYNTHDATA_WORKERS", "2")
    report = taken(50, private)
    assert (report.cases.cases, report.accepted) == (8, 25)
    assert digest_of(report) == digest_of(taken(50, type(private)(tmp_path / "whole")))
