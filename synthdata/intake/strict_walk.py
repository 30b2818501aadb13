"""Do the attributes of a dataset fill it, each once at every depth? Readers show the last of two, and no gap."""

import struct
from dataclasses import dataclass, field
from functools import cache

from pydicom.datadict import dictionary_has_tag, dictionary_VR

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
OPEN = 1 << 62  # end of a level which its delimiter ends
AMISS = -1
PIXEL_DATA = 0x7FE00010
META_GROUP = b"\2\0"
FIRST_GROUP = 0x0004  # of a dataset: commands and file meta information do not belong there
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


@dataclass(slots=True)
class _Level:
    """A dataset or a sequence, up to its end, or up to its delimiter."""

    is_sequence: bool
    end: int
    implicit: bool  # without types; the first attribute decides, where a reader looks
    tags: set[int] = field(default_factory=set)


def fills(data: bytes, *, start: int = 0, implicit: bool, little: bool, is_sequence: bool = False) -> bool:
    """True where attributes follow each other without a gap up to the end, and none comes twice in its dataset.

    A file that is cut short counts as filled: the parser tells that. An attribute that leaves its item does not.

    Args:
        data: A dataset, or the items of a sequence.
        start: Its first byte.
        implicit: Without types.
        little: Byte order.
        is_sequence: True for the items of a sequence.

    Source:
        DICOM PS3.5, sections 7.1 and 7.5 (an attribute occurs once in a dataset, or an item).
    """
    order = "<" if little else ">"
    levels, at = [_Level(is_sequence, len(data), implicit)], start
    while levels:
        level = levels[-1]
        if at == level.end:
            levels.pop()
        elif at > level.end or at + 8 > len(data):
            cut = at + 8 > len(data) and all(one.end >= len(data) for one in levels)
            return not is_sequence and cut
        elif (at := _step(data, at, levels, order)) < 0:
            return False
    return True


def dataset_start(data: bytes, at: int) -> int:
    """First byte behind the file meta information; its stated length, which readers ignore, is not believed.

    Args:
        data: A file.
        at: Where the file meta information begins.

    Returns:
        The place, or -1 where an attribute comes twice, has no type, or ends behind the file.

    Source:
        DICOM PS3.10, section 7.1 (explicit VR, little endian).
    """
    tags = set[bytes]()
    while data[at : at + 2] == META_GROUP:
        tag, vr = data[at : at + 4], data[at + 4 : at + 6]
        head, form = (12, "<8xI") if vr in LONG_VRS else (8, "<6xH")
        if tag in tags or not _is_type(vr) or at + head > len(data):
            return AMISS
        tags.add(tag)
        at += head + int(struct.unpack_from(form, data, at)[0])
    return at if at <= len(data) else AMISS


def _step(data: bytes, at: int, levels: list[_Level], order: str) -> int:
    """The place behind one attribute, item or delimiter; `AMISS` where it may not stand there."""
    level = levels[-1]
    group, number, length = struct.unpack_from(f"{order}HHI", data, at)
    tag = group << 16 | number
    if tag == (SEQUENCE_END if level.is_sequence else ITEM_END) and level.end == OPEN:
        levels.pop()
        return AMISS if length else at + 8
    if level.is_sequence:
        if tag != ITEM:
            return AMISS
        levels.append(_Level(False, _end(at + 8, length), level.implicit))
        return at + 8
    if tag in level.tags or group < FIRST_GROUP:
        return AMISS
    if not level.tags and (len(levels) == 1 or not level.implicit):
        level.implicit = not _is_type(data[at + 4 : at + 6])
    level.tags.add(tag)
    return _attribute(data, at, tag, levels, order)


def _attribute(data: bytes, at: int, tag: int, levels: list[_Level], order: str) -> int:
    """The place behind an attribute, or of its first item.

    One without a type among others with types is read as pydicom reads it.
    """
    level = levels[-1]
    vr, head, length = b"", 8, int(struct.unpack_from(f"{order}I", data, at + 4)[0])
    if not level.implicit and _is_type(data[at + 4 : at + 6]):
        vr = data[at + 4 : at + 6]
        if vr in LONG_VRS:
            if at + 12 > len(data):
                return len(data) + 1
            head, length = 12, int(struct.unpack_from(f"{order}I", data, at + 8)[0])
        else:
            length = int(struct.unpack_from(f"{order}H", data, at + 6)[0])
    at += head
    if tag == PIXEL_DATA:
        return len(data) if length == UNDEFINED else at + length  # fragments are looked at elsewhere
    untyped = vr in {b"", b"UN"}
    if vr == b"SQ" or length == UNDEFINED or (untyped and _is_sequence(tag, data[at : at + 4])):
        levels.append(_Level(True, _end(at, length), level.implicit or vr == b"UN"))
        return at
    return at + length


def _is_type(vr: bytes) -> bool:
    return vr.isalpha() and vr.isupper()


def _end(at: int, length: int) -> int:
    return OPEN if length == UNDEFINED else at + length


def _is_sequence(tag: int, first: bytes) -> bool:
    """True for a sequence by the dictionary, or a private one which begins with an item."""
    return _known_sequence(tag) or bool(tag & 0x10000 and first == b"\xfe\xff\0\xe0")


@cache
def _known_sequence(tag: int) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
