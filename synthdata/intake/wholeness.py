"""Whether a DICOM file is whole: it ends where its data do, and its pixels are as many as its header says."""

from pydicom.uid import UID, RTStructureSetStorage

from synthdata.intake.bombs import decodes_too_large
from synthdata.intake.header import Header
from synthdata.intake.likeness import Likeness
from synthdata.intake.pixel_plan import PIXEL_DATA

UNDEFINED_LENGTH = 0xFFFFFFFF
TRANSFER_SYNTAXES = "1.2.840.10008.1.2."  # of the standard; some are younger than the parser


def unknown_syntax(syntax: UID) -> str:
    """A reason for pixels of a private syntax, or one that is younger than the parser; or for none at all."""
    named = syntax.is_valid and (syntax.is_private or syntax.startswith(TRANSFER_SYNTAXES))
    return "pixels.undecodable" if named else "file.malformed"


def damage_of(header: Header, likeness: Likeness) -> str:
    """A reason where the file ends too early or has no pixels."""
    last = header.raw(header.last_tag) if header.last_tag is not None else None
    if last is not None and last.length != UNDEFINED_LENGTH and len(last.value or b"") < last.length:
        return "file.truncated"
    if "PixelData" not in header:
        return "" if header["SOPClassUID"] == RTStructureSetStorage else _no_pixels(header)
    raw = header.raw(PIXEL_DATA)
    coded = raw is None or (header.plain is not None and raw.length == UNDEFINED_LENGTH)
    length = -1 if raw is None or coded else len(raw.value or b"")
    return likeness.of("damage", lambda header: _wrong_pixels(header, length), header, given=length)


def _no_pixels(header: Header) -> str:
    decimal = "FloatPixelData" in header or "DoubleFloatPixelData" in header
    return "pixels.decimal" if decimal else "file.no_pixels"


def _wrong_pixels(header: Header, length: int) -> str:
    """A reason where the pixels cannot be what the header says; their length is -1 where it is not known."""
    syntax = header.transfer_syntax
    if decodes_too_large(header):
        return "file.too_large"
    return "" if syntax.is_compressed or length < 0 else _wrong_length(header, length)


def _wrong_length(header: Header, length: int) -> str:
    """A reason where native pixel data are shorter or longer than the header says; one byte may be padding."""
    frames = int(header.get("NumberOfFrames", 1) or 1)
    bits = int(header["Rows"]) * int(header["Columns"]) * int(header.get("SamplesPerPixel", 1))
    bits *= frames * int(header["BitsAllocated"])
    if length < (bits + 7) // 8:
        return "file.frames" if frames > 1 else "file.truncated"
    return "file.frames" if length > (bits + 7) // 8 + 1 else ""
