"""Small files which would fill the memory once they are unpacked."""

import struct
import zlib

from synthdata.intake.header import Header
from synthdata.intake.listing import MAXIMUM_BYTES

META = 132  # bytes before the file meta information
GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"
DEFLATED = b"1.2.840.10008.1.2.1.99"
STEP = 1 << 22  # bytes which are unpacked at once, counted and let go


def is_deflated_bomb(data: bytes) -> bool:
    """True for a deflated dataset of more bytes than intake reads; its bytes are counted and not kept.

    Args:
        data: A DICOM file.
    """
    if data[META : META + 8] != GROUP_LENGTH or len(data) < META + 12:
        return False
    start = META + 12 + int(struct.unpack_from("<I", data, META + 8)[0])
    if DEFLATED not in data[META:start]:
        return False
    unpacker, rest, total = zlib.decompressobj(-zlib.MAX_WBITS), data[start:], 0
    try:
        while rest and not unpacker.eof and total <= MAXIMUM_BYTES:
            total += len(unpacker.decompress(rest, STEP))
            rest = unpacker.unconsumed_tail
    except zlib.error:  # what is damaged is told by the parser
        return False
    return total > MAXIMUM_BYTES


def decodes_too_large(header: Header) -> bool:
    """True where the pixels, once decoded, would be larger than a file may be."""
    size = int(header.get("NumberOfFrames", 1) or 1) * int(header.get("SamplesPerPixel", 1) or 1)
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        size *= int(header.get(keyword, 0) or 0)
    return size // 8 > MAXIMUM_BYTES
