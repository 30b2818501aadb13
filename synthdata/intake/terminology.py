"""Coded meaning of the segments of a SEG object."""

import re
from collections.abc import Iterator

from synthdata.intake.header import Header

CODE = re.compile(r"[1-9][0-9]{5,17}")  # a SNOMED CT identifier
MEANING = re.compile(r"[A-Za-z][A-Za-z ,()/'-]{1,63}")  # words alone: the meaning goes to the release
SNOMED = frozenset({"SCT", "SNOMED-CT"})  # SRT holds codes of an older kind, which SCT replaced


def segment_codes(header: Header) -> Iterator[tuple[str, str]]:
    """Label of each segment with `<SNOMED CT code>|<meaning>` of its property type, where it states one.

    Source:
        DICOM PS3.3, C.8.20.4 (Segment Description) and PS3.16, chapter 8 (coding schemes).
    """
    for segment in header.get("SegmentSequence") or ():
        kinds = segment.get("SegmentedPropertyTypeCodeSequence") or ()
        for kind in kinds[:1]:
            code, meaning = str(kind.get("CodeValue", "")).strip(), str(kind.get("CodeMeaning", "")).strip()
            known = str(kind.get("CodingSchemeDesignator", "")) in SNOMED
            if known and CODE.fullmatch(code) and MEANING.fullmatch(meaning):
                yield str(segment.get("SegmentLabel", "")), f"{code}|{meaning}"
