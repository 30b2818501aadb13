"""Attributes of DICOM files by keyword; equal ones are decoded once per intake, since slices share nearly all."""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import FileDataset
from pydicom.uid import UID
from pydicom.valuerep import AMBIGUOUS_VR

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

    def __init__(self, dataset: FileDataset, decoder: Decoder) -> None:
        self.dataset = dataset
        self._decoder = decoder
        self._elements = {int(tag): element for tag, element in dataset.items()}
        character_set = dataset.original_character_set
        self._character_set = character_set if isinstance(character_set, str) else tuple(character_set)

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
        return uid(str(self.dataset.file_meta.get("TransferSyntaxUID", "")))

    def _value(self, element: DataElement | RawDataElement) -> Any:
        if isinstance(element, RawDataElement):
            return self._decoder.value(self.dataset, element, self._character_set)
        return element.value


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
