"""Dates as people write them: in numbers, in words of many languages, by other calendars."""

import re

from synthdata.intake.word_lists import month_words

_MONTH = (
    "(?:jan(?:uary?|uar|v(?:ier)?|eiro)?|feb(?:ruary?|ruar|rero|braio)?|févr?(?:ier)?|fevereiro|mar(?:ch|s|zo|ço)?|märz?|"
    "apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|may|mai|mayo|maio|maggio|june?|juin|juni|junio|junho|giugno|july?|juil(?:let)?|juli|"
    "julio|julho|luglio|aug(?:ust)?|août|ago(?:sto)?|sept?(?:ember|embre|tiembre)?|settembre|setembro|oct(?:ober|obre|ubre)?|"
    "okt(?:ober)?|ott(?:obre)?|outubro|nov(?:ember|embre|iembre|embro)?|dec(?:ember)?|déc(?:embre)?|dez(?:ember|embro)?|"
    "dic(?:iembre|embre)?|ene(?:ro)?|gen(?:naio)?|mag|giu|lug|set)"
)  # whole words: "12 marked 01" is no date
_DAY, _MONTH_NUMBER, _YEAR = "(?:0?[1-9]|[12]\\d|3[01])", "(?:0?[1-9]|1[0-2])", "(?:18[89]|19\\d|20[0-4])\\d"
_DAY_2, _MONTH_2 = "(?:0[1-9]|[12]\\d|3[01])", "(?:0[1-9]|1[0-2])"  # with a leading zero
_ROMAN_MONTH = "(?:i{1,3}|iv|vi{0,3}|ix|xi{0,2})"
_BUDDHIST_YEAR, _HIJRI_YEAR = "25[0-7]\\d", "(?:13[3-9]|14[0-4])\\d"
_EVENTS = "born|admitted|discharged|deceased|died|operated|admission|discharge|geboren|gestorben|verstorben|née?|nato"
DATES = (
    rf"(?<![\d.]){_YEAR}([-/.]){_MONTH_NUMBER}\1{_DAY}(?![\d.])",  # 2024-04-25
    rf"(?<![\d.]){_DAY}([-/.]){_MONTH_NUMBER}\2{_YEAR}(?!\d)",  # 25.04.2024
    rf"(?<![\d.]){_MONTH_NUMBER}([-/.]){_DAY}\3{_YEAR}(?!\d)",  # 4/25/2024
    rf"(?<![\d/]){_DAY}/{_DAY}/\d\d(?![\d/])",  # 4/25/24
    rf"(?<![\d.]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![\d.])",  # 20240425
    rf"(?<![\d.]){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?(?:\.\d+)?(?!\d)",
    rf"\b{_DAY}(?:st|nd|rd|th|\.)?[ -]*(?:de |of )?{_MONTH}\.?[ ,-]+(?:de |of )?(?:{_YEAR}|\d\d)\b",  # 25 Apr 2024
    rf"\b{_DAY}\.?[ -]{{0,2}}(?:{'|'.join(sorted(month_words()))})[ ,-]{{1,2}}{_YEAR}\b",  # 25 kwietnia 2024
    rf"\b{_MONTH}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}\b",
    rf"(?<![^\W_])(?:{_DAY}[ -]?)?{_MONTH}[ -]?{_YEAR}(?![^\W_])",  # 14MAR1962, March 1962
    rf"(?<![\d.]){_DAY_2}{_MONTH_2}{_YEAR}(?![\d.])|(?<![\d.]){_MONTH_2}{_DAY_2}{_YEAR}(?![\d.])",  # 14031962
    rf"(?<![\d.] )(?<![\d.])(?:{_DAY_2} {_MONTH_2} {_YEAR}|{_YEAR}(?P<gap>[ _]){_MONTH_2}(?P=gap){_DAY_2})(?! ?[\d.])",
    rf"(?<![\d/])(?:3[2-9]|[4-9]\d)/{_MONTH_2}/{_DAY_2}(?![\d/])",  # 62/03/14
    rf"\b{_DAY}(?P<mark>[./-]){_ROMAN_MONTH}(?P=mark){_YEAR}\b",  # 14.III.1962
    rf"(?<![\d./-]){_DAY}(?P<other>[./-]){_MONTH_NUMBER}(?P=other)(?:{_BUDDHIST_YEAR}|{_HIJRI_YEAR})(?![\d./-])",
    rf"(?<![\d./-])(?:{_BUDDHIST_YEAR}|{_HIJRI_YEAR})(?P<first>[/-]){_MONTH_2}(?P=first){_DAY_2}(?![\d./-])",
    rf"\b(?:{_EVENTS})\b[^\d\n]{{1,8}}{_DAY}[./]{_DAY}\b(?!\.?\d)",  # admitted 11/07
    rf"(?<![\w.-])\d\d{_MONTH_2}{_DAY_2} ?[mfw](?!\w)",  # 620314 f
    rf"[*†] ?{_DAY}\.{_MONTH_NUMBER}\.(?:\d\d)?\d\d\b",  # *14.3.62
)
SHORT_DATE = re.compile(
    rf"(?<![\w./-])(?:{_DAY_2}([.-]){_MONTH_2}\1\d\d|{_MONTH_2}([.-]){_DAY_2}\2\d\d|\d\d([.-]){_MONTH_2}\3{_DAY_2}|"
    rf"{_DAY}\.{_MONTH_NUMBER}\.[3-9]\d)(?![\w/-]|\.\d)"
)  # 14.03.62; versions of programs are written so too
SHORTEST_DATE = 6  # letters


def has_short_date(text: str) -> bool:
    """True where a text holds a date whose year has two digits; not for versions of programs."""
    return len(text) >= SHORTEST_DATE and bool(SHORT_DATE.search(text))
