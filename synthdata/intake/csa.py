"""Siemens' CSA header: named values inside a private attribute; both of its layouts."""

import struct
from collections.abc import Iterator

MAGIC = b"SV10"
NAME_BYTES, TAG_BYTES, ITEM_BYTES = 64, 84, 16
MOST_ENTRIES = 1000  # of tags, and of values of a tag; more is damage


def csa_values(block: bytes) -> dict[str, tuple[str, ...]]:
    """Values by name.

    Args:
        block: Content of (0029,xx10) of the creator `SIEMENS CSA HEADER`.

    Raises:
        ValueError: The block breaks the layout.

    Source:
        The layout is not published by the vendor; it is described in the documentation of nibabel, "Siemens format
        DICOM with CSA header".
    """
    second = block[:4] == MAGIC
    try:
        return dict(_tags(block, 8 if second else 0, second=second))
    except (struct.error, UnicodeDecodeError):
        raise ValueError("a CSA header breaks its layout") from None


def _tags(block: bytes, at: int, *, second: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    (count,), at, base = struct.unpack_from("<I", block, at), at + 8, -1
    if not 0 < count <= MOST_ENTRIES:
        raise ValueError("a CSA header has an impossible number of entries")
    for _ in range(count):
        name = block[at : at + NAME_BYTES].split(b"\0")[0].decode("latin-1")
        (multiplicity,) = struct.unpack_from("<i", block, at + NAME_BYTES)
        (items,) = struct.unpack_from("<i", block, at + NAME_BYTES + 12)
        at += TAG_BYTES
        if not 0 <= items <= MOST_ENTRIES:
            raise ValueError("a CSA header has an impossible number of values")
        base = items if base < 0 else base
        values = []
        for _ in range(items):
            lengths = struct.unpack_from("<4i", block, at)
            at += ITEM_BYTES
            length = lengths[1] if second else lengths[0] - base
            if length < 0 or at + length > len(block):
                if second:
                    raise ValueError("a CSA header has a value longer than itself")
                break  # the first layout ends the list of values so
            values.append(block[at : at + length].split(b"\0")[0].decode("latin-1").strip())
            at += (length + 3) // 4 * 4
        yield name, tuple(values[:multiplicity] if multiplicity > 0 else filter(None, values))
