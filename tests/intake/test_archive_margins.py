"""What an archive holds beside its files tells of a person as well: its files are held back then."""

import bz2
import gzip
import io
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from synthdata.intake import inspect, take_in
from synthdata.intake.deny_list import DenyList
from synthdata.intake.policy import Policy

NAME = "Jane Doe 12.03.1961"
PLANTED = NAME.encode()
TEXT, HIDDEN = {"deid.archive_text"}, {"deid.hidden_bytes"}


@pytest.fixture
def members(build, tmp_path) -> dict[str, bytes]:
    """A clean series of three slices."""
    grid = build.grid(shape_zyx=(3, 8, 6))
    paths = build.write(tmp_path / "packed", build.series("PAT-1", grid))
    return {path.name: path.read_bytes() for path in paths}


def zipped(
    members: dict[str, bytes], *, comment: bytes = b"", extra: bytes = b"", of_each: bytes = b""
) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.comment = comment
        for name, data in members.items():
            item = zipfile.ZipInfo(name)
            item.comment = of_each
            item.extra = struct.pack("<HH", 0x9999, len(extra)) + extra if extra else b""
            archive.writestr(item, data)
    return packed.getvalue()


def tarred(members: dict[str, bytes], *, headers: dict[str, str] | None = None, **facts: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
        for name, data in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            for fact, value in facts.items():
                setattr(item, fact, value)
            archive.addfile(item, io.BytesIO(data))
    return packed.getvalue()


def with_folder(members: dict[str, bytes], kind: str) -> bytes:
    """An empty folder beside the files."""
    packed = io.BytesIO(zipped(members) if kind == "zip" else tarred(members))
    if kind == "zip":
        with zipfile.ZipFile(packed, "a") as archive:
            archive.mkdir("Doe_Jane")
    else:
        with tarfile.open(fileobj=packed, mode="a") as archive:
            item = tarfile.TarInfo("Doe_Jane")
            item.type = tarfile.DIRTYPE
            archive.addfile(item)
    return packed.getvalue()


def with_local_field(data: bytes) -> bytes:
    """A field that stands in the header before a member alone, and not in the central directory."""
    planted = bytearray(data)
    at = planted.index(b"\x99\x99", planted.index(b"PK\x01\x02"))
    while at >= 0:
        planted[at + 4 : at + 4 + len(PLANTED)] = b"x" * len(PLANTED)
        at = planted.find(b"\x99\x99", at + 4)
    return bytes(planted)


def with_gap(data: bytes) -> bytes:
    """A member that was taken out of the directory, and is there still."""
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("gone.txt", PLANTED)
        archive.infolist().pop()
        archive._didModify = True  # writes the directory once more
        del archive.NameToInfo["gone.txt"]
    return packed.getvalue()


def packed_as(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(filename=name, fileobj=packed, mode="wb") as writer:
        writer.write(data)
    return packed.getvalue()


def commented(data: bytes) -> bytes:
    """A gzip file with a comment. Source: RFC 1952, 2.3.1."""
    packed = gzip.compress(data)
    return packed[:3] + bytes([16]) + packed[4:10] + PLANTED + b"\0" + packed[10:]


PLANTS = {
    "comment of a zip": (lambda files: zipped(files, comment=PLANTED), TEXT),
    "comment of a member": (lambda files: zipped(files, of_each=PLANTED), TEXT),
    "extra field of a member": (lambda files: zipped(files, extra=PLANTED), TEXT),
    "local field": (lambda files: with_local_field(zipped(files, extra=PLANTED)), TEXT),
    "behind a zip": (lambda files: zipped(files) + PLANTED, HIDDEN),
    "between members": (lambda files: with_gap(zipped(files)), HIDDEN),
    "folder of a zip": (lambda files: with_folder(files, "zip"), TEXT),
    "folder of a tar": (lambda files: with_folder(files, "tar"), TEXT),
    "owner of a tar": (lambda files: tarred(files, uname="Jane Doe"), TEXT),
    "group of a tar": (lambda files: tarred(files, gname="Doe^Jane"), TEXT),
    "header of a tar": (lambda files: tarred(files, headers={"comment": NAME}), TEXT),
    "attribute of a tar": (lambda files: tarred(files, headers={"SCHILY.xattr.user.note": NAME}), TEXT),
    "behind a tar": (lambda files: tarred(files) + PLANTED, HIDDEN),
    "name in gzip": (lambda files: packed_as("Jane_Doe.tar", tarred(files)), TEXT),
    "comment in gzip": (lambda files: commented(tarred(files)), TEXT),
    "behind a compressed tar": (lambda files: bz2.compress(tarred(files)) + PLANTED, TEXT),
}


@pytest.mark.parametrize("where", PLANTS)
def test_a_name_beside_the_files_of_an_archive_holds_them_back(build, scans, private, members, where) -> None:
    plant, wanted = PLANTS[where]
    (scans / "export").write_bytes(plant(members))
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.seen, report.quarantined) == (3, 3)
    assert {reason.code for reason in report.reasons} == wanted
    assert {reason.code for reason in inspect(scans).reasons} == wanted
    kept = b"".join(private.read(key) for key in private.keys("") if "/quarantine/" not in key)
    assert PLANTED not in kept


def test_an_entry_of_the_deny_list_is_found_beside_the_files(scans, members) -> None:
    (scans / "export").write_bytes(tarred(members, uname="kestrel"))
    assert inspect(scans).accepted == 3
    assert inspect(scans, policy=Policy(deny=DenyList(["Kestrel"]))).quarantined == 3


CLEAN = {
    "comment": lambda files: zipped(files, comment=b"T1w series, de-identified export"),
    "owner": lambda files: tarred(files, uname="martin", gname="staff"),
    "header": lambda files: tarred(files, headers={"comment": "exported"}),
    "time": lambda files: zipped(files, extra=struct.pack("<L", 0x65000000)),
}


@pytest.mark.parametrize("what", CLEAN)
def test_what_programs_write_beside_files_passes(scans, members, what) -> None:
    (scans / "export").write_bytes(CLEAN[what](members))
    assert inspect(scans).accepted == 3


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "oldgnu", "v7"])
def test_archives_of_the_usual_programs_pass(scans, members, tmp_path, form) -> None:
    folder = tmp_path / "packed" / "a-long-name-of-a-folder" / "one-more"
    folder.mkdir(parents=True)
    for name in members:
        (tmp_path / "packed" / name).rename(folder / name)
    command = ["tar", f"--format={form}", "-cf", str(scans / "export"), "-C", str(tmp_path / "packed"), "."]
    subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin"})
    assert inspect(scans).accepted == 3


def test_a_streamed_zip_passes(scans, members) -> None:
    """Sizes stand behind the members, as in what comes from a pipe."""

    class Pipe:
        def __init__(self, path: Path) -> None:
            self.writer = path.open("wb")

        def write(self, data: bytes) -> int:
            return self.writer.write(data)

        def flush(self) -> None:
            self.writer.flush()

    pipe = Pipe(scans / "export.zip")
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    pipe.writer.close()
    assert inspect(scans).accepted == 3
