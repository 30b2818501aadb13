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
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, ExplicitVRBigEndian, SegmentationStorage

from synthdata.intake.deidentification import VOLUMES, FileFrame, codes_of
from synthdata.intake.elements import ElementJudge
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
        dataset = dcmread(buffer)
        damage = _damage(dataset)
        frame = FileFrame(
            preamble=data[:PREAMBLE_BYTES],
            trailing_bytes=0 if _is_deflated(dataset) else len(data) - buffer.tell(),
        )
        seen.reasons |= codes_of(dataset, judge, frame, body_part=body_part)
        if damage:
            seen.reasons.add(damage)
            inventory.broken.add(_owner(dataset, names))
            return None
        return _instance(seen, dataset, names)
    except DAMAGE:
        seen.reasons.add("file.malformed")
        inventory.broken.add("")
        return None


def _owner(dataset: FileDataset, names: Pseudonyms) -> str:
    """Series of a damaged file, or its patient where it ends before it tells that; empty where it tells neither."""
    series, patient = str(dataset.get("SeriesInstanceUID", "")), str(dataset.get("PatientID", "") or "")
    return series or (names.patient(patient) if patient else "")


def _damage(dataset: FileDataset) -> str:
    """A reason where the file ends too early or has no pixels."""
    tags = sorted(dataset.keys())
    last = _raw(dataset, tags[-1]) if tags else None
    if (
        isinstance(last, RawDataElement)
        and last.length != UNDEFINED_LENGTH
        and len(last.value or b"") < last.length
    ):
        return "file.truncated"
    if PIXEL_DATA not in dataset:
        return "file.no_pixels"
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax:
        return "file.malformed"
    raw = _raw(dataset, PIXEL_DATA)
    if not syntax.is_compressed and raw is not None:
        bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1))
        bits *= int(dataset.get("NumberOfFrames", 1) or 1) * int(dataset.BitsAllocated)
        if len(raw.value or b"") < (bits + 7) // 8:
            return "file.truncated"
    return ""


def _raw(dataset: FileDataset, tag: int) -> RawDataElement | None:
    """An attribute as it stands in the file; None where it was decoded while parsing (a sequence)."""
    element: object = dataset.get_item(tag)
    return element if isinstance(element, RawDataElement) else None


def _is_deflated(dataset: FileDataset) -> bool:
    return bool(UID(str(dataset.file_meta.get("TransferSyntaxUID", ""))).is_deflated)


def _instance(seen: SeenFile, dataset: FileDataset, names: Pseudonyms) -> Instance:
    identifier = str(dataset.get("PatientID", "") or "")
    spacing = [float(value) for value in _first(dataset, "PixelSpacing", "ImagerPixelSpacing")]
    rescale = (float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0))
    thickness = dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness") or 1.0
    return Instance(
        seen=seen,
        patient=names.patient(identifier),
        case=names.case(identifier, str(dataset.get("StudyInstanceUID", ""))),
        person=(str(dataset.get("PatientSex", "") or ""), str(dataset.get("PatientBirthDate", "") or "")),
        series_uid=str(dataset.SeriesInstanceUID),
        sop_uid=str(dataset.SOPInstanceUID),
        is_mask=dataset.SOPClassUID == SegmentationStorage,
        modality=str(dataset.get("Modality", "")),
        description=str(dataset.get("SeriesDescription", "") or ""),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID", "") or ""),
        shape_yx=(int(dataset.Rows), int(dataset.Columns)),
        position_mm=tuple(float(value) for value in (dataset.get("ImagePositionPatient") or ())),
        orientation=tuple(float(value) for value in (dataset.get("ImageOrientationPatient") or ())),
        spacing_mm=(spacing[0], spacing[1]) if len(spacing) == 2 else None,
        thickness_mm=float(thickness),
        problems=frozenset(_problems(dataset)),
        pixels=_pixel_plan(dataset, rescale),
    )


def _first(dataset: FileDataset, *keywords: str) -> list[float]:
    return next((list(dataset[keyword].value) for keyword in keywords if dataset.get(keyword)), [])


def _problems(dataset: FileDataset) -> Iterator[str]:
    if dataset.SOPClassUID == SegmentationStorage:
        return
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        yield "series.multi_frame"
    if "MOSAIC" in [str(value) for value in (dataset.get("ImageType") or [])]:
        yield "series.mosaic"
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        yield "pixels.colour"
    if dataset.get("ModalityLUTSequence"):
        yield "pixels.lookup_table"
    if dataset.SOPClassUID in VOLUMES and not dataset.get("ImagePositionPatient"):
        yield "series.no_geometry"


def _pixel_plan(dataset: FileDataset, rescale: tuple[float, float]) -> PixelPlan:
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    raw = _raw(dataset, PIXEL_DATA)
    allocated = int(dataset.BitsAllocated)
    native = not syntax.is_encapsulated and not syntax.is_deflated and allocated in {8, 16, 32}
    offset = raw.value_tell if raw is not None and native else -1
    kind = "i" if int(dataset.get("PixelRepresentation", 0)) else "u"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    padding = dataset.get("PixelPaddingValue")
    return PixelPlan(
        offset=offset,
        dtype=np.dtype(f"{order}{kind}{max(allocated // 8, 1)}").str,
        bits_stored=int(dataset.get("BitsStored", allocated)),
        inverted=dataset.get("PhotometricInterpretation", "") == "MONOCHROME1",
        slope=rescale[0],
        intercept=rescale[1],
        padding=int(padding) if isinstance(padding, int) else None,
    )
