"""Is a word that no list has built as names are, or as words of the trade and of everyday?

Letters follow each other in other ways in names than in words. Both are learnt from the lists, as the chance of a
letter after three others.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from synthdata.intake.word_lists import everyday_words, gazetteer, words_of_the_trade

ORDER = 4  # letters that are looked at together
PRIOR = 3.0  # how many letters the shorter context counts for
LETTERS = 30.0
LEAST_LEARNT = 5  # letters of a word
LEAST_LIKENESS = 7.0  # nats by which names explain a word better than words do
LEAST_FLUENCY = -3.7  # nats a letter; abbreviations in a row lie below, and one name of twenty


@dataclass(frozen=True, slots=True)
class _Letters:
    """How often letters stand together in a list of words, and what stands before one."""

    together: Counter[str]
    before: Counter[str]

    def chance(self, letters: str) -> float:
        """Of the last letter after the others."""
        chance = 1 / LETTERS
        for length in range(2, len(letters) + 1):
            part = letters[-length:]
            chance = (self.together[part] + PRIOR * chance) / (self.before[part[:-1]] + PRIOR)
        return chance


@lru_cache(1 << 14)
def reads_like_a_name(word: str) -> bool:
    """True where names explain the letters of a word well, and far better than words do.

    Args:
        word: In lower case and without accents, of no list.

    Source:
        MacKay and Peto, "A hierarchical Dirichlet language model", Natural Language Engineering 1(3), 1995, with one
        prior for all contexts.
    """
    parts, names, words = _parts(word), _learnt_names(), _learnt_words()
    fluency = sum(math.log(names.chance(part)) for part in parts)
    likeness = fluency - sum(math.log(words.chance(part)) for part in parts)
    return likeness > LEAST_LIKENESS and fluency > LEAST_FLUENCY * len(parts)


@cache
def _learnt_names() -> _Letters:
    return _learn(gazetteer())


@cache
def _learnt_words() -> _Letters:
    return _learn((words_of_the_trade() | everyday_words()) - gazetteer())


def _learn(words: Iterable[str]) -> _Letters:
    longest = Counter(part for word in words if len(word) >= LEAST_LEARNT for part in _parts(word))
    together, before = Counter[str](), Counter[str]()
    for part, count in longest.items():
        for start in range(ORDER - 1):
            together[part[start:]] += count
            before[part[start:-1]] += count
    return _Letters(together, before)


def _parts(word: str) -> list[str]:
    """Letters in a row, the edges of the word among them."""
    edged = f"^{word}$"
    return [edged[at : at + ORDER] for at in range(len(edged) - ORDER + 1)]
