"""Judge DICOM attributes one by one, at any depth; equal attributes are judged once per intake."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from pydicom._private_dict import private_dictionaries
from pydicom.datadict import (
    keyword_for_tag,
    private_dictionary_description,
    private_dictionary_VR,
)
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from synthdata.intake.confidentiality import (
    DEVICE,
    INSTITUTION,
    PATIENT,
    SAFE_PRIVATE,
    Rule,
    load_rules,
    safe_private,
)
from synthdata.intake.header import Decoder, Header
from synthdata.intake.likeness import Likeness
from synthdata.intake.plain_file import Known, PlainReader, decimals, one_uid
from synthdata.intake.policy import STRICT, Policy
from synthdata.intake.strict_walk import fills
from synthdata.intake.text_patterns import (
    is_dummy,
    is_technical,
    is_token,
)
from synthdata.intake.value_types import (
    BINARY_VRS,
    LEAST_VALUES,
    NEVER,
    PROSE_VRS,
    TEXT_VRS,
    Finding,
    binary,
    by_type,
    is_a_day,
    is_curve,
    is_long,
    texts,
    unique_ids,
    values_of,
)

IDENTIFIER_ENDINGS = ("ID", "Number", "Identifier", "NumberImagingServiceRequest")
DOCUMENTS = {
    "EncapsulatedDocument",
    "IconImageSequence",
    "GraphicAnnotationSequence",
    "WaveformSequence",
    "FloatPixelData",
    "DoubleFloatPixelData",
}  # and images beside the image
OTHER_PIXELS = range(0x7F00, 0x7FE0)  # groups of the retired Variable Pixel Data
CHARACTER_SET = re.compile(r"(?:ISO[ _-]?(?:2022[ _-])?IR[ _-]?\d{1,3}|GB18030|GBK|)\s*")
INTEGERS = frozenset({"US", "SS", "UL", "SL"})
TELLING = re.compile(
    r"\b(?:date|birth|patient|person|physician|operator|hospital|institution|serial|accession|suite|user name|host|"
    r"study|exam|examination|uid|unique|checksum|comment|remark|text|history|address|login|station)\b"
)  # meanings of private attributes which may identify
TOLERANT = frozenset({PATIENT, DEVICE, INSTITUTION})  # options which keep a value as it is
NO_FINDINGS: frozenset[Finding] = frozenset()
CURVES = frozenset(  # of grey values; what rises or falls all along spells nothing, though codes of letters are in it
    {"LUTData", *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))}
)
FILE_META_ALLOWED = 0x0013  # elements of group 2 above Implementation Version Name name machines
PIXEL_DATA = BaseTag(0x7FE00010)
PURPOSE, SYNTHESIZING_EQUIPMENT = BaseTag(0x0040A170), "109100"  # DICOM PS3.16, CID 7005
PRIVATE = 0x10000  # bit of an odd group
CACHED_BYTES = 1 << 16
CACHE_ENTRIES = 1 << 17


class ElementJudge:
    """Findings of datasets; holds a cache of raw attributes, since slices share nearly all of them."""

    def __init__(self, policy: Policy = STRICT) -> None:
        self.policy = policy
        self.decoder = Decoder()  # of the attributes which are asked for by name
        self.reader = PlainReader()
        self.likeness = Likeness()
        self._rules = load_rules()
        self._cache: dict[tuple[int, str | None, bytes, str, bool], frozenset[Finding]] = {}

    def judge_header(self, header: Header, *, without: BaseTag) -> set[Finding]:
        """All findings of a file and its file meta information, except those of one attribute and of pixels."""
        if header.plain is None:
            return self.judge(header.dataset, without=without) | self.judge_file_meta(
                header.dataset.file_meta
            )
        findings: set[Finding] = set()
        for tag, one in header.plain.attributes.items():  # pixels come without findings
            found = one.findings
            if found is None:
                found = self._known(one)
            if found and tag != without:
                findings |= found
        for tag, one in header.plain.meta.items():
            if tag & 0xFFFF <= FILE_META_ALLOWED:
                findings |= self._known(one)
            elif one.raw.value:
                findings.add(("deid.file_meta", NEVER))
        return findings

    def judge_in(self, header: Header, tag: BaseTag) -> frozenset[Finding]:
        """Findings of one attribute of a file; none where the file lacks it."""
        if header.plain is None:
            return self.judge_one(header.dataset, tag)
        one = header.plain.attributes.get(int(tag))
        return self._known(one) if one is not None else frozenset()

    def _known(self, one: Known) -> frozenset[Finding]:
        if one.findings is None:
            plain = self._plain_value(one.raw)
            one.findings = self._findings_of(one) if plain is None else plain
        return one.findings

    def _findings_of(self, one: Known) -> frozenset[Finding]:
        """Findings of a decoded attribute, and of the structure of a sequence."""
        found, raw = set(self._judge(one.element(), one.creator)), one.raw
        if raw.VR == "SQ" and not fills(raw.value or b"", implicit=False, little=True, is_sequence=True):
            found.add(("deid.hidden_bytes", NEVER))
        return frozenset(found)

    def _plain_value(self, raw: RawDataElement) -> frozenset[Finding] | None:
        """Findings of the numbers and UIDs that each slice has of its own, without decoding; None: look closer.

        They are what `_judge` finds, of a public attribute of which nothing but the type of its value is judged.
        """
        if raw.VR not in {"UI", "DS"} or len(self.policy.deny) or not _judged_by_type(int(raw.tag)):
            return None
        if raw.VR == "UI":
            text = one_uid(raw.value)
            return _findings_of_uid(text) if text else None
        parts = decimals(raw.value)
        numbers = [part.decode() for part in parts] if parts else []
        plain = numbers and not any(is_a_day(number) or is_long(number) for number in numbers)
        return NO_FINDINGS if plain and (len(parts) < LEAST_VALUES or b"." in (raw.value or b"")) else None

    def judge(self, dataset: Dataset, *, without: BaseTag = PIXEL_DATA) -> set[Finding]:
        """All findings of a dataset and of what is nested in it, except those of one attribute and of pixels."""
        findings: set[Finding] = set()
        for tag, element in list(dataset.items()):
            if int(tag) not in {int(PIXEL_DATA), int(without)}:
                findings |= self._element(dataset, tag, element)
        return findings

    def judge_one(self, dataset: Dataset, tag: BaseTag) -> frozenset[Finding]:
        """Findings of one attribute; none where the dataset lacks it."""
        return self._element(dataset, tag, dataset.get_item(tag)) if tag in dataset else frozenset()

    def judge_file_meta(self, meta: Dataset) -> set[Finding]:
        """Findings of group 2: who sent the file is nobody's business."""
        extra = any(tag.element > FILE_META_ALLOWED and meta.get_item(tag).value for tag in meta.keys())  # noqa: SIM118
        findings = {("deid.file_meta", NEVER)} if extra else set()
        for tag in meta.keys():  # noqa: SIM118
            if tag.element <= FILE_META_ALLOWED:
                findings |= self._element(meta, tag, meta.get_item(tag))
        return findings

    def _element(
        self, dataset: Dataset, tag: BaseTag, raw: DataElement | RawDataElement
    ) -> frozenset[Finding]:
        creator = _creator(dataset, tag)
        if not isinstance(raw, RawDataElement) or raw.value is None or len(raw.value) > CACHED_BYTES:
            return frozenset(self._judge(dataset[tag], creator))
        key = (int(tag), raw.VR, raw.value, creator, raw.is_little_endian)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= CACHE_ENTRIES:
                self._cache.clear()
            found = self._cache[key] = frozenset(self._judge(dataset[tag], creator))
        return found

    def _judge(self, element: DataElement, creator: str) -> Iterator[Finding]:
        if element.VR == "SQ":
            for item in element.value:
                yield from self.judge(item)
                if PIXEL_DATA in item:  # an image in an attribute, which nobody looks at
                    yield ("deid.embedded_document", NEVER)
                if (
                    element.tag == PURPOSE
                    and str(item.get("CodeValue", "")).strip() == SYNTHESIZING_EQUIPMENT
                ):
                    yield ("source.synthetic", NEVER)
        if element.tag.is_private:
            yield from self._private(element, creator)
        elif element.tag.group & 0xFF01 in {0x5000, 0x6000} and element.tag.group <= 0x60FF:
            yield ("deid.overlay", NEVER)
        elif not element.is_empty:
            yield from self._public(element)
        if len(self.policy.deny) and any(map(self.policy.deny.matches, texts(element))):
            yield ("deid.deny_list", NEVER)

    def _public(self, element: DataElement) -> Iterator[Finding]:
        keyword = keyword_for_tag(element.tag)
        if keyword in DOCUMENTS or element.tag.group in OTHER_PIXELS:
            yield ("deid.embedded_document", NEVER)
        if keyword == "SyntheticData" and "YES" in {value.strip().upper() for value in values_of(element)}:
            yield ("source.synthetic", NEVER)
        if keyword == "EncryptedContent":  # which holds the identity for those with the key
            yield ("deid.hidden_bytes", NEVER)
        if keyword == "SpecificCharacterSet" and not all(
            CHARACTER_SET.fullmatch(value) for value in values_of(element)
        ):
            yield ("deid.unknown_element", NEVER)
        if not keyword and element.tag.element != 0:
            yield ("deid.unknown_element", NEVER)
        rule = self._rules.get(keyword)
        if rule is not None and rule.action not in {"U", "X/Z/U"}:
            yield from _listed(element, keyword, rule)
        if keyword in CURVES and is_curve(element.value):
            return
        kept = rule.options & TOLERANT if rule is not None else NEVER
        yield from by_type(element, keyword, kept)
        if element.VR in BINARY_VRS and isinstance(element.value, bytes):
            yield from binary(element.value)

    def _private(self, element: DataElement, creator: str) -> Iterator[Finding]:
        """Private attributes: allowed only by the option, and only those on a list of safe ones."""
        if element.tag.element < 0x1000:  # a creator
            name = str(element.value)
            known = name in private_dictionaries or self.policy.allows_creator(name)
            yield ("deid.private_tag", frozenset({SAFE_PRIVATE}) if known else NEVER)
            if not known:
                yield from by_type(element, "", NEVER)
            return
        name = f"{element.tag.group:04X},{element.tag.element & 0xFF:02X}"
        listed = name in safe_private().get(creator, ()) or self.policy.allows_private(creator, name)
        safe = listed or _is_a_known_quantity(element, creator)
        yield ("deid.private_tag", frozenset({SAFE_PRIVATE}) if safe else NEVER)
        if element.VR in BINARY_VRS and isinstance(element.value, bytes):
            yield from binary(element.value)
        else:
            yield from by_type(element, "Manufacturer" if safe else "", NEVER)


@cache
def _judged_by_type(tag: int) -> bool:
    """True for a public attribute of the dictionary on which neither a rule of the profile nor its name bears."""
    keyword, rule = keyword_for_tag(tag), load_rules().get(keyword_for_tag(tag))
    by_rule = rule is not None and rule.action not in {"U", "X/Z/U"}
    other = (tag >> 16) & 0xFF01 in {0x5000, 0x6000} or tag >> 16 in OTHER_PIXELS
    return bool(keyword) and not (tag & PRIVATE or other or by_rule or keyword in DOCUMENTS)


@lru_cache(1024)
def _findings_of_uid(text: str) -> frozenset[Finding]:
    return frozenset(unique_ids([text]))


def _creator(dataset: Dataset, tag: BaseTag) -> str:
    """Creator of a private block, or an empty text."""
    if not int(tag) & PRIVATE or tag.element < 0x1000:
        return ""
    creator = dataset.get(BaseTag((tag.group << 16) | (tag.element >> 8)))
    return str(creator.value) if creator is not None else ""


def _is_a_known_quantity(element: DataElement, creator: str) -> bool:
    """True where the vendors' dictionary knows the element, by this type, as nothing that names or dates."""
    try:
        kind = private_dictionary_VR(element.tag, creator)
        meaning = private_dictionary_description(element.tag, creator).lower()
    except KeyError:
        return False
    same = kind == element.VR or {kind, element.VR} <= INTEGERS or kind in BINARY_VRS
    return (
        same
        and kind not in {"SQ", "PN", "DA", "DT", "TM", "UI", "AE", *PROSE_VRS}
        and not TELLING.search(meaning)
    )


def _listed(element: DataElement, keyword: str, rule: Rule) -> Iterator[Finding]:
    """An attribute of Table E.1-1 which has a value."""
    if element.VR in {"DA", "DT", "TM", "PN"} and keyword not in {"PatientBirthTime", "PatientBirthDate"}:
        return  # judged by type, wherever it stands
    if keyword in {"PatientBirthDate", "PatientBirthTime"}:
        yield ("deid.birth_date", NEVER)
        return
    values = values_of(element) if element.VR != "SQ" else []
    dummies = rule.action != "X" and element.VR != "SQ" and all(is_dummy(value) for value in values)
    tokens = (
        rule.action != "X"
        and keyword.endswith(IDENTIFIER_ENDINGS)
        and all(is_token(value) for value in values)
    )
    technical = rule.descriptor and element.VR in TEXT_VRS and all(is_technical(value) for value in values)
    if not (dummies or tokens or technical):
        yield ("deid.identifying_attribute", rule.options)
