"""Judge DICOM attributes one by one, at any depth; equal attributes are judged once per intake."""

from collections.abc import Iterator

from pydicom.datadict import keyword_for_tag, private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from synthdata.intake.confidentiality import DATES, SAFE_PRIVATE, Rule, load_rules
from synthdata.intake.header import Decoder
from synthdata.intake.text_patterns import (
    bytes_look_identifying,
    is_dummy,
    is_technical,
    is_token,
    looks_identifying,
)

Finding = tuple[str, frozenset[str]]  # reason code, and the method codes which allow it
NEVER: frozenset[str] = frozenset()
TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "UT", "UC", "AE", "UR", "CS"})
BINARY_VRS = frozenset({"OB", "OW", "UN", "OF", "OD", "OL", "OV"})
DUMMY_DATES = ("00010101", "18000101", "19000101", "19700101", "20000101")
IDENTIFIER_ENDINGS = ("ID", "Number", "Identifier", "NumberImagingServiceRequest")
DOCUMENTS = {"EncapsulatedDocument", "IconImageSequence", "GraphicAnnotationSequence", "WaveformSequence"}
FILE_META_ALLOWED = 0x0013  # elements of group 2 above Implementation Version Name name machines
PIXEL_DATA = BaseTag(0x7FE00010)
PRIVATE = 0x10000  # bit of an odd group
CACHED_BYTES = 1 << 16
CACHE_ENTRIES = 1 << 17
OLDEST_AGE = 90  # years; HIPAA 45 CFR 164.514(b)(2)(i)(C)


class ElementJudge:
    """Findings of datasets; holds a cache of raw attributes, since slices share nearly all of them."""

    def __init__(self) -> None:
        self.decoder = Decoder()  # of the attributes which are asked for by name
        self._rules = load_rules()
        self._cache: dict[tuple[int, str | None, bytes, str, bool], frozenset[Finding]] = {}

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
        return {("deid.file_meta", NEVER)} if extra else set()

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
        if element.tag.is_private:
            yield from _private(element, creator)
        elif element.tag.group & 0xFF01 in {0x5000, 0x6000} and element.tag.group <= 0x60FF:
            yield ("deid.overlay", NEVER)
        elif not element.is_empty:
            yield from self._public(element)

    def _public(self, element: DataElement) -> Iterator[Finding]:
        keyword = keyword_for_tag(element.tag)
        if keyword in DOCUMENTS:
            yield ("deid.embedded_document", NEVER)
        if not keyword and element.tag.element != 0:
            yield ("deid.unknown_element", NEVER)
        rule = self._rules.get(keyword)
        if rule is not None and rule.action not in {"U", "X/Z/U"}:
            yield from _listed(element, keyword, rule)
        yield from _by_type(element)


def _creator(dataset: Dataset, tag: BaseTag) -> str:
    """Creator of a private block, or an empty text."""
    if not int(tag) & PRIVATE or tag.element < 0x1000:
        return ""
    creator = dataset.get(BaseTag((tag.group << 16) | (tag.element >> 8)))
    return str(creator.value) if creator is not None else ""


def _values(element: DataElement) -> list[str]:
    value = element.value
    values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return [str(item) for item in values]


def _listed(element: DataElement, keyword: str, rule: Rule) -> Iterator[Finding]:
    """An attribute of Table E.1-1 which has a value."""
    if element.VR in {"DA", "DT", "TM", "PN"} and keyword not in {"PatientBirthTime", "PatientBirthDate"}:
        return  # judged by type, wherever it stands
    if keyword in {"PatientBirthDate", "PatientBirthTime"}:
        yield ("deid.birth_date", NEVER)
        return
    values = _values(element) if element.VR != "SQ" else []
    dummies = rule.action != "X" and element.VR != "SQ" and all(is_dummy(value) for value in values)
    tokens = (
        rule.action != "X"
        and keyword.endswith(IDENTIFIER_ENDINGS)
        and all(is_token(value) for value in values)
    )
    technical = rule.descriptor and element.VR in TEXT_VRS and all(is_technical(value) for value in values)
    if not (dummies or tokens or technical):
        yield ("deid.identifying_attribute", rule.options)


def _by_type(element: DataElement) -> Iterator[Finding]:
    """What the type of a value gives away, whatever the attribute."""
    if element.VR == "PN":
        if not all(is_dummy(value) for value in _values(element)):
            yield ("deid.person_name", NEVER)
    elif element.VR in {"DA", "DT"}:
        if not all(value.startswith(DUMMY_DATES) for value in _values(element)):
            yield ("deid.date", DATES)
    elif element.VR == "TM":
        if any(value.strip("0.:") for value in _values(element)):
            yield ("deid.date", DATES)
    elif element.VR == "AS":
        if any(_years(value) > OLDEST_AGE for value in _values(element)):
            yield ("deid.age_over_90", NEVER)
    elif element.VR in TEXT_VRS:
        if any(looks_identifying(value) for value in _values(element)):
            yield ("deid.text_pattern", NEVER)
    elif element.VR == "UN":
        yield ("deid.unknown_element", NEVER)


def _years(age: str) -> float:
    digits = age[:-1]
    return float(digits) if age.endswith("Y") and digits.isdigit() else 0.0


def _private(element: DataElement, creator: str) -> Iterator[Finding]:
    """Private attributes: allowed only by the option, and only those that the vendor dictionaries know."""
    if element.tag.element < 0x1000:  # a creator
        yield ("deid.private_tag", frozenset({SAFE_PRIVATE}))
        return
    try:
        private_dictionary_VR(element.tag, creator)
        options = frozenset({SAFE_PRIVATE})
    except KeyError:
        options = NEVER
    yield ("deid.private_tag", options)
    if element.VR in BINARY_VRS and isinstance(element.value, bytes):
        if bytes_look_identifying(element.value):
            yield ("deid.text_pattern", NEVER)
    else:
        yield from (finding for finding in _by_type(element) if finding[0] != "deid.unknown_element")
