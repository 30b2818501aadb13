"""Texts which look like they name or date a person."""

import json
import re
import unicodedata
import zlib
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

from synthdata.intake.dates_in_text import DATES
from synthdata.intake.national_ids import holds_national_id
from synthdata.intake.person_names import has_foreign_words, names_a_person
from synthdata.intake.telephones import TELEPHONES, holds_telephone
from synthdata.intake.word_lists import WORD, gazetteer, plain_letters

_ROAD = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|crescent|terrace|close|way|square|sq|"
    "highway|parkway"
)
_LABEL = (
    r"(?:mrn|ssn|dob|nhs no|date of birth|geboren|born|née|patient name|pat\.? id|(?:tele)?phone|fax|passport|e-?mail)"
    r"(?![^\W\d_])|d\.o\.b|geb\.|name:|tel\.?:|mobile:"
)
_UNITS_OF_AGE = "y|yo|y/o|yrs?|years?|jahre?|ans|años|anni|anos|jaar|jahren|år|év"
_ORGANISATIONS = (
    "accession|policy|insurance|member|account|acct|chart|encounter|pager|beeper|badge|licen[cs]e|certificate"
)
_RELATIVES = (
    "daughter|son|wife|husband|mother|father|sister|brother|widow|tochter|sohn|ehefrau|mutter|vater|fille|fils|hija|"
    "hijo"
)
_STATES = (
    r"(?:ma 0[12]|nh 03|me 0[34]|ri 02|ct 06|nj 0[78]|vt 05|pr 00)\d{3}|(?:de|ny|pa) 1\d{4}|"
    r"(?:dc|md|nc|sc|va|wv) 2\d{4}|(?:al|fl|ga|ms|tn) 3\d{4}|(?:in|ky|mi|oh) 4\d{4}|(?:ia|mn|mt|nd|sd|wi) 5\d{4}|"
    r"(?:il|ks|mo|ne) 6\d{4}|(?:ar|la|ok|tx) 7\d{4}|(?:az|co|id|nm|nv|ut|wy) 8\d{4}|(?:ak|ca|hi|or|wa) 9\d{4}"
)  # with the first digits of their ZIP codes: "case MR 00123" is no place
_PATTERNS = (
    r"[\w.+-]@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}",  # e-mail; one sign before the @, since a search from each would be slow
    r"\w ?[(\[] ?at ?[)\]] ?\w",  # e-mail as people hide it from machines
    r"\w (?:at|dot) [\w-]{2,}(?: dot [\w-]{2,}){0,2} dot (?:com|org|net|edu|gov|[a-z]{2})\b",
    r"\b[a-z]{2,6}://|\bwww\.\w",  # address of a page, which names a house
    r"\b[\w-]{2,40}\.(?:org|com|net|edu|gov|int|de|fr|uk|nl|it|es|ch|at|eu)(?::\d+)?/\w",
    r"(?<![\w:/.])//[a-z][\w.-]*/\w|\b(?:users|home|documents and settings)[/\\]\w",  # of a file, which names its owner
    r"(?<![\d.])192\.168\.\d{1,3}\.\d{1,3}(?![\d.])",  # of a machine
    r"(?<![\w:-])(?:[\da-f]{2}[:-]){5}[\da-f]{2}(?![\w:-])",
    r"(?<![\w:])(?=[\da-f:]{0,40}[a-f])(?:[\da-f]{1,4}:){1,6}:(?:[\da-f]{1,4}:){0,4}[\da-f]{1,4}(?![\w:])",
    r"(?<![\w:])(?:[\da-f]{1,4}:){7}[\da-f]{1,4}(?![\w:])",  # of a machine by the sixth protocol
    r"\d ?° ?\d{1,2} ?['′’]|\d{1,2}\.\d{3,} ?°? ?[ns]\W{1,3}\d{1,3}\.\d{3,} ?°? ?[ew]\b",  # of a place on the globe
    *DATES,
    *TELEPHONES,
    rf"\b(?:{_LABEL})",
    r"\b(?:mrs|ms|miss|dr|prof|herr|frau|madame|mme|señora?|sig\.ra|mr\.)\.? [^\W\d_]{3,}",  # "MR" is a modality
    r"\b(?:patient|pt|pat|subject)\s*[:=]\s*[^\W\d_]{3,}",
    r"(?:patient|physician|operator|doctor|person)s?[ _]?(?:name|id|birth ?date)[\"']?\s*[:=>]\s*[\"']?\w",
    rf"\b(?:{_ORGANISATIONS})\W{{0,3}}(?:(?:no|nr|number|num|id)\b)?\W{{0,3}}[a-z]{{0,3}}\d(?:[ ./-]?\d){{4,}}",
    r"\b(?:hosp(?:ital)?|clinic|unit|record|file)\.? ?(?:no|nr|number)\b\.?\W{0,3}[a-z]{0,3}\d(?:[ ./-]?\d){3,}",
    r"\b(?:room|ward|zimmer|station|stanza|kamer|sala)\W{0,2}\d{1,4}[a-z]?\W{1,3}(?:bed|bett|letto|cama)\b",
    r"\b(?:reported|dictated|signed|verified|transcribed|approved) by\b[: ]{1,2}[^\W\d_]",
    r"(?:\bs/n|\bserial (?:no|nr|number))\W{0,3}[a-z]{0,4}-?\d{3,}",
    r"\b[acipv][a-z<][a-z]{3}[a-z<]{2,40}<<[a-z]",  # of a passport, as machines read it
    rf"\b(?:9\d|1[0-2]\d)[ -]?(?:{_UNITS_OF_AGE})\b",  # ages of ninety and above
    r"\b(?:aged?|alter|âge|edad|età|leeftijd|ålder)\W{1,3}(?:9\d|1[0-2]\d)\b",
    r"\b(?:ninety|hundred)(?:[ -][a-z]{3,5})?[ -]years?\b",
    rf"\b\d{{1,5}}[a-z]?,? (?:[^\W\d_]+\.? ){{1,3}}(?:{_ROAD})\b",  # 12 Long Street
    r"\b[^\W\d_]+(?:straße|strasse|str\.|weg|gasse|platz|allee|laan|straat|gracht|kade|plein|singel|gatan|gata|vej)\s*\d{1,4}\b",
    r"\b(?:rue|avenue|via|calle|avenida|rua|plaza|piazza)\s+(?:[^\W\d_]+\s+){1,4}\d{1,4}\b",
    r"\b\d{1,4},? (?:bis )?(?:rue|avenue|boulevard|chemin|impasse)\s+[^\W\d_]{3,}",
    r"\bp\.? ?o\.? box \d+",
    rf"\b(?:{_RELATIVES}) (?:of|von|de|di|van) [^\W\d_]{{3,}}|\b(?:{_RELATIVES}) (?:died|deceased|verstorben)\b",
    r"\b(?:(?:licen[cs]e|number|registration) plate|kennzeichen|immatriculation|matricula|targa)\W{1,3}\w",
    r"\bplate\W{1,3}[a-zäöü]{1,3}[ -][a-z]{1,2}[ -]?\d{1,4}\b",
    r"\b[a-z]{1,2}\d[a-z\d]? \d[abd-hjlnp-uw-z]{2}\b",  # postcode of the United Kingdom
    r"\b[a-ceghj-npr-tvxy]\d[a-z] \d[a-z]\d\b",  # of Canada
)
PLACE = re.compile(
    rf"\b[^\W\d_]{{3,}},? (?:{_STATES})(?:-\d{{4}})?\b", re.IGNORECASE
)  # Springfield, IL 62704
MACHINE = re.compile(r"(?<![\d.])(?:10\.\d{1,3}|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.(\d{1,3})(?![\d.])")
HIGHEST_BYTE = 255
LEAST_NAME = 5  # letters of a known name beside another word
LEAST_FOREIGN = 4  # letters of other scripts in a run of bytes, which noise does not have in a row
LONG_NUMBER = re.compile(r"(?<![\d.])\d{7,}(?![\d.])")
IDENTIFYING = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
CAPITALISED_PAIR = re.compile(
    r"(?<![^\W_])[A-Z][a-z]{3,}(?: |\^|, )[A-Z][a-z]{3,}(?![^\W_])"
)  # seldom in noise
PRINTABLE = re.compile(rb"[\x20-\x7e]{6,}")
DEFLATED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")  # gzip and zlib
DEFLATED_WITHIN, INFLATED_BYTES = 64, 1 << 20
WIDE = (
    (re.compile(rb"(?:[\x20-\x7e]\0){6,}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\x20-\x7e]){6,}"), "utf-16-be"),
)
NAMES_WITH_ACCENTS = tuple(
    (
        re.compile(
            rb"(?:%(u)b%(l)b{2,20}|%(u)b{3,20})(?:%(g)b){1,2}(?:%(u)b%(l)b{2,20}|%(u)b{3,20})"
            % {b"u": upper, b"l": lower, b"g": gap}
        ),
        encoding,
    )
    for encoding, upper, lower, gap in (
        ("latin-1", rb"[A-Z\xc0-\xd6\xd8-\xde]", rb"[a-z\xdf-\xf6\xf8-\xff]", rb"[ ,^-]"),
        (
            "utf-8",
            rb"(?:[A-Z]|\xc3[\x80-\x9e])",
            rb"(?:[a-z]|\xc3[\x9f-\xbf]|[\xc4\xc5][\x80-\xbf])",
            rb"[ ,^-]",
        ),
        ("utf-16-le", rb"(?:[A-Z\xc0-\xde]\0)", rb"(?:[a-z\xdf-\xff]\0)", rb"[ ,^-]\0"),
        ("utf-16-be", rb"(?:\0[A-Z\xc0-\xde])", rb"(?:\0[a-z\xdf-\xff])", rb"\0[ ,^-]"),
    )
)  # two words in a row
ACCENT_IN_WORD = re.compile(
    rb"[A-Za-z](?:[\xc0-\xff]|[\xc3-\xc5][\x80-\xbf])[a-zA-Z]|\0[A-Za-z]\0[\xc0-\xff]|[A-Za-z]\0[\xc0-\xff]\0|"
    rb"(?<![\x80-\xff])[\xc0-\xff][\x80-\xbf]?[A-Za-z]{2}|\0[\xc0-\xff]\0[A-Za-z]|[\xc0-\xff]\0[A-Za-z]\0"
)
OTHER_LETTERS = re.compile(
    rb"(?:[\xd0-\xdb][\x80-\xbf]){2}|(?:[\xe3-\xed][\x80-\xbf]{2}){2}|(?:[\x10-\x4f]\x04){2}|(?:\x04[\x10-\x4f]){2}"
)
ASCII, CYRILLIC_PAGE = bytes(range(0x80)), b"\x04"
OTHER_SCRIPTS = (
    (re.compile(rb"(?:[\x10-\x4f]\x04|[ ^,]\0){4,}"), "utf-16-le"),  # Cyrillic
    (re.compile(rb"(?:\x04[\x10-\x4f]|\0[ ^,]){4,}"), "utf-16-be"),
    (re.compile(rb"(?:[\xd0-\xd3][\x80-\xbf]|[ ^,]){4,}"), "utf-8"),
    (re.compile(rb"(?:[\xd7-\xdb][\x80-\xbf]|[ ^,]){4,}"), "utf-8"),  # Hebrew, Arabic
    (re.compile(rb"(?:[\xe3-\xed][\x80-\xbf]{2}|[ ^,=]){4,}"), "utf-8"),  # Chinese, Japanese, Korean
)

_VOCABULARY = json.loads(
    resources.files("synthdata.intake").joinpath("vocabulary.json").read_text(encoding="utf-8")
)
DUMMY_WORDS = frozenset(_VOCABULARY["dummy_words"])
IMAGING_TERMS = frozenset(_VOCABULARY["imaging_terms"])
CODE = re.compile(r"[A-Za-z]{0,8}[-_ ]?\d[\d._-]*|[0-9A-Fa-f-]{8,}|\d+")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@lru_cache(1 << 14)
def looks_identifying(text: str, *, prose: bool = True, groups: bool = True) -> bool:
    """True where a text holds a date, a telephone or identity number, an e-mail or postal address or a titled name.

    Args:
        text: What is looked at.
        prose: False in names of files, where loose groups of digits are rather a site and a subject, and CT no state.
        groups: False where groups of digits are known to be no telephone number.
    """
    if not text.isascii():
        text = _with_plain_digits(text)
    if IDENTIFYING.search(text) or (prose and PLACE.search(text)):
        return True
    return (groups and holds_telephone(text, prose=prose)) or holds_national_id(text)


def _with_plain_digits(text: str) -> str:
    """Digits of other scripts as those of this one."""
    return "".join(str(unicodedata.decimal(char, char)) for char in text)


def names_a_machine(text: str) -> bool:
    """True where a text holds an address in a network of a house; versions of programs are written so too."""
    return any(int(last) <= HIGHEST_BYTE for last in MACHINE.findall(text))


def texts_of(data: bytes) -> Iterator[str]:
    """Printable runs of binary content, in ASCII and in both orders of UTF-16, also in deflated blocks."""
    for start in (match.start() for match in DEFLATED.finditer(data[:DEFLATED_WITHIN])):
        try:
            data += zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data[start:], INFLATED_BYTES)
        except zlib.error:
            continue
    for run in PRINTABLE.finditer(data):
        yield run.group().decode("ascii")
    for pattern, encoding in WIDE:
        for run in pattern.finditer(data):
            yield run.group().decode(encoding)


def bytes_look_identifying(data: bytes) -> bool:
    """True where a printable run of binary content holds such a text, or the name of a person."""
    return any(
        looks_identifying(text) or _names_a_person(text) for text in texts_of(data)
    ) or _names_beyond_ascii(data)


def _names_beyond_ascii(data: bytes) -> bool:
    """Names with accents, and words of other scripts."""
    beyond = bool(data.translate(None, ASCII))
    if not beyond and data.count(CYRILLIC_PAGE) < LEAST_FOREIGN:
        return False
    if beyond and ACCENT_IN_WORD.search(data):
        names = (run for pattern, encoding in NAMES_WITH_ACCENTS for run in _runs(pattern, encoding, data))
        if any(not run.isascii() and _is_a_name(_plain_words(run)) for run in names):
            return True
    if not OTHER_LETTERS.search(data):
        return False
    others = (run for pattern, encoding in OTHER_SCRIPTS for run in _runs(pattern, encoding, data))
    return any(sum(map(str.isalpha, run)) >= LEAST_FOREIGN for run in others)


def _is_a_name(words: list[str]) -> bool:
    """Two known names, or one that noise does not have."""
    known = [word for word in words if word in gazetteer()]
    return len(known) > 1 or any(len(word) >= LEAST_NAME for word in known)


def _plain_words(run: str) -> list[str]:
    return [plain_letters(word) for word in WORD.findall(run)]


def _runs(pattern: re.Pattern[bytes], encoding: str, data: bytes) -> Iterator[str]:
    for run in pattern.finditer(data):
        yield run.group().decode(encoding, errors="replace")


def _names_a_person(run: str) -> bool:
    """Names in runs of bytes, which are noise for the most part: two of them, one in DICOM's notation, or capitals."""
    words = _plain_words(run)
    known = sum(len(word) > 3 and word in gazetteer() for word in words)
    if any(has_foreign_words(pair.group()) for pair in CAPITALISED_PAIR.finditer(run)):
        return True
    return known > 1 or bool(known and ("^" in run or words == [plain_letters(run.strip())]))


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
