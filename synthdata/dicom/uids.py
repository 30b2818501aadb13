"""Unique identifiers which are the same in each run: 2.25 and 128 bits of a SHA-256."""

import hashlib
import uuid

from synthdata.errors import ConfigError

IMPLEMENTATION_NAME = "SYNTHDATA"
SEPARATOR = "\x1f"  # ASCII unit separator, so that ("a", "bc") and ("ab", "c") differ


def uid_of(*parts: str | int) -> str:
    """Unique identifier named by some strings.

    Args:
        parts: What names the object, from wide to narrow: project, dataset, patient, series, instance.
            Never the identifier of a real patient: a SHA-256 of a short id can be guessed.

    Returns:
        `2.25.` and the decimal of an RFC 9562 version 8 UUID, at most 44 characters; the same for the
        same parts.

    Raises:
        ConfigError: No part was given.

    Source:
        DICOM PS3.5, B.2 (UUID derived UIDs); RFC 9562, 5.8 (version 8).
    """
    if not parts:
        raise ConfigError("an identifier was asked for without parts: name the object that it stands for")
    digest = bytearray(hashlib.sha256(SEPARATOR.join(map(str, parts)).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80  # version 8: custom
    digest[8] = (digest[8] & 0x3F) | 0x80  # variant of RFC 9562
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"


IMPLEMENTATION_CLASS_UID = uid_of("synthdata", "implementation")
