"""Is a word that no list has built as names are, or as words of the trade and of everyday?

Letters follow each other in other ways in names than in words. Both are learnt from the lists, as the chance of a
letter after three others.
"""

from collections.abc import Iterable
from functools import cache, lru_cache

import numpy as np

from synthdata.intake.word_lists import everyday_words, gazetteer, words_of_the_trade

ORDER = 4  # letters that are looked at together
LETTERS = 28  # of the alphabet, with the begin and the end of a word
BEGIN, END = 0, 27
PRIOR = 3.0  # how many letters the shorter context counts for
LEAST_LEARNT = 5  # letters of a word
LEAST_LIKENESS = 7.0  # nats by which names explain a word better than words do
LEAST_FLUENCY = -3.7  # nats a letter; abbreviations in a row lie below, and one name of twenty


@lru_cache(1 << 14)
def reads_like_a_name(word: str) -> bool:
    """True where names explain the letters of a word well, and far better than words do.

    Args:
        word: In lower case and without accents, of no list.

    Source:
        MacKay and Peto, "A hierarchical Dirichlet language model", Natural Language Engineering 1(3), 1995, with one
        prior for all contexts.
    """
    letters = _codes(word)
    tables = _learnt()
    fluency, likeness = (float(table[_together(letters)].sum()) for table in tables)
    return likeness > LEAST_LIKENESS and fluency > LEAST_FLUENCY * (len(letters) - ORDER + 1)


@cache
def _learnt() -> tuple[np.ndarray, np.ndarray]:
    """By four letters in a row: nats of the last one in names, and how many more these are than in words."""
    names = np.log(_chances(gazetteer()))
    words = np.log(_chances((words_of_the_trade() | everyday_words()) - gazetteer()))
    return names.ravel(), (names - words).ravel()


def _chances(words: Iterable[str]) -> np.ndarray:
    """Chance of a letter after three others, (letter, letter, letter, letter)."""
    learnt = [word for word in words if len(word) >= LEAST_LEARNT and word.isascii() and word.isalpha()]
    letters = np.concatenate([_codes(" ".join(learnt)), [BEGIN]])
    inner = ~np.isin(letters, END)
    whole = inner[:-3] & inner[1:-2] & inner[2:-1]  # an end stands in the last place alone
    counts = np.bincount(_together(letters)[whole], minlength=LETTERS**ORDER).reshape((LETTERS,) * ORDER)
    chances = np.full(LETTERS, 1 / LETTERS)
    for order in range(2, ORDER + 1):
        seen = counts.sum(axis=tuple(range(ORDER - order)))
        chances = (seen + PRIOR * chances) / (seen.sum(axis=-1, keepdims=True) + PRIOR)
    return chances


def _codes(words: str) -> np.ndarray:
    """Letters as 1 to 26; each word between a begin and an end."""
    edged = f"`{words.replace(' ', '{`')}{{"  # the signs before a and behind z
    codes: np.ndarray = np.frombuffer(edged.encode(), np.uint8).astype(np.int64) - ord("`")
    return codes


def _together(letters: np.ndarray) -> np.ndarray:
    """Four letters in a row as one number, for each place."""
    first, second, third = letters[:-3], letters[1:-2], letters[2:-1]
    place: np.ndarray = ((first * LETTERS + second) * LETTERS + third) * LETTERS + letters[3:]
    return place
