"""One DICOM file: parsed once, judged, and kept as a few numbers; the header's texts are let go."""

import io
import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pydicom.config
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, SegmentationStorage

from synthdata.intake.deidentification import VOLUMES, FileFrame, codes_of
from synthdata.intake.elements import ElementJudge
from synthdata.intake.header import Header
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.pseudonyms import Pseudonyms

PREAMBLE_BYTES = 128
PIXEL_DATA = 0x7FE00010
UNDEFINED_LENGTH = 0xFFFFFFFF
DAMAGE = (  # what parsers raise on bytes that are not what they claim
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    OSError,
    struct.error,
    InvalidDicomError,
    BytesLengthException,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """What the later steps need of one DICOM file; ids are pseudonyms or UIDs and stay in the process."""

    seen: SeenFile
    patient: str  # pseudonym
    case: str  # pseudonym of patient and study
    person: tuple[str, str]  # sex and birth as stated, hashed, to notice two persons under one id
    series_uid: str
    sop_uid: str
    is_mask: bool
    modality: str
    description: str  # Series Description, for the channels' patterns
    frame_of_reference: str
    shape_yx: tuple[int, int]
    position_mm: tuple[float, ...]  # LPS of the first pixel, or empty
    orientation: tuple[float, ...]  # LPS cosines of a row, then of a column, or empty
    spacing_mm: tuple[float, float] | None  # along y, x
    thickness_mm: float
    problems: frozenset[str]  # reason codes which concern the whole series
    pixels: "PixelPlan"


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelPlan:
    """How stored bytes become values."""

    offset: int  # in the file; -1 where a decoder is needed
    dtype: str  # numpy type of the stored pixels
    bits_stored: int
    inverted: bool  # MONOCHROME1
    slope: float
    intercept: float
    padding: int | None


@contextmanager
def quiet_parsers() -> Iterator[None]:
    """Keep parsers from warning or logging, since their messages hold values of the header."""
    logger, level = logging.getLogger("pydicom"), logging.getLogger("pydicom").level
    mode = pydicom.config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        try:
            yield
        finally:
            logger.setLevel(level)
            pydicom.config.settings.reading_validation_mode = mode


def is_dicom(data: bytes) -> bool:
    """True for the magic word of a Part 10 file."""
    return data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM"


def read_instance(
    seen: SeenFile,
    data: bytes,
    *,
    judge: ElementJudge,
    names: Pseudonyms,
    inventory: Inventory,
    body_part: str,
) -> Instance | None:
    """Parse and judge one file; reasons are booked with the file, the series of a damaged one with the inventory.

    Returns:
        The instance, or None where the file is damaged or no image that intake knows.
    """
    buffer = io.BytesIO(data)
    try:
        header = Header(dcmread(buffer), judge.decoder)
        damage = _damage(header)
        frame = FileFrame(
            preamble=data[:PREAMBLE_BYTES],
            trailing_bytes=0 if header.transfer_syntax.is_deflated else len(data) - buffer.tell(),
        )
        seen.reasons |= codes_of(header, judge, frame, body_part=body_part)
        if damage:
            seen.reasons.add(damage)
            inventory.broken.add(_owner(header, names))
            return None
        return _instance(seen, header, names)
    except DAMAGE:
        seen.reasons.add("file.malformed")
        inventory.broken.add("")
        return None


def _owner(header: Header, names: Pseudonyms) -> str:
    """Series of a damaged file, or its patient where it ends before it tells that; empty where it tells neither."""
    series, patient = str(header.get("SeriesInstanceUID", "")), str(header.get("PatientID", "") or "")
    return series or (names.patient(patient) if patient else "")


def _damage(header: Header) -> str:
    """A reason where the file ends too early or has no pixels."""
    last = header.raw(header.last_tag) if header.last_tag is not None else None
    if last is not None and last.length != UNDEFINED_LENGTH and len(last.value or b"") < last.length:
        return "file.truncated"
    if "PixelData" not in header:
        return "file.no_pixels"
    syntax = header.transfer_syntax
    if not syntax.is_transfer_syntax:
        return "file.malformed"
    raw = header.raw(PIXEL_DATA)
    if not syntax.is_compressed and raw is not None:
        bits = int(header["Rows"]) * int(header["Columns"]) * int(header.get("SamplesPerPixel", 1))
        bits *= int(header.get("NumberOfFrames", 1) or 1) * int(header["BitsAllocated"])
        if len(raw.value or b"") < (bits + 7) // 8:
            return "file.truncated"
    return ""


def _instance(seen: SeenFile, header: Header, names: Pseudonyms) -> Instance:
    identifier = str(header.get("PatientID", "") or "")
    spacing = [float(value) for value in _first(header, "PixelSpacing", "ImagerPixelSpacing")]
    rescale = (float(header.get("RescaleSlope", 1) or 1), float(header.get("RescaleIntercept", 0) or 0))
    thickness = header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0
    return Instance(
        seen=seen,
        patient=names.patient(identifier),
        case=names.case(identifier, str(header.get("StudyInstanceUID", ""))),
        person=(str(header.get("PatientSex", "") or ""), str(header.get("PatientBirthDate", "") or "")),
        series_uid=str(header["SeriesInstanceUID"]),
        sop_uid=str(header["SOPInstanceUID"]),
        is_mask=header["SOPClassUID"] == SegmentationStorage,
        modality=str(header.get("Modality", "")),
        description=str(header.get("SeriesDescription", "") or ""),
        frame_of_reference=str(header.get("FrameOfReferenceUID", "") or ""),
        shape_yx=(int(header["Rows"]), int(header["Columns"])),
        position_mm=tuple(float(value) for value in (header.get("ImagePositionPatient") or ())),
        orientation=tuple(float(value) for value in (header.get("ImageOrientationPatient") or ())),
        spacing_mm=(spacing[0], spacing[1]) if len(spacing) == 2 else None,
        thickness_mm=float(thickness),
        problems=frozenset(_problems(header)),
        pixels=_pixel_plan(header, rescale),
    )


def _first(header: Header, *keywords: str) -> list[float]:
    return next((list(header[keyword]) for keyword in keywords if header.get(keyword)), [])


def _problems(header: Header) -> Iterator[str]:
    if header["SOPClassUID"] == SegmentationStorage:
        return
    if int(header.get("NumberOfFrames", 1) or 1) > 1 or "PerFrameFunctionalGroupsSequence" in header:
        yield "series.multi_frame"
    if "MOSAIC" in [str(value) for value in (header.get("ImageType") or [])]:
        yield "series.mosaic"
    if int(header.get("SamplesPerPixel", 1)) != 1:
        yield "pixels.colour"
    if header.get("ModalityLUTSequence"):
        yield "pixels.lookup_table"
    if header["SOPClassUID"] in VOLUMES and not header.get("ImagePositionPatient"):
        yield "series.no_geometry"


def _pixel_plan(header: Header, rescale: tuple[float, float]) -> PixelPlan:
    syntax = header.transfer_syntax
    raw = header.raw(PIXEL_DATA)
    allocated = int(header["BitsAllocated"])
    native = not syntax.is_encapsulated and not syntax.is_deflated and allocated in {8, 16, 32}
    offset = raw.value_tell if raw is not None and native else -1
    kind = "i" if int(header.get("PixelRepresentation", 0)) else "u"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    padding = header.get("PixelPaddingValue")
    return PixelPlan(
        offset=offset,
        dtype=np.dtype(f"{order}{kind}{max(allocated // 8, 1)}").str,
        bits_stored=int(header.get("BitsStored", allocated)),
        inverted=header.get("PhotometricInterpretation", "") == "MONOCHROME1",
        slope=rescale[0],
        intercept=rescale[1],
        padding=int(padding) if isinstance(padding, int) else None,
    )
