"""Telephone numbers in texts, by the plans in which countries number and write them."""

import re

_GAP = "[ ./-]"  # between groups of a telephone number
_TELEPHONE_WORD = "tel|telef\\w{0,4}|mobile|phone|fax"
_GROUPS = r"[1-9]\d{1,3}(?:[ -]\d{2,4}){1,3}"
TELEPHONES = (
    r"(?<![^\W_.])\+\d[\d ()/._-]{7,}\d(?!\d)",  # international
    rf"(?<![\w.,-])00 ?[1-9]\d{{0,2}}{_GAP}\(?\d(?:[ ()/.-]{{0,2}}\d){{7,12}}(?![\w.,])",  # 0049 30 ...
    rf"(?<![^\W_])(?:{_TELEPHONE_WORD})[ .:_-]{{1,3}}\(?\d(?:[ ()/._-]{{0,2}}\d){{5,}}",  # told to be one
)  # which nothing else looks like
_NATIONAL = (
    # They begin with a trunk 0 and an area that does not. Areas of large towns are short and have numbers of seven to
    # nine digits, solid or in groups of two to four; none begins with 0, but for pairs (France).
    r"(?<![\w.,-])0[1-9](?P<gap>[ .-]?)\d\d(?:(?P=gap)\d\d){3}(?![\w.,-])",
    rf"(?<![\w.,-])\(?0[1-9]\d?\)?{_GAP}+(?:[1-9]\d{{6,8}}|(?=(?:\d[ -]?){{7,9}}){_GROUPS})(?![\w.,])",
    r"(?<![\w.,-])\(?0[1-9]\d\)?[ /-]+[1-9]\d{1,2} \d\d \d\d(?![\w.,])",  # 031-12 34 56
    rf"(?<![\w.,-])\(?0[1-9]\d{{2,3}}\)?{_GAP}+(?:[1-9]\d{{4,7}}|(?=(?:\d[ -]?){{5,8}}){_GROUPS})(?![\w.,])",
)
NATIONAL = re.compile("|".join(f"(?:{pattern})" for pattern in _NATIONAL))
LOOSE = re.compile(
    r"(?<![\w.,-])\(?(?:0[1-9]\d{1,3}\)?[ /-]+[1-9]\d(?:[ -]?\d){2,4}|\d{3}\)?[ .-]?\d{3}[ .-]\d{4})(?![\w.,])"
)  # of small towns, or of no plan

AMERICAN = re.compile(
    r"(?<![\w.,-])(?P<sure>1[ .-]|\()?(?:\()?(?P<area>[2-9]\d\d)(?:\) ?|[ .-])[2-9]\d\d[ .-]\d{4}(?![\w.])"
)
_AREAS = (  # first two digits, and the last ones that are in use with them; 555 is that of examples
    "20123456789 21023456789 2203456789 2314569 2402689 250123467 260234789 27023469 281349 30123456789 "
    "31023456789 3201345679 330124679 34013567 3501234 3601345789 380256 40123456789 41023456789 423458 "
    "430124578 440123578 4508 463489 470234589 4804 50123456789 51023456789 520 530149 54018 551579 "
    "5612347 570123459 580124567 60123456789 61023456789 6203689 630169 64015679 65016789 66012479 670128 "
    "680123469 70123456789 7123456789 720145678 73012478 7402378 753478 76023579 7701234589 780124567 "
    "800123456789 81023456789 82015689 830123589 840345789 850456789 86023456789 870236789 888 "
    "90123456789 91023456789 920589 930146789 9401235789 9512469 970123589 98034569 "
)
AREAS = frozenset(f"{group[:2]}{last}" for group in _AREAS.split() for last in group[2:])


def holds_telephone(text: str, *, prose: bool) -> bool:
    """True where a text holds a number which its groups of digits alone tell; `TELEPHONES` are told by more.

    Args:
        text: What is looked at.
        prose: False in names of files, where loose groups of digits are rather a site, a subject and a visit, and a
            number of North America counts only with an area that is in use.

    Source:
        North American Numbering Plan Administration, area codes in use, as the package phonenumbers 9 has them.
    """
    if NATIONAL.search(text) or (prose and LOOSE.search(text)):
        return True
    return any(prose or one["sure"] or one["area"] in AREAS for one in AMERICAN.finditer(text))
