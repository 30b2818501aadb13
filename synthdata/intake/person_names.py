"""Words of a text which are names of persons, by a gazetteer and by the words that imaging uses."""

import re
from functools import lru_cache
from itertools import pairwise

from synthdata.intake.name_likeness import LEAST_LEARNT, reads_like_a_name
from synthdata.intake.word_lists import (
    LEAST_MISSPELLED,
    WORD,
    abbreviated_words,
    everyday_words,
    examination_words,
    gazetteer,
    imaging_words,
    misspelled_words,
    plain_letters,
    vocabulary,
    without_a_letter,
    words_of_the_trade,
)

CARET_NAME = re.compile(r"[^\W\d_]{2}\s*\^\s*[^\W\d_]{2}")  # two letters tell as much as all, in linear time
SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:([ .-])[^\W\d_])(?:\1[^\W\d_]){3,}(?![^\W_])")  # S P E L L E D
LEAST_LETTERS = 4  # shorter names (Kim, Doe) count only beside another name
SHORTEST_NAME = 3
OWN_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")  # parts a word such as SmithJohn
HEXADECIMAL = re.compile(
    r"(?<![^\W_])(?=[0-9a-f][0-9a-f-]{0,126}\d|\d)[0-9a-f-]{8,128}(?![^\W_])", re.IGNORECASE
)  # digests have no names; longest of 512 bits, since the time to look would else grow with the square of dashes
CODE = re.compile(
    r"(?<![^\W_])[^\W_]*[^\W\d_]\d+[^\W\d_][^\W_]*"
)  # letters about digits, such as QMNx85rKkkg
BESIDE_A_NAME = re.compile(
    r"(?<![^\W_])[A-Z]\. ?([A-Z][a-z]{3,})(?![^\W_])|"  # O. Adebayo
    r"(?<![^\W_])([A-Z][a-z]{3,}|[A-Z]{4,}), ?[A-Z]\.?(?![^\W_])|"  # Adebayo, O
    r"(?<![^\W_])Mr\.? ([A-Z][a-z]{3,})(?![^\W_])"
)
PARTICLES = frozenset(
    {
        "ap", "al", "el", "bin", "binti", "bint", "ibn", "ben", "ould", "abu", "van", "von", "zu", "de", "da", "do",
        "dos", "das", "del", "della", "di", "du", "la", "le", "ter", "ten", "den", "der", "y", "e", "i", "av", "af",
    }
)  # fmt: skip
VOWELS = re.compile("[aeiouy]")
LEAST_PART, LONGEST_COMPOUND = 3, 40  # letters of a word in a compound, and of a compound
SHORT_PARTS = frozenset({"ct", "mr", "ax", "wb", "fs", "ap", "pa"})  # of a compound, such as PETCT
PREFIXES = (
    "mid", "sub", "pre", "post", "non", "inter", "intra", "para", "peri", "retro", "supra", "infra", "trans", "multi",
    "super", "under", "over", "micro", "macro", "semi", "anti", "auto", "bio", "hyper", "hypo", "ultra",
)  # fmt: skip
UNITS = frozenset("µμåΩ°")


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
    if CARET_NAME.search(text) and not _is_tree(text):
        return True
    text = SPELLED.sub(lambda run: "".join(WORD.findall(run.group())), text)
    whole = WORD.findall(text)
    words = [part for word in whole for part in OWN_CASE.split(word)]
    known = [plain_letters(word) in gazetteer() for word in words]
    for (left, right), both in zip(pairwise(words), pairwise(known), strict=True):
        plain = prose and _is_plain_word(left) and _is_plain_word(right)
        if all(both) and min(len(left), len(right)) >= SHORTEST_NAME and left != right and not plain:
            return True
    alone = [word for word, flag in zip(words, known, strict=True) if flag]
    alone += [word for word in whole if word not in words and _is_joined_name(word)]
    return any(
        len(word) >= LEAST_LETTERS and not _means_something_else(word, words, prose=prose) for word in alone
    )


def _means_something_else(name: str, words: list[str], *, prose: bool) -> bool:
    """An everyday word or an eponym, where words of imaging tell that it is no name."""
    if name not in words:
        return False
    at = words.index(name)
    told = [len(word) > 1 and word != name and _is_of_the_trade(word) for word in words]
    if plain_letters(name) in vocabulary("eponyms") and (
        any(told[at + 1 : at + 2]) or [word.lower() for word in words[max(0, at - 1) : at]] == ["of"]
    ):
        return True
    if prose and _is_plain_word(name):
        return any(told) or any(word != name and _is_plain_word(word) for word in words)
    capital = name.istitle() and any(
        word.islower() for word in words[:at]
    )  # within a sentence, as names have
    plain = plain_letters(name)
    word = plain in everyday_words() or plain in abbreviated_words() or plain in examination_words()
    return not capital and word and plain not in vocabulary("frequent_surnames") and any(told)


def _is_joined_name(word: str) -> bool:
    """A name such as McDonald, whose parts are none; `TrueX` ends with a letter that stands for something."""
    plain = plain_letters(word)
    return plain in gazetteer() and plain not in examination_words() and len(OWN_CASE.split(word)[-1]) > 1


def _is_plain_word(word: str) -> bool:
    """An everyday word in lower case, as prose has it."""
    return word.islower() and word in everyday_words()


def is_protocol_path(text: str) -> bool:
    """True for `Region^Examination`, as vendors describe a study: one side is of imaging words alone."""
    sides = [WORD.findall(side) for side in text.split("^")]
    return len(sides) > 1 and any(words and all(map(_is_imaging, words)) for words in sides)


@lru_cache(1 << 14)
def has_foreign_script(text: str) -> bool:
    """True where a word has letters beyond ASCII and is none of imaging."""
    words = (
        word for word in WORD.findall(text) if any(char.isalpha() and not char.isascii() for char in word)
    )
    return any(not set(word) & UNITS and plain_letters(word) not in words_of_the_trade() for word in words)


@lru_cache(1 << 14)
def has_foreign_words(text: str) -> bool:
    """True where words that are none of imaging or of everyday stand as an unusual name does.

    That is two in a row, also in one (`AdebayoOluwaseun`) or about a particle (`Gruffydd ap Llywelyn`), one beside an
    initial or behind `Mr`, one that is spelled letter by letter, and one which is built as names are.
    """
    text = HEXADECIMAL.sub(" ", text)
    told = [part for match in BESIDE_A_NAME.finditer(text) for part in match.groups() if part]
    told += ["".join(WORD.findall(run.group())) for run in SPELLED.finditer(text)]
    if any(_is_strange(word) and VOWELS.search(plain_letters(word)) for word in told):
        return True
    whole = WORD.findall(CODE.sub(" . ", text))
    parts = [part for word in whole for part in OWN_CASE.split(word)]
    return _stand_as_names(whole) or (parts != whole and _stand_as_names(parts)) or bool(likely_names(text))


@lru_cache(1 << 14)
def likely_names(text: str) -> frozenset[str]:
    """Words of a text, in lower case, that no list has and that are built as names are."""
    whole = WORD.findall(CODE.sub(" . ", HEXADECIMAL.sub(" ", text)))
    parts = (part for word in whole for part in OWN_CASE.split(word))
    strange = {plain_letters(part) for part in parts if len(part) >= LEAST_LEARNT and _is_strange(part)}
    return frozenset(word for word in strange if word.isascii() and reads_like_a_name(word))


def _stand_as_names(words: list[str]) -> bool:
    """True where words of no list stand in a row, or about a particle."""
    strange = [_is_strange(word) for word in words]
    if any(left and right for left, right in pairwise(strange)):
        return True
    about = zip(strange, words[1:], strange[2:], strict=False)
    return any(left and right and word in PARTICLES for left, word, right in about)


def _is_strange(word: str) -> bool:
    return len(word) >= LEAST_LETTERS and not _is_usual(word)


def _is_tree(text: str) -> bool:
    """True for levels of a protocol: words of the trade on each side of each caret, and no name."""
    levels = [[word for word in WORD.findall(level) if len(word) > 1] for level in text.split("^")]
    told = [[_is_of_the_trade(word) for word in words] for words in levels if words]
    unknown = (plain_letters(word) for words in levels for word in words if not _is_of_the_trade(word))
    strange = (len(word) > 2 and (word in gazetteer() or reads_like_a_name(word)) for word in unknown)
    return all(map(any, told)) and not any(strange)


def _is_of_the_trade(word: str) -> bool:
    """A word of imaging, of an examination or of descriptions, or one that is put together from such."""
    plain = plain_letters(word)
    if plain in words_of_the_trade():
        return True
    parts = OWN_CASE.split(word)
    return all(
        plain_letters(part) in words_of_the_trade() or _is_compound(plain_letters(part)) for part in parts
    )


def _is_imaging(word: str) -> bool:
    return len(word) <= 2 or plain_letters(word) in imaging_words()


def _is_usual(word: str) -> bool:
    """A word of imaging, of an examination or of everyday, several in one, or letters which nobody could speak."""
    if word.isascii() and not VOWELS.search(word.lower()):
        return True
    return all(_is_imaging(part) or _is_common(plain_letters(part)) for part in OWN_CASE.split(word))


@lru_cache(1 << 14)
def _is_common(word: str) -> bool:
    """A word of the trade or of everyday, one of several, cut short or with one letter amiss, or several in one."""
    if word in words_of_the_trade() or word in everyday_words():
        return True
    if word in gazetteer():
        return False
    return (
        word.removesuffix("s") in words_of_the_trade()
        or word in abbreviated_words()
        or not misspelled_words().isdisjoint(_misspelled(word))
        or _is_compound(word)
        or any(word.startswith(start) and _is_known(word.removeprefix(start)) for start in PREFIXES)
    )


def _is_known(word: str) -> bool:
    return len(word) >= LEAST_LETTERS and (word in words_of_the_trade() or word in everyday_words())


def _misspelled(word: str) -> set[str]:
    return without_a_letter(word) if LEAST_MISSPELLED - 1 <= len(word) <= LONGEST_COMPOUND else set()


@lru_cache(1 << 14)
def _is_compound(word: str) -> bool:
    """A word which describes an examination, or is put together from such and of words of imaging."""
    if len(word) > LONGEST_COMPOUND:  # the time to look grows with the square of the letters
        return False
    if word in examination_words():
        return True
    return any(
        _is_part(word[:at])
        and (word[at:] in SHORT_PARTS or word[at:] in imaging_words() or _is_compound(word[at:]))
        for at in range(2, len(word) - 1)
    )


def _is_part(word: str) -> bool:
    if len(word) < LEAST_PART:
        return word in SHORT_PARTS
    return word in examination_words() or word in imaging_words()
