"""Where the arrays of single cases lie inside a Parquet file, so that one of them can be fetched without the rest.

A released shard has one data page per array. A page is a header (Thrift, compact protocol) and, for the columns that
may not be null, one zstd frame of the PLAIN encoding: a length of four bytes, little-endian, then the array. So a
reader who knows the place of the frame needs nothing else of the file.

Source: Apache Parquet format 2.10, "Data Pages" and parquet.thrift; Thrift compact protocol.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import RecordError

HEADER_BYTES = 256  # of a page without statistics; some 30 are used
LENGTH_BYTES = 4
TRUTHS, BYTE, NUMBERS, BINARY, STRUCT = (1, 2), 3, (4, 5, 6), 8, 12  # types of the compact protocol
COMPRESSED_SIZE = 3  # field of PageHeader
NEXT_NUMBER = 0x15  # head of a field of 32 bits, one after the last
DATA_PAGE = bytes((NEXT_NUMBER, 0, NEXT_NUMBER))  # field 1, the type, is 0; then field 2, the size unpacked


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Place of one compressed array in its file."""

    offset: int
    size_bytes: int


def frames(path: Path, columns: Sequence[str]) -> Mapping[str, list[Frame]]:
    """Find the frames of some binary columns, one per row, in the order of the rows.

    Args:
        path: Parquet file with one page per value in these columns.
        columns: Their names.

    Raises:
        RecordError: A column has more or fewer pages than rows, or is not compressed with zstd.
    """
    with pa.OSFile(str(path)) as reader:
        return frames_of(pq.read_metadata(path), reader, columns)


def frames_of(
    meta: pq.FileMetaData, reader: pa.NativeFile, columns: Sequence[str]
) -> Mapping[str, list[Frame]]:
    """The same for an open file and its footer."""
    found: dict[str, list[Frame]] = {name: [] for name in columns}
    numbers = [number for number in range(meta.num_columns) if meta.schema.column(number).path in found]
    for group in map(meta.row_group, range(meta.num_row_groups)):
        for chunk in map(group.column, numbers):
            pages = list(_pages(reader, chunk))
            if len(pages) != chunk.num_values or chunk.compression != "ZSTD":
                raise RecordError(
                    f"column {chunk.path_in_schema} has {len(pages)} pages for {chunk.num_values} arrays, "
                    "expected one each in zstd: write the shard with one page per array"
                )
            found[chunk.path_in_schema] += pages
    return found


def array_of(frame: bytes, size_bytes: int) -> bytes:
    """The raw bytes of an array from its frame.

    Args:
        frame: One zstd frame.
        size_bytes: Of the array; a frame which holds more is not unpacked further.

    Raises:
        RecordError: The frame is not one array of that size.
    """
    raw: bytes = unpacked(pa.Codec("zstd"), frame, size_bytes).to_pybytes()
    return raw


def unpacked(codec: pa.Codec, frame: bytes, size_bytes: int) -> pa.Buffer:
    """The same, by a codec that the caller keeps for one thread, and without a copy.

    Raises:
        RecordError: The frame is not one array of that size.
    """
    try:
        raw: pa.Buffer = codec.decompress(frame, LENGTH_BYTES + size_bytes)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise RecordError(
            "a page is no zstd frame of the size that the index names: fetch it again"
        ) from error
    length = int.from_bytes(raw[:LENGTH_BYTES].to_pybytes(), "little")
    if len(raw) != LENGTH_BYTES + size_bytes or length != size_bytes:
        raise RecordError("a page does not hold one array of the size that the index names: fetch it again")
    return raw.slice(LENGTH_BYTES)


def _pages(reader: pa.NativeFile, chunk: pq.ColumnChunkMetaData) -> Iterator[Frame]:
    """Frames of a chunk. Most headers differ from the first in their two sizes alone, and are compared with it."""
    at, end, rest = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size, b""
    while at < end:
        header = reader.read_at(HEADER_BYTES, at)
        size, length = _sizes(header, rest) if rest else (0, 0)
        if not length:
            fields, length = _struct(header, 0)
            size, rest = fields.get(COMPRESSED_SIZE, -1), _after_sizes(header, length)
        at += length
        if not 0 <= size <= end - at:  # a negative one would lead back to where we were, for ever
            raise RecordError(
                f"a page header gives {size} bytes where {end - at} are left of the column: the file is broken"
            )
        yield Frame(offset=at, size_bytes=size)
        at += size


def _after_sizes(header: bytes, length: int) -> bytes:
    """What follows the sizes in a header that begins as those of data pages do; empty where it does not."""
    if not header.startswith(DATA_PAGE):
        return b""
    at = _unsigned(header, len(DATA_PAGE))[1] + 1
    return header[_unsigned(header, at)[1] : length]


def _sizes(header: bytes, rest: bytes) -> tuple[int, int]:
    """Compressed size and length of a header that begins as those of data pages do and ends so; 0 and 0 of others."""
    if not header.startswith(DATA_PAGE):
        return 0, 0
    try:
        at = _unsigned(header, len(DATA_PAGE))[1]
        size, end = _signed(header, at + 1)
    except IndexError:
        return 0, 0
    return (size, end + len(rest)) if header[at] == NEXT_NUMBER and header.startswith(rest, end) else (0, 0)


def _struct(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """Numbers by field of a struct in the compact protocol, and where it ends; a struct inside counts as 0."""
    field, numbers = 0, dict[int, int]()
    try:
        while (head := data[at]) != 0:
            step, kind = head >> 4, head & 15
            at += 1
            if step:
                field += step
            else:
                field, at = _signed(data, at)
            numbers[field], at = _value(data, at, kind)
    except IndexError:
        raise RecordError("a page header is cut or too long: the file is broken") from None
    return numbers, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """A value and where it ends."""
    if kind in NUMBERS:
        return _signed(data, at)
    if kind in TRUTHS:  # lies in the type
        return 2 - kind, at
    if kind == BYTE:
        return data[at], at + 1
    if kind == BINARY:
        length, at = _unsigned(data, at)
        return 0, at + length
    if kind == STRUCT:
        return 0, _struct(data, at)[1]
    raise RecordError(f"a page header has a field of type {kind}, which no page has: the file is broken")


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while (byte := data[at]) & 128:
        number |= (byte & 127) << shift
        shift += 7
        at += 1
    return number | byte << shift, at + 1


def _signed(data: bytes, at: int) -> tuple[int, int]:
    number, at = _unsigned(data, at)
    return (number >> 1) ^ -(number & 1), at
