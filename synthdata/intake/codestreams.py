"""Compressed pixels: their offset table, and what JPEG, JPEG 2000 and RLE carry beside the image."""

import re
import struct
from collections.abc import Iterator

from pydicom.encaps import generate_fragments

from synthdata.intake.telling import reason_of
from synthdata.intake.text_patterns import bytes_look_identifying

PADDING = b"\0\xff"
JPEG, JPEG_2000, JP2 = b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0cjP  "
EOI, SOS, COMMENT = 0xD9, 0xDA, 0xFE
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
APPLICATION = frozenset(range(0xE0, 0xF0))
EXIF = b"Exif\0\0"
NEXT_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # within coded data, also of JPEG-LS
TILE, TILE_DATA, TILE_COMMENT = 0x90, 0x93, 0x64
TILE_HEADER = 12  # bytes
IMAGE_BOXES = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c"})
HEADER_BOXES = frozenset({b"ihdr", b"bpcc", b"colr", b"res ", b"cdef", b"pclr", b"cmap"})
RLE_HEADER, MOST_SEGMENTS = 64, 15
PROGRAM = re.compile(rb"Creator: JasPer Version [\d.]+")  # whose name is one of persons
MOSTLY = 0.6  # of the signs of a comment which is a text
TAIL_BYTES = 256  # of an RLE segment, in which a text behind the image would stand


def pixels_hide(data: bytes, frames: int, samples: int) -> bool:
    """True where encapsulated pixels hold more than so many images.

    Args:
        data: Value of Pixel Data.
        frames: Number of images.
        samples: Of an image, rows times columns.

    Source:
        DICOM PS3.5, annex A.4 (offset table, fragments) and annex G (RLE).
    """
    table, *fragments = list(generate_fragments(data)) or [b""]
    if table and not is_offset_table(table, frames, len(data)):
        return True
    streams = _streams(fragments, frames)
    return len(streams) != frames or any(_stream_hides(one, samples) for one in streams)


def unwrapped(data: bytes, frames: int, size: int) -> tuple[bytes, bytes]:
    """Native frames which were encapsulated as they are, and what stands beside them.

    Args:
        data: Value of Pixel Data.
        frames: Number of images.
        size: Bytes of one.

    Source:
        DICOM PS3.5, A.4.11 (Encapsulated Uncompressed Explicit VR Little Endian).
    """
    table, *fragments = list(generate_fragments(data)) or [b""]
    rest = b"" if not table or is_offset_table(table, frames, len(data)) else table
    if size % 2 and len(fragments) == frames:  # a byte of padding each
        rest += b"".join(one[size:] for one in fragments).strip(b"\0")
        fragments = [one[:size] for one in fragments]
    joined = b"".join(fragments)
    return joined[: frames * size], joined[frames * size :] + rest


def is_offset_table(table: bytes, frames: int, size: int) -> bool:
    """Ascending places of so many frames, the first one at 0."""
    if len(table) != 4 * frames:
        return False
    places = struct.unpack(f"<{frames}I", table)
    return places[0] == 0 and list(places) == sorted(set(places)) and places[-1] < size


def _streams(fragments: list[bytes], frames: int) -> list[bytes]:
    """Fragments put together to images: one that begins no image goes on with the last one."""
    if len(fragments) == frames:
        return fragments
    starts = [at for at, one in enumerate(fragments) if at == 0 or one.startswith((JPEG, JPEG_2000, JP2))]
    return [
        b"".join(fragments[start:end])
        for start, end in zip(starts, [*starts[1:], len(fragments)], strict=True)
    ]


def _stream_hides(stream: bytes, samples: int) -> bool:
    """Texts, and bytes behind the image. What is cut or damaged, the decoder tells."""
    try:
        if stream.startswith(JPEG):
            return _jpeg_hides(stream)
        if stream.startswith(JPEG_2000):
            return _codestream_hides(stream)
        if stream.startswith(JP2):
            return any(map(_box_hides, *zip(*_boxes(stream), strict=True)))
        return _rle_hides(stream, samples)
    except (IndexError, ValueError, struct.error):
        return False


def _jpeg_hides(stream: bytes) -> bool:
    """Segments up to the end of the image, those between and behind scans too. Source: ITU-T T.81, annex B."""
    at = 2
    while True:
        if stream[at] != 0xFF:
            return True
        marker = stream[at + 1]
        if marker == EOI:
            return bool(stream[at + 2 :].strip(PADDING))
        if marker == 0xFF or marker in STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", stream, at + 2)
        payload = stream[at + 4 : at + 2 + length]
        told = marker == COMMENT or marker in APPLICATION
        if told and (payload.startswith(EXIF) or _comment_tells(payload)):
            return True
        at += 2 + length
        if marker == SOS:
            found = NEXT_MARKER.search(stream, at)
            if found is None:
                return False
            at = found.start()


def _codestream_hides(stream: bytes) -> bool:
    """Comments of the main header and of tiles, and bytes behind the end. Source: ITU-T T.800, annex A."""
    at = 2
    while at < len(stream):
        marker = stream[at + 1]
        if marker == EOI:
            return bool(stream[at + 2 :].strip(PADDING))
        if marker == TILE:
            (length,) = struct.unpack_from(">I", stream, at + 6)
            inner = at + TILE_HEADER
            while stream[inner + 1] != TILE_DATA:
                if _is_telling(stream, inner):
                    return True
                inner += 2 + int(struct.unpack_from(">H", stream, inner + 2)[0])
            at = at + length if length else stream.rindex(b"\xff\xd9")
        elif _is_telling(stream, at):
            return True
        else:
            at += 2 + int(struct.unpack_from(">H", stream, at + 2)[0])
    return False


def _is_telling(stream: bytes, at: int) -> bool:
    (length,) = struct.unpack_from(">H", stream, at + 2)
    return stream[at + 1] == TILE_COMMENT and _comment_tells(stream[at + 6 : at + 2 + length])


def _comment_tells(payload: bytes) -> bool:
    """What programs and people write beside an image; it is read as prose where most of it is text."""
    rest = PROGRAM.sub(b"", payload)
    if bytes_look_identifying(rest):
        return True
    text = rest.decode("utf-8", errors="replace").replace("\0", "\n")
    shown = [line for line in text.splitlines() if line.isprintable()]
    return sum(map(len, shown)) > MOSTLY * len(text) and bool(reason_of(shown))


def _boxes(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of boxes. Source: ITU-T T.800, annex I."""
    at = 0
    while at + 8 <= len(stream):
        (length,), kind, head = struct.unpack_from(">I", stream, at), stream[at + 4 : at + 8], 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", stream, at + 8), 16
        end = at + length if length else len(stream)
        yield kind, stream[at + head : end]
        if end <= at:
            return
        at = end
    if stream[at:].strip(PADDING):
        yield b"", stream[at:]


def _box_hides(kind: bytes, content: bytes) -> bool:
    """All but the image and what is needed to show it."""
    if kind == b"jp2c":
        return _codestream_hides(content)
    if kind == b"jp2h":
        return any(
            inner not in HEADER_BOXES or bytes_look_identifying(said) for inner, said in _boxes(content)
        )
    return kind not in IMAGE_BOXES


def _rle_hides(stream: bytes, samples: int) -> bool:
    """Text in the header, or at the end of a segment, where no decoder arrives."""
    count, *places = struct.unpack_from("<16I", stream)
    if not 0 < count <= MOST_SEGMENTS or any(places[count:]):
        return True
    used = places[:count]
    if used[0] != RLE_HEADER or used != sorted(used):
        return True
    ends = [*used[1:], len(stream)]
    return any(
        bytes_look_identifying(stream[max(start, end - TAIL_BYTES) : end])  # noise looks like that by chance
        and bytes_look_identifying(stream[_rle_end(stream, start, samples) : end])
        for start, end in zip(used, ends, strict=True)
    )


def _rle_end(stream: bytes, at: int, samples: int) -> int:
    """Where a segment has given all samples, one byte of each. Source: DICOM PS3.5, annex G.3.1 (PackBits)."""
    given = 0
    while given < samples and at < len(stream):
        control = stream[at]
        if control < 128:
            at, given = at + control + 2, given + control + 1
        elif control > 128:
            at, given = at + 2, given + 257 - control
        else:
            at += 1
    return at
