"""Cases to Parquet shards and back: the one reader and writer of training, synthetic and released data.

An array is a `large_binary` column of its raw little-endian bytes in C order; the field's metadata say `dtype`,
`axes` and `unit`, and `shape` where all cases share one grid. The shape of each case is in its row in any case.
"""

import io
import json
import math
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import IntegrityError, RecordError
from synthdata.records.arrow_columns import column
from synthdata.records.case import Case, Value
from synthdata.records.case_set import CaseSet, ColumnSpec, ShardRef
from synthdata.records.grid import Grid
from synthdata.records.pages import Frame, frames_of, unpacked
from synthdata.records.readable import readable
from synthdata.storage import keys
from synthdata.storage.commit import commit_blob, sha256_of, stored_sha256
from synthdata.storage.disk import on_disk
from synthdata.storage.protocol import ObjectStore

ARRAYS = ("image", "mask")
ROW_GROUP_CASES = 16
PAGE_BYTES = 1 << 20
BUILT_IN_MEMORY_BYTES = (
    384 << 20
)  # of arrays, whose shard is written, digested and compared where it is built
WHOLE_BYTES = 128 << 20  # of a file that is held in memory to be verified and unpacked
MASK, LITTLE = np.dtype(np.uint8), sys.byteorder == "little"
PARQUET = "a Parquet file of cases"
GRID_FIELDS = ("shape_zyx", "spacing_mm", "origin_mm", "direction")
ARROW_TYPES = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "category": pa.string(),
    "boolean": pa.bool_(),
}


def shard_schema(case_set: CaseSet, *, dtype: str, shape: tuple[int, int, int, int] | None) -> pa.Schema:
    """Arrow schema of a shard.

    Args:
        case_set: Names the channels, units, labels and record columns.
        dtype: numpy name of the image's type, int16 or float32.
        shape: (c, z, y, x) where all cases share it.
    """
    image = {"dtype": dtype, "axes": "czyx", "unit": json.dumps(case_set.units)}
    image |= {"channels": json.dumps(case_set.channels)}
    mask = {"dtype": "uint8", "axes": "zyx", "labels": json.dumps(dict(case_set.labels))}
    if shape is not None:
        image["shape"], mask["shape"] = json.dumps(shape), json.dumps(shape[1:])
    columns = [
        pa.field(
            column.name,
            ARROW_TYPES[column.kind],
            metadata={"unit": column.unit, "description": column.description, "role": column.role},
        )
        for column in case_set.columns
    ]
    return pa.schema(
        [
            pa.field("case_id", pa.string(), nullable=False),
            pa.field("patient_id", pa.string(), nullable=False),
            *columns,
            *grid_fields(),
            pa.field("provenance", pa.string(), nullable=False),
            pa.field("image", pa.large_binary(), nullable=False, metadata=image),
            pa.field("mask", pa.large_binary(), nullable=False, metadata=mask),
        ],
        metadata={"synthdata.origin": case_set.origin, "synthdata.dataset": case_set.dataset},
    )


def grid_fields() -> list[pa.Field]:
    """Columns of the grid of a case."""
    spacing, direction = pa.list_(pa.float64(), 3), pa.list_(pa.float64(), 9)
    kinds = (pa.list_(pa.int32(), 3), spacing, spacing, direction)
    return [pa.field(name, kind, nullable=False) for name, kind in zip(GRID_FIELDS, kinds, strict=True)]


def provenance_json(case: Case) -> str:
    """Canonical JSON of what a case remembers of its making."""
    return json.dumps(dict(case.provenance), sort_keys=True, separators=(",", ":"))


def write_shard(
    path: Path | BinaryIO, cases: Sequence[Case], case_set: CaseSet, *, page_per_array: bool = False
) -> None:
    """Write cases to one Parquet file, zstd, small row groups; the same cases give the same bytes.

    Args:
        path: File to write, or one that is open.
        cases: What it holds, in their order.
        case_set: Names the channels, units, labels and record columns.
        page_per_array: Each image and mask is a data page of its own, so that it can be read out of the file alone.

    Raises:
        RecordError: Images are of different types, or a record has unknown columns.
    """
    shapes = {case.image.shape for case in cases}
    dtypes = {case.image.dtype.name for case in cases}
    if len(dtypes) != 1:
        raise RecordError(f"cases have image types {sorted(dtypes)}, expected one: convert them first")
    shape = shapes.pop() if len(shapes) == 1 else None
    schema = shard_schema(case_set, dtype=dtypes.pop(), shape=shape)
    table = table_of(cases, case_set.columns, schema)
    smallest = min(min(case.image.nbytes, case.mask.nbytes) for case in cases)
    pages = {"data_page_size": smallest, "write_batch_size": 1}
    if not page_per_array:  # a page that grows to a whole row group costs as much memory again
        pages = {"data_page_size": PAGE_BYTES, "write_batch_size": min(1024, 1 + PAGE_BYTES // smallest)}
    pq.write_table(
        table,
        path,
        **pages,
        compression="zstd",
        row_group_size=ROW_GROUP_CASES,
        use_dictionary=[name for name in schema.names if name not in ARRAYS],
        write_statistics=[name for name in schema.names if name not in {*ARRAYS, "provenance"}],
    )


def commit_shard(store: ObjectStore, case_set: CaseSet, stage: str, cases: Sequence[Case]) -> ShardRef:
    """Write cases as one content-addressed shard of a private stage, and read it back."""
    if sum(case.image.nbytes + case.mask.nbytes for case in cases) <= BUILT_IN_MEMORY_BYTES:
        data = _shard_in_memory(cases, case_set)
        digest = sha256_of(data)
        key = keys.shard(case_set.dataset, stage, digest)
        commit_blob(store, key, data, sha256=digest)
        return ShardRef(key=key, sha256=digest, size_bytes=len(data), cases=len(cases))
    with (
        on_disk("the temporary folder (TMPDIR)"),
        tempfile.TemporaryDirectory(prefix="synthdata-") as folder,
    ):
        path = Path(folder) / "shard.parquet"
        write_shard(path, cases, case_set)
        return commit_file(store, case_set, stage, path, sha256=sha256_of(path), cases=len(cases))


def _shard_in_memory(cases: Sequence[Case], case_set: CaseSet) -> memoryview:
    """A whole file; the memory grows with it, since texts of a record may be larger than its arrays."""
    sink = io.BytesIO()
    write_shard(sink, cases, case_set)
    return sink.getbuffer()


def commit_file(
    store: ObjectStore, case_set: CaseSet, stage: str, path: Path, *, sha256: str, cases: int
) -> ShardRef:
    """Commit a shard that `write_shard` wrote, and read it back.

    Args:
        store: Where to.
        case_set: Names the dataset.
        stage: Private stage that the shard is of.
        path: The file.
        sha256: Its hex SHA-256.
        cases: How many it holds.
    """
    key = keys.shard(case_set.dataset, stage, sha256)
    commit_blob(store, key, path, sha256=sha256)
    return ShardRef(key=key, sha256=sha256, size_bytes=path.stat().st_size, cases=cases)


def commit_shards(
    store: ObjectStore, case_set: CaseSet, stage: str, cases: Iterable[Case], *, shard_size: int = 64
) -> tuple[ShardRef, ...]:
    """Write a stream of cases shard by shard; memory holds one shard."""
    stream, refs = iter(cases), list[ShardRef]()
    while part := list(islice(stream, shard_size)):
        refs.append(commit_shard(store, case_set, stage, part))
    return tuple(refs)


def read_cases(store: ObjectStore, case_set: CaseSet, *, verify: bool = True) -> Iterator[Case]:
    """Stream the cases of a CaseSet in order; memory holds one row group.

    Raises:
        MissingObjectError: A shard is not in the store.
        IntegrityError: A shard is not the one that the CaseSet names.
    """
    for ref in case_set.shards:
        yield from read_shard(store, case_set, ref, verify=verify)


def read_shard(
    store: ObjectStore, case_set: CaseSet, ref: ShardRef, *, verify: bool = True
) -> Iterator[Case]:
    """Stream the cases of one shard.

    No thread of Arrow reads: one that still holds the reader, an object of Python, when the process ends aborts it.
    """
    if verify and (got := stored_sha256(store, ref.key)) != ref.sha256:
        raise IntegrityError.of(f"shard {ref.key}", got, ref.sha256)
    with store.open(ref.key) as reader:
        yield from read_file(pq.ParquetFile(reader, pre_buffer=False), case_set.columns)


def read_paths(files: Sequence[tuple[Path, str]], columns: Sequence[ColumnSpec]) -> Iterator[Case]:
    """Stream the cases of Parquet files on disk; memory holds one case where arrays are pages of their own.

    Such arrays are unpacked where they lie, which saves the copies that a table of them costs. A file of up to
    `WHOLE_BYTES` is read once, for its digest and its cases; while these are given, a thread reads and hashes the next
    file, so that two cores share the work and memory holds two files.

    Args:
        files: Paths, each with the SHA-256 that the file must have before its first case is given; empty asks for
            nothing.
        columns: Of the record.

    Raises:
        IntegrityError: A file has another digest.
        RecordError: A file is no Parquet file of cases.
        StoreError: A file is not there, or the disk fails.
    """
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = deque(ahead.submit(_verified, *file) for file in files[:1])
        for number, (path, _) in enumerate(files, start=1):
            whole = coming.popleft().result()
            coming.extend(ahead.submit(_verified, *file) for file in files[number : number + 1])
            yield from _read_whole(path, columns, whole)


def _verified(path: Path, sha256: str) -> bytes | None:
    """A file of up to `WHOLE_BYTES` in memory, None where it is larger or no digest is asked for."""
    with readable(path.name, PARQUET, pa.ArrowException):
        whole = path.read_bytes() if sha256 and path.stat().st_size <= WHOLE_BYTES else None
        if sha256 and (got := sha256_of(path if whole is None else whole)) != sha256:
            raise IntegrityError.of(f"file {path.name}", got, sha256)
    return whole


def _read_whole(path: Path, columns: Sequence[ColumnSpec], whole: bytes | None) -> Iterator[Case]:
    """Cases of a file, out of memory where it is there."""
    with (
        readable(path.name, PARQUET, pa.ArrowException),
        pa.OSFile(str(path)) if whole is None else pa.BufferReader(whole) as reader,
    ):
        yield from _read_arrays(reader, columns)


def _read_arrays(reader: pa.NativeFile, columns: Sequence[ColumnSpec]) -> Iterator[Case]:
    """Cases of an open file, array by array where each is a page of its own."""
    with pq.ParquetFile(reader) as file:
        try:
            places = frames_of(file.metadata, reader, ARRAYS)
        except RecordError:
            yield from read_file(file, columns)
            return
        dtype, channels = _image_type(file)
        others = [name for name in file.schema_arrow.names if name not in ARRAYS]
        rows, codec = file.read(columns=others, use_threads=False).to_pylist(), pa.Codec("zstd")
        for row, image, mask in zip(rows, places["image"], places["mask"], strict=True):
            grid = Grid(**{name: tuple(row[name]) for name in GRID_FIELDS})
            voxels = math.prod(grid.shape_zyx)
            size = channels * voxels * dtype.itemsize
            yield _case(
                row,
                columns,
                grid,
                _voxels(unpacked(codec, _at(reader, image), size), dtype, (channels, *grid.shape_zyx)),
                _voxels(unpacked(codec, _at(reader, mask), voxels), MASK, grid.shape_zyx),
            )


def _at(reader: pa.NativeFile, frame: Frame) -> pa.Buffer:
    """Bytes of a frame; no copy where the file is in memory."""
    reader.seek(frame.offset)
    return reader.read_buffer(frame.size_bytes)


def _voxels(data: pa.Buffer, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian bytes in C order as an array of native numbers, without a copy where they are native.

    Raises:
        RecordError: There are more or fewer bytes than the shape needs.
    """
    size = math.prod(shape) * dtype.itemsize
    if len(data) != size:
        raise RecordError(
            f"an array has {len(data)} bytes, expected {size} for the grid in its row: the file is broken; "
            "fetch it again"
        )
    array = np.frombuffer(data, dtype if LITTLE else dtype.newbyteorder("<")).reshape(shape)
    return array if LITTLE else array.astype(dtype.newbyteorder("="))


def _image_type(file: pq.ParquetFile) -> tuple[np.dtype, int]:
    """Type of the image's numbers, and number of channels."""
    meta = file.schema_arrow.field("image").metadata or {}
    return np.dtype(meta[b"dtype"].decode()), len(json.loads(meta[b"channels"]))


def read_file(file: pq.ParquetFile, columns: Sequence[ColumnSpec]) -> Iterator[Case]:
    """Stream the cases of an open Parquet file."""
    for group in range(file.num_row_groups):
        yield from read_file_group(file, group, columns)


def read_file_group(file: pq.ParquetFile, group: int, columns: Sequence[ColumnSpec]) -> Iterator[Case]:
    """Stream the cases of one row group of an open Parquet file."""
    dtype, channels = _image_type(file)
    table = file.read_row_group(group, use_threads=False)  # see `read_shard`
    images, masks = table["image"], table["mask"]
    rows = table.drop_columns(list(ARRAYS)).to_pylist()
    for index, row in enumerate(rows):
        grid = Grid(**{name: tuple(row[name]) for name in GRID_FIELDS})
        image = _voxels(images[index].as_buffer(), dtype, (channels, *grid.shape_zyx))
        yield _case(row, columns, grid, image, _voxels(masks[index].as_buffer(), MASK, grid.shape_zyx))


def read_records(store: ObjectStore, case_set: CaseSet) -> pa.Table:
    """All rows without pixels: case_id, patient_id and the record columns."""
    names = ["case_id", "patient_id", *(column.name for column in case_set.columns)]
    tables = []
    for ref in case_set.shards:
        with store.open(ref.key) as reader:
            table = pq.ParquetFile(reader, pre_buffer=False).read(
                names, use_threads=False
            )  # see `read_shard`
            tables.append(table.replace_schema_metadata(None))
    if not tables:
        raise RecordError(f"CaseSet of {case_set.dataset} has no shards: the stage before it kept no case")
    return pa.concat_tables(tables)


def table_of(cases: Sequence[Case], columns: Sequence[ColumnSpec], schema: pa.Schema) -> pa.Table:
    """Cases as a table; the arrays are not copied."""
    rows = [_row(case, columns) for case in cases]
    others = [
        column([row[field.name] for row in rows], field.type) for field in schema if field.name not in ARRAYS
    ]
    little = cases[0].image.dtype.newbyteorder("<")
    images = _binary(np.ascontiguousarray(case.image, little) for case in cases)
    masks = _binary(np.ascontiguousarray(case.mask) for case in cases)
    return pa.table([*others, images, masks], schema=schema)


def _binary(arrays: Iterable[np.ndarray]) -> pa.ChunkedArray:
    """A column of raw bytes, one chunk per array, on the memory of the arrays themselves."""
    kind = pa.large_binary()
    chunks = [
        pa.Array.from_buffers(
            kind, 1, [None, pa.py_buffer(np.array([0, array.nbytes], np.int64)), pa.py_buffer(array)]
        )
        for array in arrays
    ]
    return pa.chunked_array(chunks, type=kind)


def _row(case: Case, columns: Sequence[ColumnSpec]) -> dict[str, Any]:
    unknown = set(case.record) - {column.name for column in columns}
    if unknown:
        raise RecordError(f"a record has columns {sorted(unknown)} which the CaseSet does not name")
    return {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        **{column.name: case.record.get(column.name) for column in columns},
        **{name: getattr(case.grid, name) for name in GRID_FIELDS},
        "provenance": provenance_json(case),
    }


def _case(
    row: Mapping[str, Any], columns: Sequence[ColumnSpec], grid: Grid, image: np.ndarray, mask: np.ndarray
) -> Case:
    provenance: dict[str, Value] = json.loads(row["provenance"])
    return Case(
        case_id=row["case_id"],
        patient_id=row["patient_id"],
        image=image,
        mask=mask,
        grid=grid,
        record={column.name: row[column.name] for column in columns},
        provenance=provenance,
    )
