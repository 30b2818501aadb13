"""Places of a DICOM file that no reader looks at: gaps, duplicates, unused bits, paddings, comments of codecs."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRBigEndian

from synthdata.intake.codestreams import pixels_hide, unwrapped
from synthdata.intake.header import Header
from synthdata.intake.likeness import Likeness
from synthdata.intake.pixel_plan import WRAPPED

PIXEL_DATA = 0x7FE00010
PADDINGS = frozenset({b"", b"\0", b"0"})  # of an odd number of bytes; highdicom takes the digit
UNDEFINED_LENGTH = 0xFFFFFFFF
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})


def has_hidden_bytes(header: Header, likeness: Likeness) -> bool:
    """True where bytes of the file lie outside of what a reader shows.

    Args:
        header: The parsed file.
        likeness: Remembers the layout of pixels of headers like it.
    """
    return (header.plain is None and _has_gaps(header)) or _pixels_hide(header, likeness)


def _has_gaps(header: Header) -> bool:
    """Attributes must follow each other without a gap, in order; a second one of a tag leaves a gap.

    Source: DICOM PS3.5, sections 7.1 to 7.3 (tags ascend, and occur once).
    """
    elements = sorted(header.elements(), key=lambda element: int(element.tag))
    for element, after in pairwise(elements):
        if isinstance(element, RawDataElement) and isinstance(after, RawDataElement):
            undefined = element.length == UNDEFINED_LENGTH
            end = element.value_tell + element.length + _header_bytes(after)
            if not undefined and end != after.value_tell:
                return True
    return False


def _header_bytes(element: RawDataElement) -> int:
    return 12 if not element.is_implicit_VR and element.VR in LONG_VRS else 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Where native pixels stand in their bytes."""

    size_bytes: int
    dtype: str  # of a number as it is allocated, without sign; empty where it is of another size
    unused: int  # bits of a number which are not stored; 0 where that is not known
    above: int  # those above the sign, which may repeat it; 0 where there is no sign


def _pixels_hide(header: Header, likeness: Likeness) -> bool:
    raw = header.raw(PIXEL_DATA)
    if raw is None or not raw.value:
        return False
    syntax, value = header.transfer_syntax, raw.value
    if syntax == WRAPPED:
        value = _unwrapped(value, header)
    elif syntax.is_encapsulated:
        samples = int(header.get("Rows", 0) or 0) * int(header.get("Columns", 0) or 0)
        return pixels_hide(value, int(header.get("NumberOfFrames", 1) or 1), samples)
    layout = likeness.of("layout of pixels", _layout, header)
    rest = bytes(value[layout.size_bytes :])
    if rest not in PADDINGS:
        return True
    return bool(layout.unused) and _unused_bits(value, layout)


def _unwrapped(value: bytes, header: Header) -> bytes:
    """Native pixels which were encapsulated as they are, with all that stands beside them behind them."""
    size = int(header["Rows"]) * int(header["Columns"]) * int(header["BitsAllocated"]) // 8
    return b"".join(unwrapped(value, int(header.get("NumberOfFrames", 1) or 1), size))


def _layout(header: Header) -> _Layout:
    allocated = int(header["BitsAllocated"])
    samples = int(header["Rows"]) * int(header["Columns"]) * int(header.get("SamplesPerPixel", 1) or 1)
    samples *= int(header.get("NumberOfFrames", 1) or 1)
    if "422" in str(header.get("PhotometricInterpretation", "")):
        samples = samples * 2 // 3
    size_bytes = (samples * allocated + 7) // 8
    if allocated not in {8, 16, 32}:
        return _Layout(size_bytes=size_bytes, dtype="", unused=0, above=0)
    stored = int(header.get("BitsStored", allocated) or allocated)
    high = int(header.get("HighBit", stored - 1))
    order = ">" if header.transfer_syntax == ExplicitVRBigEndian else "<"
    dtype = f"{order}u{allocated // 8}"
    if not 0 < stored <= high + 1 <= allocated or stored == allocated:
        return _Layout(size_bytes=size_bytes, dtype=dtype, unused=0, above=0)
    used = ((1 << stored) - 1) << (high + 1 - stored)
    unused = ((1 << allocated) - 1) ^ used
    signed = int(header.get("PixelRepresentation", 0) or 0)
    above = unused & ~(used | (used - 1)) if signed else 0
    return _Layout(size_bytes=size_bytes, dtype=dtype, unused=unused, above=above)


def _unused_bits(data: bytes, layout: _Layout) -> bool:
    """True where bits beside the stored ones are set, other than by the sign, which may go on to the top."""
    kind = np.dtype(layout.dtype)
    pixels = np.frombuffer(data, kind, len(data) // kind.itemsize)
    if not int(np.bitwise_or.reduce(pixels)) & layout.unused:
        return False
    if not layout.above:
        return True
    rest = pixels & kind.type(layout.unused)
    return bool(((rest != 0) & (rest != layout.above)).any())
