"""Words of a text which are names of persons, by a gazetteer and by the words that imaging uses."""

import gzip
import json
import re
import unicodedata
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise

WORD = re.compile(r"[^\W\d_]+")
CARET_NAME = re.compile(r"[^\W\d_]{2}\s*\^\s*[^\W\d_]{2}")  # two letters tell as much as all, in linear time
LEAST_LETTERS = 4  # shorter names (Kim, Doe) count only beside another name
SHORTEST_NAME = 3
OWN_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")  # parts a word such as SmithJohn
HEXADECIMAL = re.compile(
    r"(?<![^\W_])(?=[0-9a-f-]*\d)[0-9a-f-]{8,}(?![^\W_])", re.IGNORECASE
)  # digests have no names
UNITS = frozenset("µμåΩ°")


@cache
def gazetteer() -> frozenset[str]:
    """Given names and the 40,000 most frequent surnames, less the words of imaging, in lower case.

    Source: US Census Bureau, Frequently Occurring Surnames and First Names, 1990 (public domain).
    """
    packed = resources.files("synthdata.intake").joinpath("names.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode("ascii").split()) - imaging_words()


@cache
def imaging_words() -> frozenset[str]:
    """Words of DICOM attribute names and code meanings, of vendors, and of series descriptions."""
    folder = resources.files("synthdata.intake")
    vocabulary = json.loads(folder.joinpath("vocabulary.json").read_text(encoding="utf-8"))
    words = folder.joinpath("imaging_words.txt").read_text(encoding="ascii").split()
    dummies = (part for word in vocabulary["dummy_words"] for part in WORD.findall(word.lower()))
    return frozenset([*words, *vocabulary["imaging_terms"], *vocabulary["vendor_words"], *dummies])


@lru_cache(1 << 14)
def names_a_person(text: str) -> bool:
    """True where a text holds a name, two names in a row, or a name in DICOM's notation `Family^Given`."""
    text = HEXADECIMAL.sub(" ", text)
    if CARET_NAME.search(text) and not all(_is_imaging(word) for word in WORD.findall(text)):
        return True
    words = [part for word in WORD.findall(text) for part in OWN_CASE.split(word)]
    whole = [_plain(word) for word in WORD.findall(text)]
    known = [_plain(word) in gazetteer() for word in words]
    if any(flag and len(word) >= LEAST_LETTERS for word, flag in zip(words, known, strict=True)):
        return True
    if any(word in gazetteer() and len(word) >= LEAST_LETTERS for word in whole):
        return True
    pairs = zip(words, words[1:], known, known[1:], strict=False)
    return any(a and b and min(len(left), len(right)) >= SHORTEST_NAME for left, right, a, b in pairs)


@lru_cache(1 << 14)
def has_foreign_script(text: str) -> bool:
    """True where a word has letters beyond ASCII and is none of imaging."""
    words = (word for word in WORD.findall(text) if not word.isascii())
    return any(not set(word) & UNITS and _plain(word) not in imaging_words() for word in words)


@lru_cache(1 << 14)
def has_foreign_words(text: str) -> bool:
    """True where two words in a row are none of imaging, as an unusual name is."""
    strange = [len(word) >= LEAST_LETTERS and not _is_imaging(word) for word in WORD.findall(text)]
    return any(left and right for left, right in pairwise(strange))


def _is_imaging(word: str) -> bool:
    return len(word) <= 2 or _plain(word) in imaging_words()


def _plain(word: str) -> str:
    """Lower case without accents."""
    parts = unicodedata.normalize("NFKD", word.replace("ß", "ss"))
    return "".join(char for char in parts if not unicodedata.combining(char)).lower()
