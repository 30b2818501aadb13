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
SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:([ .-])[^\W\d_])(?:\1[^\W\d_]){3,}(?![^\W_])")  # S P E L L E D
LEAST_LETTERS = 4  # shorter names (Kim, Doe) count only beside another name
SHORTEST_NAME = 3
OWN_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")  # parts a word such as SmithJohn
HEXADECIMAL = re.compile(
    r"(?<![^\W_])(?=[0-9a-f-]*\d)[0-9a-f-]{8,}(?![^\W_])", re.IGNORECASE
)  # digests have no names
CODE = re.compile(
    r"(?<![^\W_])[^\W_]*[^\W\d_]\d+[^\W\d_][^\W_]*"
)  # letters about digits, such as QMNx85rKkkg
VOWELS = re.compile("[aeiouy]")
LEAST_PART, LONGEST_COMPOUND = 3, 40  # letters of a word in a compound, and of a compound
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


@cache
def examination_words() -> frozenset[str]:
    """What describes an examination: words of other languages, sequences and trials; some of them are names too."""
    text = resources.files("synthdata.intake").joinpath("examination_words.txt").read_text(encoding="ascii")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


@cache
def everyday_words() -> frozenset[str]:
    """Words of everyday English of four letters or more, less frequent given names, in lower case.

    Source: SCOWL; its copyright notice stands at the head of the file.
    """
    packed = resources.files("synthdata.intake").joinpath("everyday_words.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


@lru_cache(1 << 14)
def names_a_person(text: str, *, prose: bool = True) -> bool:
    """True where a text holds a name, two names in a row, or a name in DICOM's notation `Family^Given`.

    A name that is an everyday word too (`bird cage coil`), or that medicine uses (`Baker cyst`), counts only alone or
    beside another name; two everyday words in lower case are none. Of the most frequent surnames (`hall`) that holds in
    lower case alone.

    Args:
        text: What is looked at.
        prose: False where lower case tells nothing, as in names of files.
    """
    text = HEXADECIMAL.sub(" ", text)
    if CARET_NAME.search(text) and not all(map(_is_level, WORD.findall(text))):
        return True
    text = SPELLED.sub(lambda run: "".join(WORD.findall(run.group())), text)
    whole = WORD.findall(text)
    words = [part for word in whole for part in OWN_CASE.split(word)]
    known = [plain_letters(word) in gazetteer() for word in words]
    for (left, right), both in zip(pairwise(words), pairwise(known), strict=True):
        plain = prose and _is_plain_word(left) and _is_plain_word(right)
        if all(both) and min(len(left), len(right)) >= SHORTEST_NAME and not plain:
            return True
    alone = [word for word, flag in zip(words, known, strict=True) if flag]
    alone += [word for word in whole if word not in words and plain_letters(word) in gazetteer()]
    return any(
        len(word) >= LEAST_LETTERS and not _means_something_else(word, words, prose=prose) for word in alone
    )


def _means_something_else(name: str, words: list[str], *, prose: bool) -> bool:
    """An everyday word or an eponym, where words of imaging tell that it is no name."""
    if name not in words:
        return False
    at = words.index(name)
    told = [len(word) > 1 and word != name and plain_letters(word) in imaging_words() for word in words]
    if plain_letters(name) in vocabulary("eponyms") and (
        any(told[at + 1 : at + 2]) or [word.lower() for word in words[max(0, at - 1) : at]] == ["of"]
    ):
        return True
    if prose and _is_plain_word(name):
        return any(told) or any(word != name and _is_plain_word(word) for word in words)
    capital = name.istitle() and any(
        word.islower() for word in words[:at]
    )  # within a sentence, as names have
    return (
        not capital
        and plain_letters(name) in everyday_words() - vocabulary("frequent_surnames")
        and any(told)
    )


def _is_plain_word(word: str) -> bool:
    """An everyday word in lower case, as prose has it."""
    return word.islower() and word in everyday_words()


@cache
def vocabulary(key: str) -> frozenset[str]:
    """A list of `vocabulary.json`."""
    text = resources.files("synthdata.intake").joinpath("vocabulary.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text)[key])


def is_protocol_path(text: str) -> bool:
    """True for `Region^Examination`, as vendors describe a study: one side is of imaging words alone."""
    sides = [WORD.findall(side) for side in text.split("^")]
    return len(sides) > 1 and any(words and all(map(_is_imaging, words)) for words in sides)


@lru_cache(1 << 14)
def has_foreign_script(text: str) -> bool:
    """True where a word has letters beyond ASCII and is none of imaging."""
    words = (word for word in WORD.findall(text) if not word.isascii())
    known = imaging_words() | examination_words()
    return any(not set(word) & UNITS and plain_letters(word) not in known for word in words)


@lru_cache(1 << 14)
def has_foreign_words(text: str) -> bool:
    """True where two words in a row are none of imaging or of everyday, as an unusual name is."""
    words = WORD.findall(CODE.sub(" . ", text))
    strange = [len(word) >= LEAST_LETTERS and not _is_usual(word) for word in words]
    return any(left and right for left, right in pairwise(strange))


def _is_level(word: str) -> bool:
    """A word of a protocol's tree: of imaging, or one letter."""
    return len(word) == 1 or plain_letters(word) in imaging_words() | examination_words()


def _is_imaging(word: str) -> bool:
    return len(word) <= 2 or plain_letters(word) in imaging_words()


def _is_usual(word: str) -> bool:
    """A word of imaging, of an examination or of everyday, several in one, or letters which nobody could speak."""
    if word.isascii() and not VOWELS.search(word.lower()):
        return True
    return all(
        _is_imaging(part) or plain_letters(part) in everyday_words() or _is_compound(plain_letters(part))
        for part in OWN_CASE.split(word)
    )


@lru_cache(1 << 14)
def _is_compound(word: str) -> bool:
    """A word which describes an examination, or is put together from such and of words of imaging."""
    if len(word) > LONGEST_COMPOUND:  # the time to look grows with the square of the letters
        return False
    if word in examination_words():
        return True
    return any(
        (word[:at] in examination_words() or word[:at] in imaging_words())
        and (word[at:] in imaging_words() or _is_compound(word[at:]))
        for at in range(LEAST_PART, len(word) - LEAST_PART + 1)
    )


def plain_letters(word: str) -> str:
    """Lower case without accents."""
    parts = unicodedata.normalize("NFKD", word.replace("ß", "ss"))
    return "".join(char for char in parts if not unicodedata.combining(char)).lower()
