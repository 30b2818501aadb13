"""Attributes of DICOM files by keyword; equal ones are decoded once per intake, since slices share nearly all."""

import io
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import FileDataset
from pydicom.uid import UID
from pydicom.valuerep import AMBIGUOUS_VR

from synthdata.intake.plain_file import PlainFile

CACHED_BYTES = 1 << 16
CACHE_ENTRIES = 1 << 15
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
        self._parsed: FileDataset | None = None

    @property
    def dataset(self) -> FileDataset:
        """As pydicom parses it."""
        if self._parsed is None:
            self._parsed = dcmread(io.BytesIO(self._data))
        return self._parsed

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self._attributes

    def __getitem__(self, keyword: str) -> Any:
        return self._attributes[_tag(keyword)].decoded()

    def get(self, keyword: str, default: Any = None) -> Any:
        """Value of an attribute, or the default where the file lacks it."""
        one = self._attributes.get(_tag(keyword))
        return default if one is None else one.decoded()

    def raw(self, tag: int) -> RawDataElement | None:
        """An attribute as it stands in the file; where it begins is right for the pixels alone."""
        one = self._attributes.get(tag)
        return None if one is None else one.raw

    def private(self, group: int, creator: str, element: int) -> Any:
        """Value of a private attribute by its creator, or None where the file lacks it."""
        there = any(one.creator == creator for tag, one in self._attributes.items() if tag >> 16 == group)
        return super().private(group, creator, element) if there else None

    def meta(self, keyword: str) -> str:
        """An attribute of the file meta information; empty where that lacks it."""
        one = self.plain.meta.get(_tag(keyword)) if self.plain is not None else None
        return "" if one is None else str(one.decoded())

    def elements(self) -> Iterable[DataElement | RawDataElement]:
        """All attributes of the top level, as they stand in the file."""
        return [one.raw for one in self._attributes.values()]

    @property
    def last_tag(self) -> int | None:
        """Tag of the last attribute."""
        return next(reversed(self._attributes))


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
