"""National identity numbers, told from other digits by their check digits.

Each scheme stands with the rule that its issuer publishes. A scheme which a random number of the same length passes
too often counts only in the grouping that people write it in.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
RESIDENT_CHECKS = "10X98765432"
ODD_PLACES = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One kind of number: how it is written, and whether its digits are right."""

    pattern: re.Pattern[str]
    is_right: Callable[[str], bool]


def _scheme(pattern: str, is_right: Callable[[str], bool]) -> Scheme:
    return Scheme(re.compile(rf"(?<![\w.])(?:{pattern})(?![\w]|\.\d)", re.ASCII | re.IGNORECASE), is_right)


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdigit()]


def _weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(text: str) -> bool:
    """Luhn's sum, ISO/IEC 7812-1."""
    doubled = [digit * (1 + at % 2) for at, digit in enumerate(reversed(_digits(text)))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def nhs(text: str) -> bool:
    """NHS number of England: modulus 11."""
    digits = _digits(text)
    return (11 - _weighted(digits, range(10, 1, -1)) % 11) % 11 == digits[9]


def social_security(text: str) -> bool:
    """US social security number: areas, groups and serials which are issued."""
    area, group, serial = re.split(r"\D", text)
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def nir(text: str) -> bool:
    """French NIR: 97 minus the number modulo 97."""
    plain = re.sub(r"\s", "", text).upper().replace("2A", "19").replace("2B", "18")
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def dni(text: str) -> bool:
    """Spanish DNI and NIE: the letter is the number modulo 23."""
    plain = text.replace("-", "").upper()
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return DNI_LETTERS[int(number) % 23] == plain[-1]


def codice_fiscale(text: str) -> bool:
    """Italian tax code: weights of odd places by decree of 23 December 1976."""
    plain = text.upper()
    places = [ord(char) - (48 if char.isdigit() else 65) for char in plain[:15]]
    total = sum(ODD_PLACES[place] if at % 2 == 0 else place for at, place in enumerate(places))
    return chr(65 + total % 26) == plain[15]


def tax_id(text: str) -> bool:
    """German tax identification number: ISO/IEC 7064 MOD 11,10, one digit comes twice or three times."""
    digits, product = _digits(text), 10
    if digits[0] == 0 or len(set(digits[:10])) not in {8, 9}:
        return False
    for digit in digits[:10]:
        product = 2 * ((digit + product) % 10 or 10) % 11
    return (11 - product) % 10 == digits[10]


def health_insurance(text: str) -> bool:
    """German health insurance number: the letter as two digits, weights 1 and 2, digit sums."""
    digits = _digits(f"{ord(text[0].upper()) - 64:02d}{text[1:]}")
    return sum(sum(_digits(str(d * (1 + at % 2)))) for at, d in enumerate(digits[:10])) % 10 == digits[10]


def pesel(text: str) -> bool:
    """Polish PESEL, whose first six digits are a date."""
    digits = _digits(text)
    month, day = int(text[2:4]) % 20, int(text[4:6])
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    return 1 <= month <= 12 and 1 <= day <= 31 and _weighted(digits, weights) % 10 == 0


def fodselsnummer(text: str) -> bool:
    """Norwegian number: a date and two check digits of modulus 11."""
    digits = _digits(text)
    first = _weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = _weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return first == 0 and second == 0


def personnummer(text: str) -> bool:
    """Swedish number: a date, and Luhn's sum over ten digits."""
    plain = "".join(map(str, _digits(text)))[-10:]
    return 1 <= int(plain[2:4]) <= 12 and 1 <= int(plain[4:6]) % 60 <= 31 and luhn(plain)


def hetu(text: str) -> bool:
    """Finnish code: the last sign is the number modulo 31."""
    return HETU_LETTERS[int(text[:6] + text[7:10]) % 31] == text[10].upper()


def bsn(text: str) -> bool:
    """Dutch BSN: the test of eleven."""
    return _weighted(_digits(text), (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def rijksregister(text: str) -> bool:
    """Belgian number: 97 minus the number modulo 97, with a 2 before it from the year 2000 on."""
    plain = "".join(map(str, _digits(text)))
    body, check = plain[:9], int(plain[9:])
    return check in {97 - int(body) % 97, 97 - int(f"2{body}") % 97}


def cpf(text: str) -> bool:
    """Brazilian CPF: two check digits of modulus 11."""
    digits = _digits(text)
    first = _weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(digits, range(11, 1, -1)) * 10 % 11 % 10
    return len(set(digits)) > 1 and [first, second] == digits[9:]


def resident_id(text: str) -> bool:
    """Chinese resident number: ISO/IEC 7064 MOD 11-2, with a date inside."""
    month, day = int(text[10:12]), int(text[12:14])
    total = sum(int(char) * pow(2, 17 - at, 11) for at, char in enumerate(text[:17]))
    return 1 <= month <= 12 and 1 <= day <= 31 and RESIDENT_CHECKS[total % 11] == text[17].upper()


def ahv(text: str) -> bool:
    """Swiss AHV number: EAN-13."""
    return _weighted(_digits(text), (1, 3) * 7) % 10 == 0


def aadhaar(text: str) -> bool:
    """Indian Aadhaar: Verhoeff's dihedral check."""
    check = 0
    for at, digit in enumerate(reversed(_digits(text))):
        for _ in range(at % 8):
            digit = VERHOEFF_PERMUTATION[digit]  # noqa: PLW2901 - the permutation is applied again and again
        check = _dihedral(check, digit)
    return check == 0


def _dihedral(a: int, b: int) -> int:
    """Product in the dihedral group of order ten."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
    return 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5


DATE_YMD = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
SCHEMES = (
    _scheme(r"\d{3}[ -]\d{3}[ -]\d{4}", nhs),
    _scheme(r"\d{3}-\d{2}-\d{4}", social_security),
    _scheme(r"\d{3}[ -]\d{3}[ -]\d{3}", luhn),  # Canadian SIN
    _scheme(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", nir),
    _scheme(r"(?:\d{8}|[XYZ]\d{7})-?[A-HJ-NP-TV-Z]", dni),
    _scheme(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", codice_fiscale),
    _scheme(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", tax_id),
    _scheme(r"[A-Z]\d{9}", health_insurance),
    _scheme(r"\d{11}", pesel),
    _scheme(r"(?:[04-7][1-9]|[1256]0|[37][01])(?:[048][1-9]|[159][0-2])\d{2} ?\d{5}", fodselsnummer),
    _scheme(rf"(?:19|20)?{DATE_YMD}[-+]\d{{4}}", personnummer),
    _scheme(r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", hetu),
    _scheme(r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2}-\d{4}", lambda _: True),  # Danish CPR has no check
    _scheme(r"\d{4}[ .]\d{2}[ .]\d{3}", bsn),
    _scheme(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", rijksregister),
    _scheme(r"\d{3}\.?\d{3}\.?\d{3}-\d{2}", cpf),
    _scheme(r"[1-9]\d{5}(?:19|20)\d{2}\d{7}[\dX]", resident_id),
    _scheme(r"756\.?\d{4}\.?\d{4}\.?\d{2}", ahv),
    _scheme(r"[2-9]\d{3} \d{4} \d{4}", aadhaar),
)  # fmt: skip


def holds_national_id(text: str) -> bool:
    """True where a text holds a number of a scheme with right check digits."""
    if sum(map(str.isdigit, text)) < 7:
        return False
    return any(
        scheme.is_right(match.group()) for scheme in SCHEMES for match in scheme.pattern.finditer(text)
    )
