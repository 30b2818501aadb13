"""One DICOM file: parsed once, judged, and kept as a few numbers; the header's texts are let go."""

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pydicom.config
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from synthdata.intake.bombs import is_deflated_bomb
from synthdata.intake.deidentification import LABEL_MAP_STORAGE, VOLUMES, FileFrame, codes_of
from synthdata.intake.elements import ElementJudge
from synthdata.intake.frames import (
    Frame,
    SharedFrame,
    classic_frame,
    enhanced_frames,
    placed_frame,
    shared_frame,
)
from synthdata.intake.header import Header, PlainHeader
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.likeness import Likeness
from synthdata.intake.mosaic import is_mosaic, tile_shape, tiles_of
from synthdata.intake.pixel_plan import NO_PIXELS, PIXEL_DATA, PixelPlan, pixel_plan
from synthdata.intake.plain_file import PREFIX
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.strict_walk import dataset_start, fills
from synthdata.intake.terminology import segment_codes
from synthdata.intake.wholeness import damage_of, unknown_syntax

PREAMBLE_BYTES = 128
PARSERS = ("pydicom", "nibabel.global")  # loggers
MASKS = frozenset({SegmentationStorage, LABEL_MAP_STORAGE, RTStructureSetStorage})
GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
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
    zlib.error,
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
    shape_yx: tuple[int, int]  # of a slice
    frames: tuple[Frame, ...]  # its slices; none for a mask
    problems: frozenset[str]  # reason codes which concern the whole series
    pixels: PixelPlan
    codes: tuple[tuple[str, str], ...] = ()  # of a segmentation: label and `<SNOMED CT code>|<meaning>`


@contextmanager
def quiet_parsers() -> Iterator[None]:
    """Keep parsers from warning or logging, since their messages hold values of the header."""
    loggers = [logging.getLogger(name) for name in PARSERS]
    levels, mode = [logger.level for logger in loggers], pydicom.config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
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
    if is_deflated_bomb(data):
        seen.reasons.add("file.too_large")
        inventory.broken.add("")
        return None
    try:
        header, trailing_bytes = _parsed(data, judge)
        if is_directory(header):
            seen.reasons.add("file.dicomdir")
            return None
        if not header.transfer_syntax.is_transfer_syntax:
            seen.reasons.add(unknown_syntax(header.transfer_syntax))
            inventory.broken.add(_owner(header, names))
            return None
        damage = damage_of(header, judge.likeness)
        frame = FileFrame(
            preamble=data[:PREAMBLE_BYTES],
            trailing_bytes=trailing_bytes,
            is_filled=header.plain is not None or _is_filled(header, data),
        )
        seen.reasons |= codes_of(header, judge, frame, body_part=body_part)
        if damage:
            seen.reasons.add(damage)
            inventory.broken.add(_owner(header, names))
            return None
        return _instance(seen, header, names, judge.likeness)
    except DAMAGE:
        seen.reasons.add("file.malformed")
        inventory.broken.add("")
        return None


def _parsed(data: bytes, judge: ElementJudge) -> tuple[Header, int]:
    """The header of a file, and the number of bytes behind its dataset."""
    plain = judge.reader.read(data)
    if plain is not None:
        return PlainHeader(plain, data), 0
    buffer = io.BytesIO(data)
    header = Header(dcmread(buffer), judge.decoder)
    deflated = header.transfer_syntax == DeflatedExplicitVRLittleEndian
    return header, 0 if deflated else len(data) - buffer.tell()


def _is_filled(header: Header, data: bytes) -> bool:
    """False where attributes come twice, or leave a gap, at some depth."""
    start = dataset_start(data, PREFIX)
    if start < 0:
        return False
    syntax = header.transfer_syntax
    if syntax.is_deflated:
        data, start = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:]), 0
    return fills(data, start=start, implicit=syntax.is_implicit_VR, little=syntax.is_little_endian)


def _owner(header: Header, names: Pseudonyms) -> str:
    """Series of a damaged file, or its patient where it ends before it tells that; empty where it tells neither."""
    series, patient = str(header.get("SeriesInstanceUID", "")), str(header.get("PatientID", "") or "")
    return series or (names.patient(patient) if patient else "")


def is_directory(header: Header) -> bool:
    """True for a DICOMDIR, the table of contents of a disc or stick."""
    return (
        header.meta("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
        or "DirectoryRecordSequence" in header
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """What slices of a series have in common: an instance, and its frames, but for what tells one from the other."""

    patient: str
    case: str
    person: tuple[str, str]
    series_uid: str
    is_mask: bool
    modality: str
    description: str
    frame_of_reference: str
    shape_yx: tuple[int, int]
    frame: SharedFrame | None  # None where the file has several slices, or none
    frames: tuple[Frame, ...]  # of such a file
    problems: frozenset[str]
    needs_position: bool
    pixels: PixelPlan
    codes: tuple[tuple[str, str], ...]


def _instance(seen: SeenFile, header: Header, names: Pseudonyms, likeness: Likeness) -> Instance:
    raw = header.raw(PIXEL_DATA)
    at = raw.value_tell if raw is not None else -1
    shared = likeness.of("instance", lambda header: _shared(header, names, at), header, given=at)
    frames, problems = shared.frames, shared.problems
    if shared.frame is not None:
        frames = (placed_frame(shared.frame, header),)
        if shared.needs_position and not frames[0].position_mm:
            problems |= {"series.no_geometry"}
    return Instance(
        seen=seen,
        patient=shared.patient,
        case=shared.case,
        person=shared.person,
        series_uid=shared.series_uid,
        sop_uid=str(header["SOPInstanceUID"]),
        is_mask=shared.is_mask,
        modality=shared.modality,
        description=shared.description,
        frame_of_reference=shared.frame_of_reference,
        shape_yx=shared.shape_yx,
        frames=frames,
        problems=problems,
        pixels=shared.pixels,
        codes=shared.codes,
    )


def _shared(header: Header, names: Pseudonyms, pixels_at: int) -> _Shared:
    identifier = str(header.get("PatientID", "") or "")
    is_mask = header["SOPClassUID"] in MASKS
    stored = (int(header.get("Rows") or 0), int(header.get("Columns") or 0))
    alone = not is_mask and _is_one_slice(header)
    problems = frozenset() if is_mask else frozenset(_problems(header))
    frames: tuple[Frame, ...] = ()
    if not is_mask and not alone:
        frames, more = _frames(header, stored)
        problems |= more
    tiles = len(frames) if len(frames) > 1 and is_mosaic(header) else 0
    return _Shared(
        patient=names.patient(identifier),
        case=names.case(identifier, str(header.get("StudyInstanceUID", ""))),
        person=(str(header.get("PatientSex", "") or ""), str(header.get("PatientBirthDate", "") or "")),
        series_uid=str(header["SeriesInstanceUID"]),
        is_mask=is_mask,
        modality=str(header.get("Modality", "")),
        description=str(header.get("SeriesDescription", "") or ""),
        frame_of_reference=str(header.get("FrameOfReferenceUID", "") or ""),
        shape_yx=tile_shape(stored, tiles) if tiles else stored,
        frame=shared_frame(header) if alone else None,
        frames=frames,
        problems=problems,
        needs_position=header["SOPClassUID"] in VOLUMES,
        pixels=NO_PIXELS if is_mask else pixel_plan(header, tiles, pixels_at),
        codes=tuple(segment_codes(header)) if is_mask else (),
    )


def _is_one_slice(header: Header) -> bool:
    """True for a file without functional groups which is no mosaic."""
    return "PerFrameFunctionalGroupsSequence" not in header and not is_mosaic(header)


def _frames(header: Header, stored: tuple[int, int]) -> tuple[tuple[Frame, ...], set[str]]:
    """Slices of a file that may have several, and reason codes which concern its whole series."""
    if "PerFrameFunctionalGroupsSequence" in header:
        try:
            return enhanced_frames(header), set()
        except ValueError:
            return (classic_frame(header),), {"file.frames"}
    whole = classic_frame(header)
    try:
        return tiles_of(header, whole, stored), set()
    except ValueError:
        return (whole,), {"series.mosaic"}


def _problems(header: Header) -> Iterator[str]:
    if int(header.get("NumberOfFrames", 1) or 1) > 1 and "PerFrameFunctionalGroupsSequence" not in header:
        yield "series.multi_frame"
    if int(header.get("SamplesPerPixel", 1)) != 1 or header.get("PhotometricInterpretation") not in GREY:
        yield "pixels.colour"
