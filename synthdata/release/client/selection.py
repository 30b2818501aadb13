"""A part of a release, case by case: the wanted ranges of its files, each verified against the signed index.

What comes is written as `selected-*` files in the formats of the release, so that they open in the same tools. The
index holds the digest of every array and of every case's range; `check` compares the selected files with it, offline.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthdata.errors import IntegrityError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.grid import Grid
from synthdata.records.pages import array_of
from synthdata.records.parquet import GRID_FIELDS, read_file, write_shard
from synthdata.release.client.choosing import in_parts
from synthdata.release.client.paths import PART, clear, inside
from synthdata.release.client.remote import Remote, read_range
from synthdata.release.index import SPANNED
from synthdata.release.layout import selected_path
from synthdata.release.spans import END_OF_TAR
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import on_disk

if TYPE_CHECKING:
    import pyarrow as pa

PART_CASES, PART_BYTES = 512, 64 << 20  # of voxels in one selected file
AHEAD = 16  # requests under way
FILE_KEYS = {"dicom": "dicom_file", "nifti": "nifti_file", "fhir": "fhir_file"}

Row = Mapping[str, Any]
Advance = Callable[[int], None]


def selected_bytes(rows: "pa.Table", formats: Sequence[str]) -> int:
    """Bytes that a selection moves, beyond the index and the documents."""
    import pyarrow.compute as pc

    columns = ["image_bytes", "mask_bytes"] if "parquet" in formats else []
    columns += [
        f"{kind}_bytes" for kind in SPANNED if kind in formats and f"{kind}_bytes" in rows.schema.names
    ]
    return sum(pc.sum(rows[name]).as_py() or 0 for name in columns)


def fetch_selection(
    remote: Remote, prefix: str, rows: "pa.Table", case_set: CaseSet, formats: Sequence[str], folder: Path,
    advance: Advance,
) -> tuple[int, int]:  # fmt: skip
    """Fetch the wanted cases and write the selected files; files of an earlier try that are right stay.

    Args:
        remote: The store.
        prefix: Of the release's keys.
        rows: Of the index, which was verified.
        case_set: Channels, labels and columns of the release.
        formats: Wanted ones.
        folder: Target folder.
        advance: Gets the bytes which are done.

    Returns:
        Selected files, and how many of them were written now.

    Raises:
        IntegrityError: The store gives other bytes than it signed; nothing appears under a final name.
        StoreError: The store or the disk fails.
    """
    files = written = 0
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="range") as pool:
        for number, part in enumerate(in_parts(rows, PART_CASES, PART_BYTES)):
            table = part.to_pylist()
            for kind in selected_kinds(formats, rows.schema.names):
                files += 1
                path = inside(folder, selected_path(kind, number))
                if path.is_file() and not wrong_selection(path, kind, table, case_set):
                    advance(sum(_size(row, kind) for row in table))
                    continue
                fetch = _Fetch(remote, prefix, pool, advance)
                with on_disk(path.name):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    beside = inside(folder, selected_path(kind, number) + PART)
                    clear(beside)
                    fetch.write(beside, kind, table, case_set)
                    beside.replace(path)
                written += 1
    return files, written


def check_selection(
    folder: Path, rows: "pa.Table", case_set: CaseSet, formats: Sequence[str]
) -> dict[str, str]:
    """Compare the selected files of a folder with the signed index.

    Returns:
        Path of each file that should be there to what is wrong with it; empty words where it is right.
    """
    found = {}
    for number, part in enumerate(in_parts(rows, PART_CASES, PART_BYTES)):
        table = part.to_pylist()
        for kind in selected_kinds(formats, rows.schema.names):
            path = selected_path(kind, number)
            there = inside(folder, path).is_file()
            found[path] = (
                wrong_selection(inside(folder, path), kind, table, case_set) if there else "is missing"
            )
    return found


def selected_kinds(formats: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Kinds of files that a selection has: of the wanted formats, those of the release."""
    found = ["data"] if "parquet" in formats else []
    return found + [kind for kind in SPANNED if kind in formats and FILE_KEYS[kind] in columns]


def wrong_selection(path: Path, kind: str, rows: Sequence[Row], case_set: CaseSet) -> str:
    """What is wrong with a selected file, in words; empty where it holds exactly these cases."""
    try:
        return _wrong_cases(path, rows, case_set) if kind == "data" else _wrong_spans(path, kind, rows)
    except (OSError, ValueError, KeyError, TypeError):
        return "cannot be read"


def _wrong_cases(path: Path, rows: Sequence[Row], case_set: CaseSet) -> str:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows != len(rows):
            return f"holds {file.metadata.num_rows} cases, expected {len(rows)}"
        for case, row in zip(read_file(file, case_set.columns), rows, strict=True):
            if not _is_case(case, row, case_set):
                return "holds a case which is not the one that was released"
    return ""


def _is_case(case: Case, row: Row, case_set: CaseSet) -> bool:
    little = case.image.dtype.newbyteorder("<")
    return (
        (case.case_id, case.patient_id) == (row["case_id"], row["patient_id"])
        and case.image.dtype.name == row["image_dtype"]
        and all(case.record[column.name] == row[column.name] for column in case_set.columns)
        and all(list(getattr(case.grid, name)) == list(row[name]) for name in GRID_FIELDS)
        and sha256_of(np.ascontiguousarray(case.image, little).tobytes()) == row["image_sha256"]
        and sha256_of(case.mask.tobytes()) == row["mask_sha256"]
    )


def _wrong_spans(path: Path, kind: str, rows: Sequence[Row]) -> str:
    with path.open("rb") as reader:
        for row in rows:
            if sha256_of(reader.read(row[f"{kind}_bytes"])) != row[f"{kind}_sha256"]:
                return "holds a case which is not the one that was released"
        rest = reader.read(len(END_OF_TAR) + 1)
    return (
        ""
        if rest == (b"" if kind == "fhir" else END_OF_TAR)
        else "holds more than the cases that were asked for"
    )


class _Fetch:
    """Fetches the ranges of some cases, several at once, and writes them in order."""

    def __init__(self, remote: Remote, prefix: str, pool: ThreadPoolExecutor, advance: Advance) -> None:
        self._remote, self._prefix, self._pool, self._advance = remote, prefix, pool, advance
        self._halt = threading.Event()

    def write(self, path: Path, kind: str, rows: Sequence[Row], case_set: CaseSet) -> None:
        try:
            if kind == "data":
                cases = list(self._ordered(rows, lambda row: self._case(row, case_set)))
                write_shard(path, cases, case_set, page_per_array=True)
                return
            with path.open("wb") as writer:
                for data in self._ordered(rows, lambda row: self._span(row, kind)):
                    writer.write(data)
                writer.write(b"" if kind == "fhir" else END_OF_TAR)
                writer.flush()
                os.fsync(writer.fileno())
        except BaseException:
            self._halt.set()
            path.unlink(missing_ok=True)
            raise

    def _ordered(self, rows: Iterable[Row], fetch: "Callable[[Row], Any]") -> Iterator[Any]:
        """Results in the order of the rows, with some requests ahead."""
        stream = iter(rows)
        waiting = [self._pool.submit(fetch, row) for row in islice(stream, AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [self._pool.submit(fetch, row) for row in islice(stream, 1)]

    def _span(self, row: Row, kind: str) -> bytes:
        data = self._range(row[FILE_KEYS[kind]], row[f"{kind}_offset"], row[f"{kind}_bytes"])
        return self._verified(data, row[f"{kind}_sha256"], f"{kind} of a case in {row[FILE_KEYS[kind]]}")

    def _case(self, row: Row, case_set: CaseSet) -> Case:
        dtype, shape = np.dtype(row["image_dtype"]).newbyteorder("<"), tuple(row["shape_zyx"])
        voxels, channels = int(np.prod(shape)), len(case_set.channels)
        mask = np.frombuffer(self._array(row, "mask", voxels), np.uint8)
        image = np.frombuffer(self._array(row, "image", channels * voxels * dtype.itemsize), dtype)
        return Case(
            case_id=row["case_id"],
            patient_id=row["patient_id"],
            image=image.reshape(channels, *shape).astype(dtype.newbyteorder("="), copy=False),
            mask=mask.reshape(shape),
            grid=Grid(**{name: tuple(row[name]) for name in GRID_FIELDS}),
            record={column.name: row[column.name] for column in case_set.columns},
            provenance=json.loads(row["provenance"]),
        )

    def _array(self, row: Row, name: str, size_bytes: int) -> bytes:
        frame = self._range(row["cases_file"], row[f"{name}_offset"], row[f"{name}_bytes"])
        what = f"{name} of row {row['cases_row']} in {row['cases_file']}"
        try:
            data = array_of(frame, size_bytes)
        except ValueError as error:
            raise IntegrityError(
                f"{what} cannot be unpacked: the store was changed; tell its publisher"
            ) from error
        return self._verified(data, row[f"{name}_sha256"], what)

    def _range(self, file: str, offset: int, size: int) -> bytes:
        if self._halt.is_set():
            return b""
        key = f"{self._prefix}{file}"
        data = read_range(self._remote, key, offset, offset + size)
        self._advance(len(data))
        return data

    @staticmethod
    def _verified(data: bytes, want: str, what: str) -> bytes:
        if (got := sha256_of(data)) != want:
            raise IntegrityError.of(what, got, want)
        return data


def _size(row: Row, kind: str) -> int:
    return int(row["image_bytes"] + row["mask_bytes"] if kind == "data" else row[f"{kind}_bytes"])
