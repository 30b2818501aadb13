"""Attributes of DICOM files by keyword; equal ones are decoded once per intake, since slices share nearly all."""

import io
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any, TypeVar

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import FileDataset
from pydicom.uid import UID
from pydicom.valuerep import AMBIGUOUS_VR

from synthdata.intake.plain_file import SYNTAX, Known, PlainFile, numbers_in

CACHED_BYTES = 1 << 16
CACHE_ENTRIES = 1 << 15
Result = TypeVar("Result")
UNSURE_TYPES = frozenset({*AMBIGUOUS_VR, "UN"})


class Decoder:
    """Values of raw attributes by their bytes. They are shared between files, so nobody may change them."""

    def __init__(self) -> None:
        self._values: dict[tuple[object, ...], Any] = {}

    def value(self, dataset: FileDataset, raw: RawDataElement, character_set: object) -> Any:
        """Decode an attribute of a dataset, or remember it."""
        if raw.value is None or len(raw.value) > CACHED_BYTES or _depends_on_others(raw):
            return dataset[raw.tag].value
        key = (int(raw.tag), raw.VR, raw.value, raw.is_little_endian, raw.is_implicit_VR, character_set)
        if key in self._values:
            return self._values[key]
        if len(self._values) >= CACHE_ENTRIES:
            self._values.clear()
        encoding = dataset.original_character_set
        value = self._values[key] = convert_raw_data_element(raw, encoding=encoding, ds=dataset).value
        return value


class Header:
    """Attributes of one file; those that nobody decodes stay as they are in the file."""

    plain: PlainFile | None = None

    def __init__(self, dataset: FileDataset, decoder: Decoder) -> None:
        self._dataset = dataset
        self._decoder = decoder
        self._elements = {int(tag): element for tag, element in dataset.items()}
        character_set = dataset.original_character_set
        self._character_set = character_set if isinstance(character_set, str) else tuple(character_set)

    @property
    def dataset(self) -> FileDataset:
        """As pydicom parses it."""
        return self._dataset

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self._elements

    def __getitem__(self, keyword: str) -> Any:
        return self._value(self._elements[_tag(keyword)])

    def get(self, keyword: str, default: Any = None) -> Any:
        """Value of an attribute, or the default where the file lacks it."""
        element = self._elements.get(_tag(keyword))
        return default if element is None else self._value(element)

    def raw(self, tag: int) -> RawDataElement | None:
        """An attribute as it stands in the file; None where parsing decoded it (a sequence), or it is missing."""
        element: DataElement | RawDataElement | None = self._elements.get(tag)
        return element if isinstance(element, RawDataElement) else None

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Values of an attribute of several numbers; none where the file lacks it or states one."""
        return numbers_in(self.get(keyword))

    def private(self, group: int, creator: str, element: int) -> Any:
        """Value of a private attribute by its creator, or None where the file lacks it."""
        try:
            return self.dataset.private_block(group, creator)[element].value
        except KeyError:
            return None

    def meta(self, keyword: str) -> str:
        """An attribute of the file meta information; empty where that lacks it."""
        return str(self.dataset.file_meta.get(keyword, ""))

    def elements(self) -> Iterable[DataElement | RawDataElement]:
        """All attributes of the top level, as they stand in the file."""
        return self._elements.values()

    @property
    def last_tag(self) -> int | None:
        """Tag of the last attribute; None in an empty file."""
        return max(self._elements, default=None)

    @property
    def transfer_syntax(self) -> UID:
        """Transfer syntax as the file meta information states it; empty where it does not."""
        return uid(self.meta("TransferSyntaxUID"))

    def _value(self, element: DataElement | RawDataElement) -> Any:
        if isinstance(element, RawDataElement):
            return self._decoder.value(self.dataset, element, self._character_set)
        return element.value


class PlainHeader(Header):
    """Attributes of a plain file, which are shared with other files; pydicom parses it where somebody asks."""

    def __init__(self, plain: PlainFile, data: bytes) -> None:
        self.plain = plain
        self._attributes, self._data = plain.attributes, data
        self._syntax = plain.meta.get(SYNTAX)
        self._parsed: FileDataset | None = None
        self._asked: set[int] | None = None  # tags that a watched function asked for
        self._asked_all = False

    def watched(self, function: Callable[["PlainHeader"], Result]) -> tuple[Result, tuple[int, ...] | None]:
        """Result of a function of this header, and the tags that it asked for; None where that may be all."""
        before, self._asked, self._asked_all = self._asked, set(), False
        try:
            result = function(self)
            return result, None if self._asked_all else tuple(sorted(self._asked))
        finally:
            self._asked, self._asked_all = before, before is not None

    def answers(self, tags: tuple[int, ...]) -> tuple[Known | None, ...]:
        """The transfer syntax, and the attributes of some tags; None for those that the file lacks."""
        return (self._syntax, *map(self._attributes.get, tags))

    @property
    def dataset(self) -> FileDataset:
        """As pydicom parses it."""
        self._asked_all = True
        if self._parsed is None:
            self._parsed = dcmread(io.BytesIO(self._data))
        return self._parsed

    def __contains__(self, keyword: str) -> bool:
        return self._one(_tag(keyword)) is not None

    def __getitem__(self, keyword: str) -> Any:
        one = self._one(_tag(keyword))
        if one is None:
            raise KeyError(f"the file lacks {keyword}")
        return one.decoded()

    def get(self, keyword: str, default: Any = None) -> Any:
        """Value of an attribute, or the default where the file lacks it."""
        one = self._one(_tag(keyword))
        return default if one is None else one.decoded()

    def raw(self, tag: int) -> RawDataElement | None:
        """An attribute as it stands in the file; where it begins is right for the pixels alone."""
        one = self._one(tag)
        return None if one is None else one.raw

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Values of an attribute of several numbers; none where the file lacks it or states one."""
        one = self._one(_tag(keyword))
        return () if one is None else one.numbers()

    def private(self, group: int, creator: str, element: int) -> Any:
        """Value of a private attribute by its creator, or None where the file lacks it."""
        self._asked_all = True
        there = any(one.creator == creator for tag, one in self._attributes.items() if tag >> 16 == group)
        return super().private(group, creator, element) if there else None

    def meta(self, keyword: str) -> str:
        """An attribute of the file meta information; empty where that lacks it."""
        self._asked_all = True
        one = self._of_meta(keyword)
        return "" if one is None else str(one.decoded())

    def elements(self) -> Iterable[DataElement | RawDataElement]:
        """All attributes of the top level, as they stand in the file."""
        self._asked_all = True
        return [one.raw for one in self._attributes.values()]

    @property
    def last_tag(self) -> int | None:
        """Tag of the last attribute."""
        self._asked_all = True
        return next(reversed(self._attributes))

    @property
    def transfer_syntax(self) -> UID:
        """Transfer syntax as the file meta information states it; the one that plain files share."""
        return uid("" if self._syntax is None else str(self._syntax.decoded()))

    def _of_meta(self, keyword: str) -> Known | None:
        return None if self.plain is None else self.plain.meta.get(_tag(keyword))

    def _one(self, tag: int) -> Known | None:
        if self._asked is not None:
            self._asked.add(tag)
        return self._attributes.get(tag)


def _depends_on_others(raw: RawDataElement) -> bool:
    """True where the type of an attribute follows from what stands elsewhere in the file."""
    return raw.VR == "UN" or (raw.VR is None and _type(int(raw.tag)) in UNSURE_TYPES)


@cache
def _type(tag: int) -> str:
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


@cache
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LookupError(f"{keyword} is no keyword of the data dictionary")
    return tag


@lru_cache(1024)
def uid(text: str) -> UID:
    """A unique identifier of the standard; a source has few of them."""
    return UID(text)
