"""A word of no list is told from words of the trade by how its letters follow each other."""

import math
from collections import Counter

import pytest

from synthdata.intake.name_likeness import LEAST_LEARNT, LETTERS, ORDER, PRIOR, _codes, _learnt, _together
from synthdata.intake.person_names import likely_names
from synthdata.intake.word_lists import gazetteer


@pytest.mark.parametrize("text", ["AX T2 Wolkowiczowa", "t1 mpr brzezinskaja", "localizer Oyelaranwa"])
def test_a_name_of_no_list_is_likely_one(text) -> None:
    (word,) = likely_names(text)
    assert word not in gazetteer()


@pytest.mark.parametrize(
    "text", ["t1_mprage_sag_p2_iso", "CT Abdomen portalvenoes", "vzoom fseir bpabt npetsb", "recon 3"]
)
def test_words_and_abbreviations_of_the_trade_are_none(text) -> None:
    assert likely_names(text) == frozenset()


def test_the_chance_of_a_letter_is_that_of_its_closed_form() -> None:
    parts = [
        f"`{word}{{"[at : at + ORDER]
        for word in gazetteer()
        if len(word) >= LEAST_LEARNT
        for at in range(len(word) - 1)
    ]
    chance = 1 / LETTERS
    for length in range(2, ORDER + 1):
        together = Counter(part[-length:] for part in parts)
        before = Counter(part[-length:-1] for part in parts)
        chance = (together["mann"[-length:]] + PRIOR * chance) / (before["mann"[-length:-1]] + PRIOR)
    place = int(_together(_codes("mann")[1:5])[0])
    assert math.exp(_learnt()[0][place]) == pytest.approx(chance)
