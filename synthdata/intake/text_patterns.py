"""Texts which look like they name or date a person."""

import json
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

from synthdata.intake.national_ids import holds_national_id
from synthdata.intake.person_names import gazetteer, names_a_person

_MONTH = (
    "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|avr|juin|juil|août|déc|"
    "ene|abr|ago|dic|gen|mag|giu|lug|set|ott)[a-zéûèä]*"
)
_DAY, _MONTH_NUMBER, _YEAR = "(?:0?[1-9]|[12]\\d|3[01])", "(?:0?[1-9]|1[0-2])", "(?:18[89]|19\\d|20[0-4])\\d"
_ROAD = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|crescent|terrace|close|way|square|sq|"
    "highway|parkway"
)
_LABEL = (
    r"mrn|ssn|dob|nhs no|d\.o\.b|date of birth|geb\.|geboren|born|née|patient name|pat\.? id|name:|phone|tel\.?:|fax|"
    r"mobile:|passport|e-?mail"
)
_PATTERNS = (
    r"[\w.+-]@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}",  # e-mail; one sign before the @, since a search from each would be slow
    r"\b(?:https?|ftp)://|\bwww\.\w",  # address of a page, which names a house
    rf"(?<![\d.]){_YEAR}([-/.]){_MONTH_NUMBER}\1{_DAY}(?![\d.])",  # 2024-04-25
    rf"(?<![\d.]){_DAY}([-/.]){_MONTH_NUMBER}\2{_YEAR}(?!\d)",  # 25.04.2024
    rf"(?<![\d.]){_MONTH_NUMBER}([-/.]){_DAY}\3{_YEAR}(?!\d)",  # 4/25/2024
    rf"(?<![\d/]){_DAY}/{_DAY}/\d\d(?![\d/])",  # 4/25/24
    rf"(?<![\d.]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![\d.])",  # 20240425
    rf"(?<![\d.]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?(?:\.\d+)?(?!\d)",
    rf"\b{_DAY}(?:st|nd|rd|th|\.)?[ -]*(?:de |of )?{_MONTH}\.?[ ,-]+(?:de |of )?(?:{_YEAR}|\d\d)\b",  # 25 Apr 2024
    rf"\b{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}\b",
    r"(?<![\w.])\+\d[\d ()/.-]{7,}\d\b",  # international telephone
    r"(?<![\w.-])\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}(?![\w.])",  # North American telephone
    r"(?<![\w.,-])(?:\(0\d{1,4}\)|0\d{1,4})[ /-]+\d{2,4}(?:[ -]?\d{2,4}){1,3}(?![\w.,])",  # national telephone
    rf"\b(?:{_LABEL})",
    r"\b(?:mrs|ms|miss|dr|prof|herr|frau|madame|mme|señora?|sig\.ra|mr\.)\.? [^\W\d_]{3,}",  # "MR" is a modality
    r"\b(?:patient|pt|pat|subject)\s*[:=]\s*[^\W\d_]{3,}",
    r"\b(?:9\d|1[0-2]\d)[ -]?(?:y|yo|y/o|yrs?|years?)\b",  # ages of ninety and above
    rf"\b\d{{1,5}}[a-z]?,? (?:[^\W\d_]+\.? ){{1,3}}(?:{_ROAD})\b",  # 12 Long Street
    r"\b[^\W\d_]+(?:straße|strasse|str\.|weg|gasse|platz|allee|laan|straat|gatan|gata|vej)\s*\d{1,4}\b",
    r"\b(?:rue|avenue|via|calle|avenida|rua|plaza|piazza)\s+(?:[^\W\d_]+\s+){1,4}\d{1,4}\b",
    r"\b\d{1,4},? (?:bis )?(?:rue|avenue|boulevard|chemin|impasse)\s+[^\W\d_]{3,}",
    r"\bp\.? ?o\.? box \d+",
    r"\b[a-z]{1,2}\d[a-z\d]? \d[abd-hjlnp-uw-z]{2}\b",  # postcode of the United Kingdom
    r"\b[a-ceghj-npr-tvxy]\d[a-z] \d[a-z]\d\b",  # of Canada
    r"\b[^\W\d_]{3,},? [A-Z]{2} \d{5}(?:-\d{4})?\b",  # Springfield, IL 62704
)
LONG_NUMBER = re.compile(r"(?<![\d.])\d{7,}(?![\d.])")
IDENTIFYING = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
PRINTABLE = re.compile(rb"[\x20-\x7e]{6,}")
GZIP = re.compile(rb"\x1f\x8b\x08")
GZIP_WITHIN, INFLATED_BYTES = 64, 1 << 20
WIDE = (
    (re.compile(rb"(?:[\x20-\x7e]\0){6,}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\x20-\x7e]){6,}"), "utf-16-be"),
)

_VOCABULARY = json.loads(
    resources.files("synthdata.intake").joinpath("vocabulary.json").read_text(encoding="utf-8")
)
DUMMY_WORDS = frozenset(_VOCABULARY["dummy_words"])
IMAGING_TERMS = frozenset(_VOCABULARY["imaging_terms"])
CODE = re.compile(r"[A-Za-z]{0,8}[-_ ]?\d[\d._-]*|[0-9A-Fa-f-]{8,}|\d+")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

WORD = re.compile(r"[^\W\d_]+")


@lru_cache(1 << 14)
def looks_identifying(text: str) -> bool:
    """True where a text holds a date, a telephone or identity number, an e-mail or postal address or a titled name."""
    return bool(IDENTIFYING.search(text)) or holds_national_id(text)


def texts_of(data: bytes) -> Iterator[str]:
    """Printable runs of binary content, in ASCII and in both orders of UTF-16."""
    for start in (match.start() for match in GZIP.finditer(data[:GZIP_WITHIN])):
        try:
            data += zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[start:], INFLATED_BYTES)
        except zlib.error:
            continue
    for run in PRINTABLE.finditer(data):
        yield run.group().decode("ascii")
    for wide, encoding in WIDE:
        for run in wide.finditer(data):
            yield run.group().decode(encoding)


def bytes_look_identifying(data: bytes) -> bool:
    """True where a printable run of binary content holds such a text, or the name of a person."""
    return any(looks_identifying(text) or _names_a_person(text) for text in texts_of(data))


def _names_a_person(run: str) -> bool:
    """Names in runs of bytes, which are noise for the most part: two of them, or one in DICOM's notation."""
    words = WORD.findall(run)
    known = sum(len(word) > 3 and word.lower() in gazetteer() for word in words)
    return known > 1 or bool(known and "^" in run)


def is_dummy(text: str) -> bool:
    """True for an empty text, a word that says that nothing is there, or a code without words."""
    words = [word for word in re.split(r"[\^=\s]+", text.strip()) if word]
    if not all(word.upper().strip(".") in DUMMY_WORDS or CODE.fullmatch(word) for word in words):
        return False
    return not any(looks_identifying(word) or names_a_person(word) for word in words)


def is_token(text: str) -> bool:
    """True for one word of letters, digits and dashes, as a pseudonymous identifier is."""
    return not text.strip() or bool(TOKEN.fullmatch(text.strip()))


def is_technical(text: str) -> bool:
    """True where all words are of imaging, or too short to name a person."""
    return all(len(word) <= 2 or word.lower() in IMAGING_TERMS for word in WORD.findall(text))
