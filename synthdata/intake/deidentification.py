"""Does a DICOM file show that it was de-identified, and does its content agree?

The declared method is a claim, not a proof: it only decides which of the findings an option allows.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from synthdata.intake.confidentiality import BASIC_PROFILE, CLEAN_FACES, CLEAN_PIXELS
from synthdata.intake.elements import ElementJudge
from synthdata.intake.header import Header, uid
from synthdata.intake.hidden_bytes import has_hidden_bytes
from synthdata.intake.policy import Policy
from synthdata.intake.value_types import Finding

SYNTHESIZING_EQUIPMENT = "109100"  # DICOM PS3.16, CID 7005
PATIENT_NAME = BaseTag(0x00100010)
VOLUMES = frozenset(
    {
        CTImageStorage,
        MRImageStorage,
        EnhancedCTImageStorage,
        EnhancedMRImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
    }
)
PROJECTIONS = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # Label Map Segmentation, younger than the parser
ALLOWED = VOLUMES | PROJECTIONS | {SegmentationStorage, LABEL_MAP_STORAGE, RTStructureSetStorage}
HEAD_PARTS = (
    "HEAD",
    "BRAIN",
    "SKULL",
    "FACE",
    "NECK",
    "ORBIT",
    "EYE",
    "EAR",
    "SINUS",
    "JAW",
    "MAXILLA",
    "MANDIBLE",
    "IAC",
)
HEAD_EXTENT_MM = (150.0, 400.0)  # fields of view which may show a face where the body part is not stated


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFrame:
    """What surrounds the dataset in its file."""

    preamble: bytes
    trailing_bytes: int
    is_filled: bool  # by its attributes, each once at every depth


def codes_of(header: Header, judge: ElementJudge, frame: FileFrame, *, body_part: str = "") -> set[str]:
    """Reason codes of one DICOM file; empty where nothing speaks against it.

    Args:
        header: The parsed file, with its file meta information.
        judge: Judges the attributes; shared by the files of an intake.
        frame: Preamble and trailing bytes of the file.
        body_part: DICOM Body Part Examined by the spec, for files which do not state it.

    Returns:
        Codes of `synthdata.intake.reasons`.

    Source:
        DICOM PS3.15, Annex E (profiles and Table E.1-1); PS3.16, CID 7050 (method codes).
    """
    allowed, reasons = judge.likeness.of(
        "statements", lambda header: _statements(header, body_part, judge.policy), header, given=body_part
    )
    others = judge.judge_header(header, without=PATIENT_NAME)
    findings = judge.judge_in(header, PATIENT_NAME) | others
    codes = reasons | {reason for reason, options in findings if not options & allowed}
    if "deid.person_name" in codes and _name_is_the_pseudonym(header, others):
        codes -= {"deid.person_name"}
    if any(frame.preamble):
        codes |= {"deid.preamble"}
    if frame.trailing_bytes:
        codes |= {"deid.trailing_bytes"}
    if _file_meta_differs(header):
        codes |= {"deid.file_meta"}
    if has_hidden_bytes(header, judge.likeness) or not frame.is_filled:
        codes |= {"deid.hidden_bytes"}
    return set(codes)


def _statements(header: Header, body_part: str, policy: Policy) -> tuple[frozenset[str], frozenset[str]]:
    """Method codes which allow findings, and what the attributes that are asked for by name speak against."""
    codes = _method_codes(header)
    reasons = _evidence(header, codes) | _pixel_risks(header, codes, body_part, policy) | _origin(header)
    return frozenset(codes | _dates_option(header)), frozenset(reasons)


def _method_codes(header: Header) -> set[str]:
    items = header.get("DeidentificationMethodCodeSequence") or []
    return {
        str(item.get("CodeValue", "")) for item in items if item.get("CodingSchemeDesignator", "") == "DCM"
    }


def _evidence(header: Header, codes: set[str]) -> set[str]:
    reasons = set()
    if header.get("PatientIdentityRemoved", "") != "YES":
        reasons.add("deid.not_declared")
    if not codes and not header.get("DeidentificationMethod"):
        reasons.add("deid.no_method")
    if BASIC_PROFILE not in codes:
        reasons.add("deid.no_basic_profile")
    return reasons


def _dates_option(header: Header) -> set[str]:
    """Dates which are declared as modified count as the option which modifies them."""
    return {"113107"} if header.get("LongitudinalTemporalInformationModified", "") == "MODIFIED" else set()


def _name_is_the_pseudonym(header: Header, others: set[Finding]) -> bool:
    """True where the only name of the file repeats its patient id, which is one word."""
    name, identifier = str(header.get("PatientName", "")), str(header.get("PatientID", ""))
    if not identifier or name != identifier or "^" in name or " " in name:
        return False
    return all(reason != "deid.person_name" for reason, _ in others)


def _file_meta_differs(header: Header) -> bool:
    """True where the file meta information names another object than the one that follows."""
    pairs = (("MediaStorageSOPInstanceUID", "SOPInstanceUID"), ("MediaStorageSOPClassUID", "SOPClassUID"))
    return any(
        stated and stated != str(header.get(inner, ""))
        for stated, inner in ((header.meta(outer), inner) for outer, inner in pairs)
    )


def _pixel_risks(header: Header, codes: set[str], body_part: str, policy: Policy) -> set[str]:
    kind = uid(str(header.get("SOPClassUID", "")))
    reasons = set()
    if kind not in ALLOWED:
        reasons.add("deid.sop_class")
    burned = header.get("BurnedInAnnotation", "")
    at_risk = kind in PROJECTIONS or kind not in ALLOWED
    if burned == "YES" or (at_risk and burned != "NO" and CLEAN_PIXELS not in codes):
        reasons.add("deid.burned_in")
    face = header.get("RecognizableVisualFeatures", "")
    cleaned = face == "NO" or CLEAN_FACES in codes
    if policy.faces != "hold":
        return reasons
    if face == "YES" or (kind in VOLUMES and not cleaned and _may_show_a_head(header, body_part)):
        reasons.add("deid.face")
    return reasons


def _may_show_a_head(header: Header, body_part: str) -> bool:
    part = str(header.get("BodyPartExamined", "") or body_part).upper()
    if part:
        return any(name in part for name in HEAD_PARTS)
    spacing = header.get("PixelSpacing") or [0, 0]
    extent = np.asarray(spacing, dtype=float) * [int(header.get("Rows", 0)), int(header.get("Columns", 0))]
    return bool(HEAD_EXTENT_MM[0] <= extent.max() <= HEAD_EXTENT_MM[1])


def _origin(header: Header) -> set[str]:
    reasons = set()
    image_type = [str(value) for value in (header.get("ImageType") or [])]
    if header.get("SyntheticData", "") == "YES" or "SYNTHETIC" in image_type or _was_synthesized(header):
        reasons.add("source.synthetic")
    if image_type[1:2] == ["SECONDARY"]:
        reasons.add("source.secondary")
    return reasons


def _was_synthesized(header: Header) -> bool:
    """True where a contributing equipment is a synthesizing one, or a comment says so, as our own releases do."""
    purposes = (
        str(code.get("CodeValue", ""))
        for item in header.get("ContributingEquipmentSequence") or []
        for code in item.get("PurposeOfReferenceCodeSequence") or []
    )
    comments = str(header.get("ImageComments", "") or "").upper()
    return SYNTHESIZING_EQUIPMENT in purposes or comments.startswith("SYNTHETIC")
