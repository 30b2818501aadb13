"""DICOM unique identifiers: well formed, and not made of a moment in time."""

import re

ROOT = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
LONGEST = 64
DATED = re.compile(
    r"(?:19[3-9]\d|20[0-4]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d\d{0,12})?)?"
)
DATED_PARTS = re.compile(r"\.(?:19[3-9]\d|20[0-4]\d)\.(?:0?[1-9]|1[0-2])\.(?:0?[1-9]|[12]\d|3[01])(?=\.|$)")
DAY_FIRST = re.compile(
    r"(?:(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?:19[3-9]\d|20[0-4]\d)"
)
SCANNER_ROOTS = (
    "1.2.840.113619.",
    "1.2.392.200036.9116.",
)  # GE, Toshiba and Canon count seconds since 1970 in UIDs
SECONDS_SINCE_1970 = re.compile(r"(?:[7-9]\d{8}|1[0-9]\d{8})")  # of 1992 to 2033
STANDARD_ROOT = "1.2.840.10008."
UUID_ROOT = "2.25."


def is_uid(text: str) -> bool:
    """True for numbers joined by dots, at most 64 characters. Source: DICOM PS3.5, section 9.1."""
    return len(text) <= LONGEST and text.count(".") >= 2 and bool(ROOT.fullmatch(text))


def uid_is_dated(text: str) -> bool:
    """True where a component is a date, alone or with a time after it, as scanners make them, or three of them are."""
    if text.startswith((STANDARD_ROOT, UUID_ROOT)):
        return False
    parts = text.split(".")
    if text.startswith(SCANNER_ROOTS) and any(map(SECONDS_SINCE_1970.fullmatch, parts)):
        return True
    dated = any(DATED.fullmatch(part) or DAY_FIRST.fullmatch(part) for part in parts)
    return dated or bool(DATED_PARTS.search(text))
