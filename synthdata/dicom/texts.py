"""Texts as DICOM stores them."""

DUMMY_DATE = "19000101"  # Content Date is mandatory: a value that nobody takes for a date
DUMMY_TIME = "000000"
LONG_STRING = 64  # characters of a value of LO, and of a component group of PN; DICOM PS3.5, table 6.2-1


def long_string(text: str) -> str:
    """A text as LO allows it: no backslash or control character, cut between words."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text.replace("\\", "/")).split())
    if len(plain) <= LONG_STRING:
        return plain
    kept = plain[: LONG_STRING - 3]
    return (kept.rsplit(" ", 1)[0] if " " in kept else kept) + "..."
