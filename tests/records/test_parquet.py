"""Shards: the same cases come back by either reader, whatever the layout of the file."""

import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthdata.errors import IntegrityError, RecordError
from synthdata.records import Case, CaseSet, parquet
from synthdata.records.parquet import commit_shard, read_file, read_paths, read_shard, write_shard
from synthdata.storage.commit import sha256_of
from synthdata.storage.folder import FolderStore
from tests.release.builders import COLUMNS, GRID, LABELS, ellipsoids

CASE_SET = CaseSet(
    dataset="ellipsoids", origin="synthetic", channels=("T1w", "CT"), modalities=("MR", "CT"),
    units=("1", "[hnsf'U]"), labels=LABELS, columns=COLUMNS, shards=(),
)  # fmt: skip


def of_two_grids(dtype: type) -> list[Case]:
    """More cases than a row group holds; every third one has a slice less, and some arrays are views of others."""
    found = []
    for number, case in enumerate(ellipsoids(40)):
        image = case.image.astype(dtype)
        if number % 3 == 0:
            grid = replace(case.grid, shape_zyx=(3, *GRID.shape_zyx[1:]))
            found.append(replace(case, image=image[:, 1:], mask=case.mask[1:], grid=grid))
        else:
            found.append(replace(case, image=image[..., ::-1]))
    return found


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("paged", [True, False])
def test_both_readers_give_back_what_was_written(tmp_path: Path, dtype: type, paged: bool) -> None:
    cases, path = of_two_grids(dtype), tmp_path / "shard.parquet"
    write_shard(path, cases, CASE_SET, page_per_array=paged)
    with pq.ParquetFile(path) as file:
        readers = {"tables": list(read_file(file, COLUMNS)), "path": list(read_paths([(path, "")], COLUMNS))}
    for found in readers.values():
        assert len(found) == len(cases)
        for got, want in zip(found, cases, strict=True):
            assert np.array_equal(got.image, want.image)
            assert got.image.dtype == dtype
            assert np.array_equal(got.mask, want.mask)
            assert (got.case_id, got.patient_id, got.grid) == (want.case_id, want.patient_id, want.grid)
            assert (dict(got.record), dict(got.provenance)) == (dict(want.record), dict(want.provenance))


def several_files(folder: Path) -> list[tuple[Path, str]]:
    """Three shards of four cases, with their digests."""
    stream, files = ellipsoids(12), []
    for number in range(3):
        path = folder / f"{number}.parquet"
        write_shard(path, list(islice(stream, 4)), CASE_SET, page_per_array=True)
        files.append((path, sha256_of(path)))
    return files


@pytest.mark.parametrize("whole", [1 << 27, 0])
def test_files_come_in_their_order_and_a_spoilt_one_gives_no_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(parquet, "WHOLE_BYTES", whole)
    files = several_files(tmp_path)
    names = [case.case_id for case in ellipsoids(12)]
    assert [case.case_id for case in read_paths(files, COLUMNS)] == names
    data = bytearray(files[1][0].read_bytes())
    data[len(data) // 2] ^= 1
    files[1][0].write_bytes(data)
    cases, got = read_paths(files, COLUMNS), []
    with pytest.raises(IntegrityError, match=r"1\.parquet"):
        got.extend(case.case_id for case in cases)
    got.extend(case.case_id for case in cases)
    assert got == names[:4]


def test_a_reader_that_is_left_early_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    cases = read_paths(several_files(tmp_path), COLUMNS)
    assert next(cases).case_id == next(iter(ellipsoids(1))).case_id
    assert threading.active_count() == before + 1
    cases.close()
    assert threading.active_count() == before
    assert list(read_paths([], COLUMNS)) == []


@pytest.mark.parametrize("paged", [True, False])
def test_the_same_cases_give_the_same_bytes(tmp_path: Path, paged: bool) -> None:
    cases = of_two_grids(np.int16)
    for name in ("one", "two"):
        write_shard(tmp_path / name, cases, CASE_SET, page_per_array=paged)
        cases = [replace(case, image=case.image.copy(), mask=case.mask.copy()) for case in cases]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_shard_may_hold_more_text_than_voxels(tmp_path: Path, rng: np.random.Generator) -> None:
    cases, store = list(ellipsoids(40)), FolderStore(tmp_path)
    notes = [rng.bytes(60_000).hex() for _ in cases]
    told = [replace(case, provenance={"note": note}) for case, note in zip(cases, notes, strict=True)]
    shard = commit_shard(store, CASE_SET, "intake", told)
    assert shard.size_bytes > sum(case.image.nbytes + case.mask.nbytes for case in cases)
    assert [case.provenance["note"] for case in read_shard(store, CASE_SET, shard)] == notes


def test_page_headers_that_differ_in_more_than_their_sizes_are_parsed_one_by_one() -> None:
    from synthdata.records.pages import _after_sizes, _sizes, _struct

    def header(size: int, packed: int, values: int) -> bytes:
        def zigzag(number: int) -> bytes:
            number, found = number << 1, b""
            while number > 127:
                found, number = found + bytes((number & 127 | 128,)), number >> 7
            return found + bytes((number,))

        data = b"".join(b"\x15" + zigzag(number) for number in (0, size, packed))
        return data + b"\x2c\x15" + zigzag(values) + b"\x15\x00\x15\x06\x15\x06\x00\x00"

    first = header(179204, 60, 1)
    fields, length = _struct(first, 0)
    assert (fields[3], length) == (60, len(first))
    rest = _after_sizes(first, length)
    other = header(100, 70_000, 1)
    assert _sizes(other + b"frame", rest) == (70_000, len(other))
    assert _sizes(header(100, 70_000, 2) + b"frame", rest) == (0, 0)
    assert _sizes(b"\x15\x04\x15\x08", rest) == _sizes(other[:6], rest) == (0, 0)


@pytest.mark.parametrize("what", ["back to itself", "back by a byte", "beyond the column"])
def test_a_page_that_leads_back_or_out_of_its_column_is_refused(tmp_path: Path, what: str) -> None:
    from synthdata.records.pages import _pages, _struct, _unsigned

    path = tmp_path / "shard.parquet"
    write_shard(path, list(ellipsoids(3)), CASE_SET, page_per_array=True)
    meta = pq.read_metadata(path)
    (number,) = (number for number in range(meta.num_columns) if meta.schema.column(number).path == "image")
    chunk, data = meta.row_group(0).column(number), bytearray(path.read_bytes())
    start = chunk.data_page_offset
    length = _struct(data[start : start + 256], 0)[1]
    place = _unsigned(data, start + 3)[1] + 1  # of the compressed size: after the type and the size unpacked
    claimed = {"back to itself": -length, "beyond the column": chunk.total_compressed_size}.get(what, -1)
    rest, width = (claimed << 1) ^ (claimed >> 63), _unsigned(data, place)[1] - place
    for at in range(place, place + width):  # in as many bytes as before
        data[at], rest = rest & 127 | (128 if at + 1 < place + width else 0), rest >> 7
    assert not rest
    with pytest.raises(RecordError, match=f"gives {claimed} bytes"):
        list(islice(_pages(pa.BufferReader(bytes(data)), chunk), 100))
