"""Coded meaning of the segments of a SEG object, and of the regions of a structure set."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydicom.sr._snomed_dict import mapping

from synthdata.intake.header import Header

CODE = re.compile(r"[1-9][0-9]{5,17}")  # a SNOMED CT identifier
MEANING = re.compile(r"[A-Za-z][A-Za-z ,()/'-]{1,63}")  # words alone: the meaning goes to the release
SNOMED = frozenset({"SCT", "SNOMED-CT"})
OLDER = frozenset({"SRT", "SNM3", "99SDM"})  # codes such as T-62000, which SCT replaced
NO_CODES: Mapping[str, str] = MappingProxyType({})


class Names:
    """Labels of a spec, known by their names, or else by a code that one label alone has."""

    def __init__(self, labels: Mapping[str, int], codes: Mapping[str, str]) -> None:
        self._values = {name.strip().lower(): value for name, value in labels.items()}
        bare = {name: code.partition("|")[0].strip() for name, code in codes.items() if name in labels}
        counts = Counter(bare.values())
        self._coded = {code: labels[name] for name, code in bare.items() if counts[code] == 1}

    def value_of(self, label: object, kinds: Any) -> int:
        """Mask value of a segment or region; 0 where it is none of the labels.

        Args:
            label: Its name, matched whatever the case.
            kinds: Sequence of its codes, or None.
        """
        by_name = self._values.get(str(label).strip().lower())
        return by_name or self._coded.get(coded(kinds or ()).partition("|")[0], 0)


def segment_codes(header: Header) -> Iterator[tuple[str, str]]:
    """Label of each segment or region with `<SNOMED CT code>|<meaning>`, where it states one.

    Source:
        DICOM PS3.3, C.8.20.4 (Segment Description) and C.8.8.8 (RT ROI Observations); PS3.16, chapter 8 (coding
        schemes) and annex L (identifiers of SNOMED RT and of SNOMED CT).
    """
    for segment in header.get("SegmentSequence") or ():
        found = coded(segment.get("SegmentedPropertyTypeCodeSequence") or ())
        if found:
            yield str(segment.get("SegmentLabel", "")), found
    names = {
        item.get("ROINumber"): item.get("ROIName", "") for item in header.get("StructureSetROISequence") or ()
    }
    for region in header.get("RTROIObservationsSequence") or ():
        found = coded(region.get("RTROIIdentificationCodeSequence") or ())
        if found and region.get("ReferencedROINumber") in names:
            yield str(names[region.get("ReferencedROINumber")]), found


def coded(kinds: Any) -> str:
    """The first code of a sequence as `<SNOMED CT code>|<meaning>`; empty where it is of another scheme."""
    for kind in kinds[:1]:
        code = str(kind.get("CodeValue") or kind.get("LongCodeValue") or "").strip()
        meaning, scheme = (
            str(kind.get("CodeMeaning", "")).strip(),
            str(kind.get("CodingSchemeDesignator", "")),
        )
        if scheme in OLDER:
            code = str(mapping["SRT"].get(code, ""))
        if scheme in SNOMED | OLDER and CODE.fullmatch(code) and MEANING.fullmatch(meaning):
            return f"{code}|{meaning}"
    return ""
