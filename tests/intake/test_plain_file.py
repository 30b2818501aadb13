"""The reader of plain files finds what pydicom finds, in clean, planted and damaged files."""

import io
import os
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import JPEGLSLossless, RLELossless

from synthdata.intake import plain_file
from synthdata.intake.dicom_file import quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.header import Header, PlainHeader
from synthdata.intake.hidden_bytes import LONG_VRS
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.likeness import Likeness
from synthdata.intake.pixels import stored_slices
from synthdata.intake.plain_file import PlainReader
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.strict_walk import fills
from synthdata.phantom import write_cohort

from .planter import PLANTS

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from fuzz_intake import mutated


class NothingPlain(PlainReader):
    """Leaves all files to pydicom."""

    def read(self, data: bytes) -> None:  # type: ignore[override]
        return None


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clean")
    write_cohort(folder, patients=1, seed=1)
    paths = sorted(folder.rglob("*.dcm"))
    return [*paths[:3], *paths[-3:]]


def looked_at(data: bytes, judge: ElementJudge) -> tuple[set[str], set[str], object]:
    seen, book = SeenFile(Path("scan.dcm"), "", len(data)), Inventory()
    with quiet_parsers():
        instance = read_instance(
            seen, data, judge=judge, names=Pseudonyms(bytes(32)), inventory=book, body_part=""
        )
    told = None
    if instance is not None:
        told = {name: getattr(instance, name) for name in instance.__slots__ if name != "seen"}
        told["pixels"] = replace(instance.pixels, jpeg_ls_at=-1)  # a short cut of plain files alone
    return seen.reasons, book.broken, told


@pytest.fixture(scope="module")
def judges() -> tuple[ElementJudge, ElementJudge]:
    plain, other = ElementJudge(), ElementJudge()
    other.reader = NothingPlain()
    return plain, other


def test_files_of_the_phantom_are_plain_and_found_again_by_their_bytes(clean) -> None:
    reader = PlainReader()
    first, second = (reader.read(clean[0].read_bytes()) for _ in range(2))
    assert first is not None
    assert second is not None
    dataset = dcmread(io.BytesIO(clean[0].read_bytes()))
    assert list(first.attributes) == [int(tag) for tag in dataset.keys()]  # noqa: SIM118
    assert first.pixels_at == dataset.get_item("PixelData").value_tell
    assert all(second.attributes[tag] is one for tag, one in first.attributes.items() if tag != 0x7FE00010)


@pytest.mark.parametrize("kind", PLANTS)
def test_planted_files_are_judged_as_pydicom_reads_them(kind, clean, judges, tmp_path) -> None:
    path = tmp_path / "scan.dcm"
    shutil.copy(clean[0], path)
    PLANTS[kind](path)
    data = next(found for found in tmp_path.rglob("*") if found.is_file()).read_bytes()
    assert looked_at(data, judges[0]) == looked_at(data, judges[1])


def test_mutated_files_are_judged_as_pydicom_reads_them(clean, judges) -> None:
    whole = [path.read_bytes() for path in clean]
    for data in [*whole, *mutated(whole, 300, np.random.default_rng(3))]:
        assert looked_at(data, judges[0]) == looked_at(data, judges[1])


def test_a_file_of_the_same_size_as_the_last_one_is_judged_as_pydicom_reads_it(clean, judges) -> None:
    whole, rng = clean[0].read_bytes(), np.random.default_rng(4)
    for place in rng.integers(0, min(len(whole), 3000), size=300):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        looked_at(whole, judges[0])  # what the next one resembles
        assert looked_at(bytes(changed), judges[0]) == looked_at(bytes(changed), judges[1])


def test_slices_of_a_mutated_series_are_judged_one_after_another_as_pydicom_reads_each(clean, judges) -> None:
    slices, rng = [path.read_bytes() for path in clean[:3]], np.random.default_rng(5)
    for number in range(1200):
        data = otherwise(slices[number % 3], rng)
        assert looked_at(data, judges[0]) == looked_at(data, judges[1])


@pytest.fixture(scope="module", params=[JPEGLSLossless, RLELossless], ids=["jpeg-ls", "rle"])
def coded(request, clean) -> list[bytes]:
    return [compressed(path, request.param) for path in clean[:3]]


def compressed(path: Path, syntax: str, **values: object) -> bytes:
    dataset, buffer = dcmread(path), io.BytesIO()
    dataset.update(values)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_mutated_files_with_coded_pixels_are_judged_as_pydicom_reads_them(coded, judges) -> None:
    rng, reader = np.random.default_rng(7), PlainReader()
    assert all(reader.read(data) is not None for data in coded)
    series = [otherwise(coded[number % 3], rng) for number in range(300)]
    for data in [*coded, *series, *mutated(coded, 300, rng), *map(bytes, ends_changed(coded[0]))]:
        assert looked_at(data, judges[0]) == looked_at(data, judges[1])


def ends_changed(data: bytes) -> list[bytes]:
    """Items which are cut off, too long, or followed by something."""
    return [data[:-8], data[:-4], data + b"\0\0", data[:-8] + b"\0\0" + data[-8:], data[:-8] + data[-8:] * 2]


@pytest.mark.parametrize("signed", [0, 1])
def test_jpeg_ls_is_decoded_by_the_codec_alone_as_pydicom_decodes_it(clean, judges, signed) -> None:
    rng = np.random.default_rng(8)
    whole = compressed(clean[0], JPEGLSLossless, PixelRepresentation=signed, BitsStored=12, HighBit=11)
    start, decoded = len(whole) // 3, 0
    for number in range(80):
        data = bytearray(whole)
        if number:
            data[int(rng.integers(start, len(data)))] ^= 1 << int(rng.integers(8))
        seen = SeenFile(Path("scan.dcm"), "", len(data))
        with quiet_parsers():
            instance = read_instance(
                seen,
                bytes(data),
                judge=judges[0],
                names=Pseudonyms(bytes(32)),
                inventory=Inventory(),
                body_part="",
            )
            if instance is None:
                continue
            assert number or instance.pixels.jpeg_ls_at > 0
            other = replace(instance, pixels=replace(instance.pixels, jpeg_ls_at=-1))
            one, two = (stored_slices(item, bytes(data), item.frames) for item in (instance, other))
        assert (one is None) == (two is None)
        assert one is None or (np.array_equal(one, two) and one.dtype == two.dtype)
        decoded += one is not None
    assert decoded > 5


def otherwise(data: bytes, rng: np.random.Generator) -> bytes:
    """A file in which some attributes have other values, of the same or another length, or are left out."""
    dataset, end, parts = dcmread(io.BytesIO(data)), 0, []
    elements = [element for element in dataset.values() if isinstance(element, RawDataElement)]
    others = {
        int(tag) for tag in rng.choice([int(one.tag) for one in elements[:-1]], int(rng.integers(1, 4)))
    }
    for element in elements:
        start = element.value_tell - (12 if element.VR in LONG_VRS else 8)
        parts.append(data[end:start])  # what lies between: sequences
        end = element.value_tell + element.length
        whole = data[start:end]
        if int(element.tag) in others:
            whole = b"" if rng.random() < 0.1 else with_value(whole, whole[element.value_tell - start :], rng)
        parts.append(whole)
    return b"".join([*parts, data[end:]])


def with_value(whole: bytes, old: bytes, rng: np.random.Generator) -> bytes:
    """An attribute with another value."""
    values = [old + b"0 ", old[:-2], b"1.2.20190304", b"20190304", b"Anna Meyer", b"-1e3\\.5\\ 7. ", b"YES "]
    values += [
        bytes(rng.integers(32, 127, len(old), np.uint8)),
        b"2.25.01",
        b"1.2.3\0",
        b"",
        b"9",
        b"0\\9",
        b"HEAD",
    ]
    head, new = whole[: len(whole) - len(old)], values[int(rng.integers(len(values)))]
    kind = "<I" if len(head) == 12 else "<H"
    return head[: -struct.calcsize(kind)] + struct.pack(kind, len(new)) + new


def test_steps_are_taken_once_for_what_they_ask_for_and_again_for_another_answer(clean) -> None:
    reader, likeness, taken = PlainReader(), Likeness(), []

    def rows(header: Header) -> str:
        taken.append(header)
        return str(header.get("Rows"))

    whole, other = clean[0].read_bytes(), dcmread(clean[0])
    other.Rows += 1
    buffer = io.BytesIO()
    other.save_as(buffer)
    headers = [PlainHeader(reader.read(data), data) for data in (whole, whole, buffer.getvalue(), whole)]
    said = [likeness.of("rows", rows, header) for header in headers]
    assert said == [str(header["Rows"]) for header in headers]
    assert len(taken) == 2


def test_a_step_that_may_ask_for_everything_is_taken_each_time(clean) -> None:
    reader, likeness, taken = PlainReader(), Likeness(), []
    data = clean[0].read_bytes()
    for _ in range(3):
        header = PlainHeader(reader.read(data), data)
        likeness.of("all", lambda header: taken.append(header) or len(header.dataset), header)
    assert len(taken) == 3


def test_a_file_that_was_changed_behind_its_times_is_noticed(tmp_path) -> None:
    path, book = tmp_path / "scan.dcm", Inventory()
    path.write_bytes(b"one")
    seen, _ = book.add(path)
    seen.read_ns += 10_000_000_000  # as if it had lain there for long
    assert book.reread(seen) == b"one"
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert book.reread(seen) is None
    assert "file.changed" in seen.reasons


def test_another_file_moved_to_the_place_with_the_same_times_is_noticed(tmp_path) -> None:
    path, other, book = tmp_path / "scan.dcm", tmp_path / "other.dcm", Inventory()
    path.write_bytes(b"one")
    seen, _ = book.add(path)
    seen.read_ns += 10_000_000_000
    times = path.stat()
    other.write_bytes(b"two")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert book.reread(seen) is None
    assert "file.changed" in seen.reasons


def test_a_file_that_was_moved_and_is_the_same_is_read_by_its_digest(tmp_path) -> None:
    path, book = tmp_path / "scan.dcm", Inventory()
    path.write_bytes(b"one")
    seen, _ = book.add(path)
    seen.read_ns += 10_000_000_000
    (tmp_path / "copy.dcm").write_bytes(b"one")
    (tmp_path / "copy.dcm").replace(path)
    assert book.reread(seen) == b"one"
    assert not seen.reasons


def test_what_is_remembered_of_files_like_each_other_is_bounded(clean, monkeypatch) -> None:
    monkeypatch.setattr(plain_file, "MOST_REMEMBERED", 8)
    reader, data = PlainReader(), clean[0].read_bytes()
    at = data.index(b"\x20\0\x13\0IS") + 8  # Instance Number
    for number in range(40):
        value = b"%02d" % number
        assert reader.read(data[: at - 2] + b"\2\0" + value + data[at + data[at - 2] :]) is not None
        assert len(reader._known) <= 8


def test_an_attribute_that_leaves_its_item_leaves_a_gap_however_long_it_says_to_be() -> None:
    def item(length: int) -> bytes:
        text = struct.pack("<HH2sH", 0x0008, 0x0104, b"LO", length) + b"Brain "
        inside = struct.pack("<HHI", 0xFFFE, 0xE000, len(text)) + text
        return struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, len(inside)) + inside

    behind = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 2) + b"A "
    kind = {"implicit": False, "little": True}
    assert fills(item(6) + behind, **kind)
    assert not fills(item(10) + behind, **kind)
    assert not fills(item(0xFF00) + behind, **kind)  # beyond the file, too
    assert fills((item(6) + behind)[:-1], **kind)  # the parser tells of a file that is cut short
