"""Do the attributes of a dataset fill it, each once at every depth? Readers show the last of two, and no gap."""

import struct
from dataclasses import dataclass, field
from functools import cache

from pydicom.datadict import dictionary_has_tag, dictionary_VR

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
OPEN = 1 << 62  # end of a level which its delimiter ends
AMISS, CUT = -1, -2
PIXEL_DATA = 0x7FE00010
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


@dataclass(slots=True)
class _Level:
    """A dataset or a sequence, up to its end, or up to its delimiter."""

    is_sequence: bool
    end: int
    implicit: bool
    tags: set[int] = field(default_factory=set)


def fills(data: bytes, *, start: int = 0, implicit: bool, little: bool, is_sequence: bool = False) -> bool:
    """True where attributes follow each other without a gap up to the end, and none comes twice in its dataset.

    A file that is cut short counts as filled: the parser tells that.

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
            return not is_sequence and at + 8 > len(data)
        elif (at := _step(data, at, levels, order)) < 0:
            return at == CUT
    return True


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
    if tag in level.tags:
        return AMISS
    level.tags.add(tag)
    return _attribute(data, at, tag, levels, order)


def _attribute(data: bytes, at: int, tag: int, levels: list[_Level], order: str) -> int:
    """The place behind an attribute, or of its first item; `CUT` where it is not understood."""
    level = levels[-1]
    vr, head, length = b"", 8, int(struct.unpack_from(f"{order}I", data, at + 4)[0])
    if not level.implicit:
        vr = data[at + 4 : at + 6]
        if not (vr.isalpha() and vr.isupper()):
            return CUT
        if vr in LONG_VRS:
            if at + 12 > len(data):
                return len(data) + 1
            head, length = 12, int(struct.unpack_from(f"{order}I", data, at + 8)[0])
        else:
            length = int(struct.unpack_from(f"{order}H", data, at + 6)[0])
    at += head
    if tag == PIXEL_DATA:
        return len(data) if length == UNDEFINED else at + length  # fragments are looked at elsewhere
    typed = level.implicit or vr == b"UN"
    if vr == b"SQ" or length == UNDEFINED or (typed and _is_sequence(tag, data[at : at + 4])):
        levels.append(_Level(True, _end(at, length), typed))
        return at
    return at + length


def _end(at: int, length: int) -> int:
    return OPEN if length == UNDEFINED else at + length


def _is_sequence(tag: int, first: bytes) -> bool:
    """True for a sequence by the dictionary, or a private one which begins with an item."""
    return _known_sequence(tag) or bool(tag & 0x10000 and first == b"\xfe\xff\0\xe0")


@cache
def _known_sequence(tag: int) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
