"""What a value gives away by its type, whatever its attribute: dates, names and numbers, also as bytes."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from pydicom.dataelem import DataElement

from synthdata.intake.confidentiality import DATES, RETAINED_UIDS
from synthdata.intake.dates_in_text import has_short_date
from synthdata.intake.person_names import (
    has_foreign_script,
    has_foreign_words,
    is_protocol_path,
    names_a_person,
)
from synthdata.intake.readings import spelled
from synthdata.intake.telling import hides_a_person
from synthdata.intake.text_patterns import (
    LONG_NUMBER,
    bytes_look_identifying,
    is_dummy,
    is_technical,
    looks_identifying,
    names_a_machine,
    texts_of,
)
from synthdata.intake.unique_ids import is_uid, uid_is_dated

Finding = tuple[str, frozenset[str]]  # reason code, and the method codes which allow it
NEVER: frozenset[str] = frozenset()
TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "UT", "UC", "AE", "UR", "CS"})
BINARY_VRS = frozenset({"OB", "OW", "UN", "OF", "OD", "OL", "OV"})
LEAST_OF_A_CURVE = 16  # numbers
HIDDEN_SIGN = re.compile(
    r"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]+(?=[^\s\0])"
)  # behind which no viewer shows a text
DUMMY_DATES = ("00010101", "18000101", "19000101", "19700101", "20000101")
MOMENT_VRS = frozenset({"DA", "DT", "TM", "AS", "IS", "DS"})
PROSE_VRS = frozenset({"ST", "LT", "UT", "UC"})
CODES = frozenset(
    {"CodeValue", "LongCodeValue", "ContextIdentifier", "MappingResource", "ContextGroupVersion"}
)
MAKERS = frozenset(
    {
        "Manufacturer",
        "ManufacturerModelName",
        "SoftwareVersions",
        "ReceiveCoilName",
        "TransmitCoilName",
        "SequenceName",
        "PulseSequenceName",
        "CodingSchemeDesignator",
    }
)  # where words of vendors stand that no list has
PROTOCOLS = frozenset(
    {
        "StudyDescription",
        "ProtocolName",
        "PerformedProcedureStepDescription",
        "RequestedProcedureDescription",
    }
)  # where carets part the levels of a protocol's tree
NUMBERS = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "UV": "u8", "SV": "i8"}
ARRAYS = {"OF": "<f4", "OD": "<f8", "OL": "<u4"}
DATE_DIGITS, LONGEST_LIST = 8, 256
LEAST_JOINED = 6  # letters of a name in two values
_LETTER = r"(?:6[5-9]|[789]\d|1[01]\d|12[0-2])"
LETTERS_IN_UID = re.compile(rf"(?<!\d)(?:{_LETTER}\.){{4,}}{_LETTER}(?!\d)")
LEAST_VALUES = 4  # of a list of numbers which may be the bytes of a text
MOMENT = {
    "DA": re.compile(r"[\d.\s-]*"),
    "TM": re.compile(r"[\d.:\s-]*"),
    "DT": re.compile(r"[\d.+\s-]*"),
    "AS": re.compile(r"\s*\d*[DWMY]?\s*"),
    "IS": re.compile(r"[\d+\s-]*(?:\.0*)?\s*"),  # `12.0` is none by the letter, and some write it
    "DS": re.compile(r"(?:[\d.+\seE-]*|[+-]?(?:nan|inf(?:inity)?))", re.IGNORECASE),
}  # what the types allow; a word in them is none
LONGEST_COUNT = {"IS": 8, "DS": 9}  # digits of a number that counts or measures; MHz stand in Hz at times
SECONDS_SINCE_1970 = (1e9, 2e9)  # of 2001 to 2033
OLDEST_AGE = 90  # years; HIPAA 45 CFR 164.514(b)(2)(i)(C)


def values_of(element: DataElement) -> list[str]:
    """Values of an attribute as texts, as they stand."""
    value = element.value
    values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return [str(item) for item in values]


def by_type(element: DataElement, keyword: str, kept: frozenset[str]) -> Iterator[Finding]:
    """What the type of a value gives away, whatever the attribute; some options keep a text as it is."""
    if element.is_empty:
        return
    values = values_of(element) if element.VR != "SQ" else []
    if element.VR == "PN":
        if not all(map(is_dummy, values)):
            yield ("deid.person_name", NEVER)
    elif element.VR in MOMENT_VRS:
        yield from _moments(values, element.VR)
        yield from _long_numbers(element, values)
    elif element.VR == "UI":
        yield from unique_ids(values)
    elif element.VR in NUMBERS:
        yield from _numbers(element)
    elif element.VR == "AT":
        tags = element.value if element.VM > 1 else [element.value]
        yield from binary(b"".join(int(tag).to_bytes(4, "big") for tag in tags))
    elif element.VR in ARRAYS and isinstance(element.value, bytes):
        yield from _array(element.value, ARRAYS[element.VR])
    elif element.VR in {"AE", "UR"}:
        yield ("deid.address", kept)
    elif element.VR in TEXT_VRS:
        yield from _text(values, element.VR, keyword, kept)
    elif element.VR == "UN":
        yield ("deid.unknown_element", NEVER)


def _moments(values: list[str], vr: str) -> Iterator[Finding]:
    """Dates, times and ages, also where they stand as numbers."""
    if vr in {"DA", "DT"}:
        told = not all(value.startswith(DUMMY_DATES) for value in values)
    elif vr == "TM":
        told = any(value.strip("0.:") for value in values)
    else:
        told = any(map(is_a_day, values))
    if told:
        yield ("deid.date", DATES)
    if not all(map(MOMENT[vr].fullmatch, values)):
        yield ("deid.text_pattern", NEVER)
    if (
        vr in {"DS", "IS"}
        and len(values) >= LEAST_VALUES
        and all(value.strip().isdigit() for value in values)
    ):
        yield from _letters([float(value) for value in values])
    if vr == "AS" and any(_years(value) > OLDEST_AGE for value in values):
        yield ("deid.age_over_90", NEVER)


def _letters(numbers: Sequence[float]) -> Iterator[Finding]:
    if _spell(numbers):
        yield ("deid.text_pattern", NEVER)


def is_a_day(value: str) -> bool:
    """True where a number, however it is written, is a day such as 19620314."""
    if len(value) < DATE_DIGITS:
        return False
    try:
        number = float(value)
    except ValueError:
        return False
    return number.is_integer() and 0 < number < 10**DATE_DIGITS and looks_identifying(f"{number:.0f}")


def _long_numbers(element: DataElement, values: list[str]) -> Iterator[Finding]:
    """Numbers of public attributes which count nothing and measure nothing."""
    most = LONGEST_COUNT.get(element.VR)
    if most and not element.tag.is_private and any(is_long(value, digits=most) for value in values):
        yield ("deid.text_pattern", NEVER)


def is_long(value: str, *, digits: int = LONGEST_COUNT["DS"]) -> bool:
    """True where a whole number has more digits than what is counted or measured, or a leading zero among many."""
    plain = value.strip()
    if len(plain) < DATE_DIGITS or not plain.isdecimal():
        return False
    return plain[0] == "0" or (len(plain) > digits and not plain.endswith("000"))


def _numbers(element: DataElement) -> Iterator[Finding]:
    """Days among binary numbers, and texts whose bytes stand as numbers."""
    value = element.value
    values = [value] if isinstance(value, int | float) else list(value)
    moment = element.VR in {"FD", "FL", "SV", "UV"} and len(values) < LEAST_VALUES
    if any(is_a_day(f"{number:.1f}") for number in values[:LONGEST_LIST]) or (
        moment and any(SECONDS_SINCE_1970[0] <= number < SECONDS_SINCE_1970[1] for number in values)
    ):
        yield ("deid.date", DATES)
    if len(values) >= LEAST_VALUES:
        yield from _letters(values[:LONGEST_LIST])
        yield from binary(np.asarray(values, NUMBERS[element.VR]).astype(f"<{NUMBERS[element.VR]}").tobytes())


def _array(data: bytes, dtype: str) -> Iterator[Finding]:
    """A text whose letters stand as numbers, and a day that stands nearly alone."""
    size = np.dtype(dtype).itemsize
    numbers = np.frombuffer(data, dtype, len(data) // size)[:LONGEST_LIST].tolist()
    yield from _letters(numbers)
    if len(numbers) <= LEAST_VALUES and any(is_a_day(f"{number:.1f}") for number in numbers):
        yield ("deid.date", DATES)


def _text(values: list[str], vr: str, keyword: str, kept: frozenset[str]) -> Iterator[Finding]:
    """Dates, numbers, addresses and names in a text."""
    if any(map(HIDDEN_SIGN.search, values)):
        yield ("deid.hidden_bytes", NEVER)
    if any(map(looks_identifying, values)):
        yield ("deid.text_pattern", NEVER)
    if keyword not in MAKERS and any(has_short_date(value) or names_a_machine(value) for value in values):
        yield ("deid.text_pattern", NEVER)
    if any(map(hides_a_person, values)) or (len(values) > 1 and _is_split(values)):
        yield ("deid.text_pattern", NEVER)
    if keyword in PROTOCOLS:
        values = [value.replace("^", " . ") if is_protocol_path(value) else value for value in values]
    if any(map(names_a_person, values)) or any(map(has_foreign_script, values)):
        yield ("deid.name_in_text", kept)
    free = [value for value in values if keyword not in MAKERS and (keyword not in CODES or " " in value)]
    if any(map(has_foreign_words, free)):
        yield ("deid.name_in_text", kept)
    if (vr in PROSE_VRS or not keyword) and any(map(LONG_NUMBER.search, values)):
        yield ("deid.text_pattern", NEVER)


def _is_split(values: list[str]) -> bool:
    """True where a date, a number or a name stands in several values."""
    if looks_identifying(" ".join(values)):
        return True
    if all(len(value) == 1 for value in values) and names_a_person(" ".join(values)):
        return True
    halves = [
        first + second
        for first, second in pairwise(values)
        if not (is_technical(first) or is_technical(second))
    ]
    return any(len(whole) >= LEAST_JOINED and whole.isalpha() and names_a_person(whole) for whole in halves)


def unique_ids(values: list[str]) -> Iterator[Finding]:
    """A UID is numbers and dots; made of a moment in time, it tells that moment."""
    if any(value and not is_uid(value) for value in values):
        yield ("deid.unique_id", NEVER)
    if any(map(uid_is_dated, values)):
        yield ("deid.unique_id", RETAINED_UIDS)
    if any(_spell(run.split(".")) for value in values for run in LETTERS_IN_UID.findall(value)):
        yield ("deid.unique_id", NEVER)


def _spell(numbers: Sequence[str | float]) -> bool:
    """True where numbers are the letters of a text that identifies."""
    text = spelled([float(number) for number in numbers])
    return bool(text) and bytes_look_identifying(text.encode())


def binary(data: bytes) -> Iterator[Finding]:
    """Texts in bytes."""
    if bytes_look_identifying(data):
        yield ("deid.text_pattern", NEVER)


def is_curve(value: object) -> bool:
    """True for numbers, or bytes of numbers of 8 or 16 bits, which never fall or never rise, and are many."""
    if isinstance(value, bytes):
        words = np.frombuffer(value[: len(value) // 2 * 2], "<u2")
        kinds = [words, words.byteswap(), np.frombuffer(value, np.uint8)]
    elif isinstance(value, Sequence) and all(isinstance(item, int) for item in value):
        kinds = [np.array(value, dtype=np.int64)]
    else:
        return False
    steps = (np.diff(numbers.astype(np.int64)) for numbers in kinds if len(numbers) >= LEAST_OF_A_CURVE)
    return any(bool((one >= 0).all() or (one <= 0).all()) for one in steps)


def texts(element: DataElement) -> list[str]:
    """All that an attribute says, as texts."""
    if element.VR == "SQ":
        return []
    if isinstance(element.value, bytes):
        return list(texts_of(element.value))
    return values_of(element)


def _years(age: str) -> float:
    digits = age[:-1]
    return float(digits) if age.endswith("Y") and digits.isdigit() else 0.0
