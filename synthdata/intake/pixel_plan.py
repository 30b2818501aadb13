"""How the stored bytes of a DICOM file become numbers, as its header says."""

from dataclasses import dataclass

import numpy as np
from pydicom.uid import ExplicitVRBigEndian, JPEGLSTransferSyntaxes

from synthdata.intake.header import Header

PIXEL_DATA = 0x7FE00010
WRAPPED = "1.2.840.10008.1.2.1.98"  # transfer syntax: native frames, encapsulated as they are
NATIVE_BITS = frozenset({8, 16, 32})


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelPlan:
    """How stored bytes become numbers."""

    offset: int  # of the first frame in the file; -1 where a decoder is needed
    dtype: str  # numpy type of the stored numbers
    shape_yx: tuple[int, int]  # of a frame as it is stored, for a mosaic that of the whole
    tiles: int  # of a mosaic; 0 where frames are slices
    bits_stored: int
    unused_low_bits: int  # below the stored ones; 0 but in files of another age
    inverted: bool  # MONOCHROME1
    padding: tuple[int, int] | None  # lowest and highest number which stands for no measurement
    jpeg_ls_at: int = -1  # first byte of the items of one grey frame in JPEG-LS; -1 where it is anything else


NO_PIXELS = PixelPlan(
    offset=-1,
    dtype="|u1",
    shape_yx=(0, 0),
    tiles=0,
    bits_stored=8,
    unused_low_bits=0,
    inverted=False,
    padding=None,
)


def pixel_plan(header: Header, tiles: int, pixels_at: int) -> PixelPlan:
    """Plan of a file.

    Args:
        header: Of the file.
        tiles: Of a mosaic, whose tiles are the slices; 0 where its frames are.
        pixels_at: Its first byte of pixels; -1 where that is not known.
    """
    syntax = header.transfer_syntax
    allocated = int(header["BitsAllocated"])
    native = not syntax.is_encapsulated and not syntax.is_deflated and allocated in NATIVE_BITS
    kind = "i" if int(header.get("PixelRepresentation", 0)) else "u"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    stored = int(header.get("BitsStored", allocated))
    high = int(header.get("HighBit", stored - 1))
    return PixelPlan(
        offset=pixels_at if native else -1,
        dtype=np.dtype(f"{order}{kind}{max(allocated // 8, 1)}").str,
        shape_yx=(int(header["Rows"]), int(header["Columns"])),
        tiles=tiles,
        bits_stored=stored,
        unused_low_bits=max(high + 1 - stored, 0),
        inverted=header.get("PhotometricInterpretation", "") == "MONOCHROME1",
        padding=_padding(header),
        jpeg_ls_at=pixels_at if _is_one_frame_of_jpeg_ls(header) else -1,
    )


def _is_one_frame_of_jpeg_ls(header: Header) -> bool:
    """True where nothing but the codec is needed to decode the pixels of a plain file."""
    if header.plain is None or header.transfer_syntax not in JPEGLSTransferSyntaxes:
        return False
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    return (
        header.get("NumberOfFrames", 1) == 1
        and header.get("SamplesPerPixel") == 1
        and str(header.get("PhotometricInterpretation")) in {"MONOCHROME1", "MONOCHROME2"}
        and header.get("PixelRepresentation") in {0, 1}
        and allocated in {8, 16}
        and isinstance(stored, int)
        and 0 < stored <= allocated
        and "ExtendedOffsetTable" not in header
    )


def _padding(header: Header) -> tuple[int, int] | None:
    """Range of the numbers which pad an image, or None where it is not padded.

    Source:
        DICOM PS3.3, C.7.5.1.1.2 (Pixel Padding Value and Pixel Padding Range Limit).
    """
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    other = limit if isinstance(limit, int) else value
    ends = _as_stored(value, header), _as_stored(other, header)
    return min(ends), max(ends)


def _as_stored(value: int, header: Header) -> int:
    """A number as the pixels hold it; some programs write a negative one as if it had no sign, or the other way."""
    bits = int(header["BitsAllocated"])
    if not int(header.get("PixelRepresentation", 0)):
        return value % (1 << bits)
    half, stored = 1 << (bits - 1), 1 << int(header.get("BitsStored", bits))
    signed = (value + half) % (2 * half) - half
    return signed - stored if stored // 2 <= signed < stored else signed
