"""Lists of words by which names of persons are told from words of imaging and of everyday."""

import gzip
import json
import re
import unicodedata
from functools import cache
from importlib import resources

WORD = re.compile(r"[^\W\d_]+")
LEAST_SINGULAR = 5  # letters of a word of imaging whose plural is no name
LEAST_MISSPELLED = 7  # letters of a word that is known with one letter amiss
LEAST_ABBREVIATED = 4  # letters of a word that is cut short


@cache
def gazetteer() -> frozenset[str]:
    """Given names and surnames of the United States and of 86 locales, less the words of imaging, in lower case.

    Source: US Census Bureau, Frequently Occurring Surnames and First Names, 1990 (public domain); Faker 40.54.0 (MIT),
        whose licence stands at the head of the file.
    """
    names = frozenset(word for file in ("names.txt.gz", "world_names.txt.gz") for word in _packed_words(file))
    plurals = {f"{term}s" for term in vocabulary("imaging_terms") if len(term) >= LEAST_SINGULAR}
    return names - imaging_words() - description_words() - plurals


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
    return _words_of("examination_words.txt")


@cache
def description_words() -> frozenset[str]:
    """What descriptions of series of several institutions have in common, abbreviations for the most part."""
    return _words_of("description_words.txt")


@cache
def words_of_the_trade() -> frozenset[str]:
    """Words of imaging, of examinations and of descriptions."""
    return imaging_words() | examination_words() | description_words()


@cache
def month_words() -> frozenset[str]:
    """Months of twenty languages, in lower case, as they stand in dates."""
    return _words_of("months.txt")


def _words_of(name: str) -> frozenset[str]:
    text = resources.files("synthdata.intake").joinpath(name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


@cache
def everyday_words() -> frozenset[str]:
    """Words of everyday English of four letters or more, less frequent given names, in lower case.

    Source: SCOWL; its copyright notice stands at the head of the file.
    """
    return frozenset(_packed_words("everyday_words.txt.gz"))


def _packed_words(name: str) -> list[str]:
    """Words of a packed file, one a line; lines that begin with # are notes."""
    packed = resources.files("synthdata.intake").joinpath(name).read_bytes()
    lines = gzip.decompress(packed).decode("ascii").splitlines()
    return [line for line in lines if not line.startswith("#")]


@cache
def misspelled_words() -> frozenset[str]:
    """Frequent words of the trade, each without one of its letters, by which a misspelled one is found.

    Source: Damerau, Communications of the ACM 7(3), 1964 (most errors are one letter too many, too few or wrong).
    """
    frequent = vocabulary("imaging_terms") | examination_words() | description_words()
    return frozenset(
        rest for word in frequent if len(word) >= LEAST_MISSPELLED for rest in without_a_letter(word)
    )


def without_a_letter(word: str) -> set[str]:
    """A word, and that word without each of its letters."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


@cache
def abbreviated_words() -> frozenset[str]:
    """The first letters of frequent words of imaging, up to all but one; `abdo` and `stan` are names too."""
    frequent = vocabulary("imaging_terms") | description_words()
    return frozenset(word[:end] for word in frequent for end in range(LEAST_ABBREVIATED, len(word)))


@cache
def vocabulary(key: str) -> frozenset[str]:
    """A list of `vocabulary.json`."""
    text = resources.files("synthdata.intake").joinpath("vocabulary.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text)[key])


def plain_letters(word: str) -> str:
    """Lower case without accents."""
    parts = unicodedata.normalize("NFKD", word.replace("ß", "ss"))
    return "".join(char for char in parts if not unicodedata.combining(char)).lower()
