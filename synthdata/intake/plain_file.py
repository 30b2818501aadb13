"""A reader of the plain encoding (explicit VR, little endian, also with coded pixels); all else is left to pydicom.

Slices of a series share nearly all attributes byte by byte. An attribute is therefore parsed, decoded and judged once
per intake and found again by its bytes; what a file costs is to walk its attributes and to look each of them up.
"""

import re
import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import numpy as np
from pydicom.charset import convert_encodings, python_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.tag import BaseTag
from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

PREFIX = 132  # bytes of preamble and magic word
LENGTH_BYTES = 12  # of the attribute that says how long the file meta information is
GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"
META_GROUP = 0x0002
FIRST_GROUP, LAST_GROUP = 0x0008, 0x7FE0
CHARACTER_SET, SYNTAX, PIXEL_DATA = 0x00080005, 0x00020010, 0x7FE00010
PLAIN_SYNTAX = b"1.2.840.10008.1.2.1\0"
CODED_SYNTAXES = frozenset(
    text.encode() + b"\0" * (len(text) % 2)
    for text in (
        *JPEGTransferSyntaxes,
        *JPEGLSTransferSyntaxes,
        *JPEG2000TransferSyntaxes,
        HTJ2KLossless,
        HTJ2KLosslessRPCL,
        HTJ2K,
        RLELossless,
    )
)
CODED_PIXELS = (
    b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"  # the attribute of coded pixels, whose length is not stated
)
ITEM, END_OF_ITEMS = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
UNDEFINED_LENGTH = 0xFFFFFFFF
ATTRIBUTE = struct.Struct("<HH2sH")
LONG_LENGTH = struct.Struct("<I")
SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()  # UN may be anything: pydicom
)
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UR UT UV".split())
REMEMBERED_BYTES = 1 << 16
MOST_REMEMBERED = 1 << 16  # attributes
MOST_CHANGES = 6  # attributes in which slices of one series differ, mostly
MOST_PATTERNS = 8  # sizes of files: values of a series differ in length, such as 9, 10 and 100
DECIMAL = re.compile(rb" *[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})? *")
PLAIN_UID = re.compile(rb"[0-9.]+\0?")
LONGEST_DECIMAL = 16  # bytes. Source: DICOM PS3.5, table 6.2-1 (DS)
UNKNOWN: Final = object()


@dataclass(slots=True, eq=False)
class Known:
    """One attribute as it stands in files, with what was found out about it; files share it, so none may change it."""

    raw: RawDataElement  # where it begins holds for the first file only
    encoding: str | list[str]
    creator: str  # of its private block
    value: Any = UNKNOWN
    findings: frozenset[tuple[str, frozenset[str]]] | None = None
    several: tuple[float, ...] | None = None

    def element(self) -> DataElement:
        """Decode it."""
        element = convert_raw_data_element(self.raw, encoding=self.encoding)
        if self.value is UNKNOWN:
            self.value = element.value
        return element

    def decoded(self) -> Any:
        """Its value, decoded once."""
        if self.value is UNKNOWN and self.raw.VR == "UI" and (text := one_uid(self.raw.value)):
            self.value = text
        return self.element().value if self.value is UNKNOWN else self.value

    def numbers(self) -> tuple[float, ...]:
        """Its values where it states several numbers, else none."""
        if self.several is None:
            parts = decimals(self.raw.value) if self.raw.VR == "DS" else ()
            self.several = tuple(map(float, parts)) if len(parts) > 1 else numbers_in(self.decoded())
        return self.several


def numbers_in(values: Any) -> tuple[float, ...]:
    """Several decoded numbers; none for a text or a single number."""
    if values is None or isinstance(values, str | float | int):
        return ()
    return tuple(float(value) for value in values)


def decimals(value: object) -> tuple[bytes, ...]:
    """The parts of a value of decimal strings which are all well formed; none of another one."""
    parts = value.split(b"\\") if isinstance(value, bytes) else []
    plain = all(len(part) <= LONGEST_DECIMAL and DECIMAL.fullmatch(part) for part in parts)
    return tuple(parts) if plain else ()


def one_uid(value: object) -> str:
    """A value of one unique identifier, of digits and dots alone; empty for another one."""
    return value.rstrip(b"\0").decode() if isinstance(value, bytes) and PLAIN_UID.fullmatch(value) else ""


@dataclass(frozen=True, slots=True)
class PlainFile:
    """Attributes by tag; they fill the file without a gap, in the order of their tags, each once."""

    meta: dict[int, Known]
    attributes: dict[int, Known]
    pixels_at: int  # first byte of the pixels; -1 where there are none


@dataclass(slots=True)
class _Walk:
    """What one walk over a file knows so far."""

    last: int = -1
    coded: bool = False  # pixels are coded
    context: bytes = b""  # bytes of Specific Character Set
    encoding: str | list[str] = "iso8859"
    creators: dict[int, tuple[bytes, str]] = field(default_factory=dict)  # by group and block
    pixels_at: int = -1
    places: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A file that the next one may resemble: slices of a series differ in a few values of the same length."""

    file: PlainFile
    walk: _Walk  # as it was at the end of the file
    key: int  # size of a file; of one with coded pixels where they begin, below 0
    head: np.ndarray  # bytes from the file meta information up to the pixels
    places: list[tuple[int, int, int, int]]  # tag, and where the attribute begins, its value begins, it ends
    owner: np.ndarray  # of each byte of the head: the attribute whose value it is of, or -1
    decisive: frozenset[int]  # attributes on which the reading of others depends; -1: what is no value


class PlainReader:
    """Reads plain files, and remembers their attributes."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, bytes], Known] = {}
        self._patterns: dict[int, _Pattern] = {}  # by their key

    def read(self, data: bytes) -> PlainFile | None:
        """Attributes of a file; None where it is not plain, or damaged: pydicom tells what it is."""
        if data[PREFIX : PREFIX + len(GROUP_LENGTH)] != GROUP_LENGTH or len(data) < PREFIX + LENGTH_BYTES:
            return None
        end = PREFIX + LENGTH_BYTES + LONG_LENGTH.unpack_from(data, PREFIX + len(GROUP_LENGTH))[0]
        if end > len(data):
            return None
        if (like := self._like_another(data)) is not None:
            return like
        first, walk = _Walk(), _Walk()
        meta = self._attributes(data, PREFIX, end, first, meta=True)
        syntax = meta[SYNTAX].raw.value if meta is not None and SYNTAX in meta else b""
        walk.coded = syntax in CODED_SYNTAXES
        if meta is None or not (walk.coded or syntax == PLAIN_SYNTAX):
            return None
        attributes = self._attributes(data, end, len(data), walk, meta=False)
        if not attributes:
            return None
        file = PlainFile(meta, attributes, walk.pixels_at)
        self._remember(_pattern(file, walk, first.places + walk.places, data))
        return file

    def _remember(self, pattern: _Pattern | None) -> None:
        """Keep a pattern in place of the oldest one."""
        if pattern is None:
            return
        self._patterns.pop(pattern.key, None)
        if len(self._patterns) >= MOST_PATTERNS:
            del self._patterns[next(iter(self._patterns))]
        self._patterns[pattern.key] = pattern

    def _like_another(self, data: bytes) -> PlainFile | None:
        """Attributes of a file which differs from an earlier one in values alone; None where there is none."""
        for key, pattern in tuple(self._patterns.items()):
            like = data[-key - len(CODED_PIXELS) : -key] == CODED_PIXELS if key < 0 else key == len(data)
            if like and (file := self._like(pattern, data)) is not None:
                return file
        return None

    def _like(self, last: _Pattern, data: bytes) -> PlainFile | None:
        """Attributes of a file by the places of another one; None where it differs in more than values."""
        head = np.frombuffer(data, np.uint8, len(last.head), PREFIX)
        changed = set(last.owner[head != last.head].tolist())
        if not changed.isdisjoint(last.decisive):
            return None
        places = [last.places[index] for index in changed]
        pixels = (*last.places[-1][:3], len(data))
        if last.walk.coded and not _is_filled(data, pixels[2]):
            return None
        meta, attributes = last.file.meta.copy(), last.file.attributes.copy()
        for tag, at, start, after in (*places, pixels):
            of_meta = tag >> 16 == META_GROUP
            walk = _Walk() if of_meta or tag < CHARACTER_SET else last.walk
            one = self._attribute(data, (at, start, after), tag, data[at + 4 : at + 6], walk)
            if one is None:
                return None
            (meta if of_meta else attributes)[tag] = one
        file = PlainFile(meta, attributes, last.file.pixels_at)
        if len(changed) > MOST_CHANGES:  # the first of another series: those to come resemble it more
            self._remember(replace(last, file=_light(file, last.walk), head=head.copy()))
        return file

    def _attributes(
        self, data: bytes, at: int, end: int, walk: _Walk, *, meta: bool
    ) -> dict[int, Known] | None:
        """Attributes between two places, or None where they do not fill them in order."""
        found: dict[int, Known] = {}
        while at < end:
            if at + ATTRIBUTE.size > end:
                return None
            group, number, vr, length = ATTRIBUTE.unpack_from(data, at)
            tag, start = group << 16 | number, at + ATTRIBUTE.size
            if vr in LONG_VRS and length == 0 and start + LONG_LENGTH.size <= end:
                (length,), start = LONG_LENGTH.unpack_from(data, start), start + LONG_LENGTH.size
            elif vr not in SHORT_VRS:
                return None
            after = end if data[at:start] == CODED_PIXELS and walk.coded else start + length
            if (
                tag == PIXEL_DATA
                and walk.coded
                and not (length == UNDEFINED_LENGTH and _is_filled(data, start))
            ):
                return None
            in_place = group == META_GROUP if meta else FIRST_GROUP <= group <= LAST_GROUP
            if tag <= walk.last or after > end or not in_place:
                return None
            one = self._attribute(data, (at, start, after), tag, vr, walk)
            if one is None:
                return None
            found[tag], walk.last = one, tag
            walk.places.append((tag, at, start, after))
            at = after
        return found

    def _attribute(
        self, data: bytes, place: tuple[int, int, int], tag: int, vr: bytes, walk: _Walk
    ) -> Known | None:
        """The attribute of a tag: where it begins, where its value begins, where it ends."""
        at, start, after = place
        if tag == PIXEL_DATA:
            walk.pixels_at = start
            if walk.coded:
                raw = _raw(tag, vr, data[start : after - len(END_OF_ITEMS)], start, UNDEFINED_LENGTH)
            else:
                raw = _raw(tag, vr, memoryview(data)[start:after], start)  # no copy
            return Known(raw, walk.encoding, "", findings=frozenset())  # judged apart
        if after - at > REMEMBERED_BYTES:
            return Known(_raw(tag, vr, data[start:after], start), walk.encoding, _creator(walk, tag)[1])
        creator = _creator(walk, tag)
        key = (data[at:after], walk.context, creator[0])
        one = self._known.get(key)
        if one is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            one = self._known[key] = Known(_raw(tag, vr, data[start:after], start), walk.encoding, creator[1])
        if tag == CHARACTER_SET and not _switch(walk, key[0], one):
            return None
        if tag & 0x10000 and tag & 0xFFFF < 0x100:
            walk.creators[tag] = (key[0], str(one.decoded()))
        return one


def _pattern(
    file: PlainFile, walk: _Walk, places: list[tuple[int, int, int, int]], data: bytes
) -> _Pattern | None:
    """What the next file is compared with; None where the pixels are not at the end."""
    if places[-1][0] != PIXEL_DATA:
        return None
    head = np.frombuffer(data, np.uint8, file.pixels_at - PREFIX, PREFIX).copy()  # a view would keep the file
    owner = np.full(len(head), -1, np.int32)
    for index, (_, _, start, after) in enumerate(places[:-1]):
        owner[start - PREFIX : after - PREFIX] = index
    decisive = frozenset(index for index, place in enumerate(places[:-1]) if _decides_more(place)) | {-1}
    key = -file.pixels_at if walk.coded else len(data)
    return _Pattern(_light(file, walk), walk, key, head, places, owner, decisive)


def _is_filled(data: bytes, at: int) -> bool:
    """True where items, at least one, fill a file up to the mark that ends them."""
    end, first = len(data) - len(END_OF_ITEMS), at
    while at < end and data[at : at + 4] == ITEM and at + 8 <= end:
        at += 8 + LONG_LENGTH.unpack_from(data, at + 4)[0]
    return first < at == end and data[end:] == END_OF_ITEMS


def _light(file: PlainFile, walk: _Walk) -> PlainFile:
    """A file without its pixels."""
    light = Known(_raw(PIXEL_DATA, b"OW", b"", 0), walk.encoding, "")
    return PlainFile(file.meta, file.attributes | {PIXEL_DATA: light}, file.pixels_at)


def _decides_more(place: tuple[int, int, int, int]) -> bool:
    """True for an attribute on which the reading of others depends, or which is not remembered."""
    tag, at, _, after = place
    private = bool(tag & 0x10000)
    decides = tag in {CHARACTER_SET, SYNTAX, META_GROUP << 16}
    return private or decides or after - at > REMEMBERED_BYTES


def _raw(
    tag: int, vr: bytes, value: bytes | memoryview, at: int, length: int | None = None
) -> RawDataElement:
    """As pydicom's parser would give it; of the stated length where that is not the value's."""
    name = vr.decode("ascii")
    held = cast("bytes | None", value or empty_value_for_VR(name, raw=True))
    return RawDataElement(
        BaseTag(tag),
        name,
        len(value) if length is None else length,
        held,
        at,
        is_implicit_VR=False,
        is_little_endian=True,
    )


def _creator(walk: _Walk, tag: int) -> tuple[bytes, str]:
    """Bytes and text of the creator of a private attribute; empty for others."""
    if not tag & 0x10000 or tag & 0xFFFF < 0x1000:
        return b"", ""
    return walk.creators.get(tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8, (b"", ""))


def _switch(walk: _Walk, chunk: bytes, one: Known) -> bool:
    """Decode what follows by a character set; False where it is not one set that is known."""
    name = one.decoded()
    if not isinstance(name, str) or name not in python_encoding:
        return False
    walk.context, walk.encoding = chunk, convert_encodings(name)
    return True
