"""Texts which look like they name or date a person."""

import json
import re
from importlib import resources

_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_PATTERNS = (
    r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b",  # e-mail
    r"\b(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b",  # 2024-04-25
    r"\b(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d\b",  # 25.04.2024, 4/25/2024
    r"\b(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b",  # 20240425
    rf"\b(?:0?[1-9]|[12]\d|3[01])[ -]{_MONTH}[ ,-]+(?:19|20)?\d\d\b",  # 25 Apr 2024
    rf"\b{_MONTH} (?:0?[1-9]|[12]\d|3[01]),? (?:19|20)\d\d\b",
    r"(?<![\w.])\+\d[\d ()/.-]{7,}\d\b",  # international telephone
    r"(?<![\w.-])\(?\d{3}\)?[ -.]\d{3}[ -.]\d{4}\b",  # North American telephone
    r"\b\d{3}-\d{2}-\d{4}\b",  # US social security
    r"\b\d{3} \d{3} \d{4}\b",  # NHS number
    r"\b(?:mrn|ssn|dob|d\.o\.b|date of birth|born|patient name|name:|phone|tel\.?:)",
    r"\b(?:mrs|dr|prof)\.? [a-z]{3,}",  # a title with a name; "MR" is a modality far more often
)
IDENTIFYING = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
PRINTABLE = re.compile(rb"[\x20-\x7e]{6,}")

_VOCABULARY = json.loads(
    resources.files("synthdata.intake").joinpath("vocabulary.json").read_text(encoding="utf-8")
)
DUMMY_WORDS = frozenset(_VOCABULARY["dummy_words"])
IMAGING_TERMS = frozenset(_VOCABULARY["imaging_terms"])
CODE = re.compile(r"[A-Za-z]{0,8}[-_ ]?\d[\d._-]*|[0-9A-Fa-f-]{8,}|\d+")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

WORD = re.compile(r"[^\W\d_]+")


def looks_identifying(text: str) -> bool:
    """True where a text holds a date, a telephone or identity number, an e-mail address or a titled name."""
    return bool(IDENTIFYING.search(text))


def bytes_look_identifying(data: bytes) -> bool:
    """The same for the printable runs of binary content."""
    return any(looks_identifying(run.group().decode("ascii")) for run in PRINTABLE.finditer(data))


def is_dummy(text: str) -> bool:
    """True for an empty text, a word that says that nothing is there, or a code without words."""
    words = [word for word in re.split(r"[\^=\s]+", text.strip()) if word]
    return all(word.upper().strip(".") in DUMMY_WORDS or CODE.fullmatch(word) for word in words)


def is_token(text: str) -> bool:
    """True for one word of letters, digits and dashes, as a pseudonymous identifier is."""
    return not text.strip() or bool(TOKEN.fullmatch(text.strip()))


def is_technical(text: str) -> bool:
    """True where all words are of imaging, or too short to name a person."""
    return all(len(word) <= 2 or word.lower() in IMAGING_TERMS for word in WORD.findall(text))
