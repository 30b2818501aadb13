"""Check digits of national identity numbers, each by the rule that its issuer publishes."""

import re
from collections.abc import Sequence

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
RESIDENT_CHECKS = "10X98765432"
ODD_PLACES = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


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


def iban(text: str) -> bool:
    """Bank account number of ISO 13616: modulus 97, the first four signs moved to the end."""
    plain = re.sub(r"\s", "", text).upper()
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def ppsn(text: str) -> bool:
    """Irish PPSN of two letters: weights 8 to 2, the second letter times nine, modulus 23."""
    plain = text.upper()
    second = ord(plain[8]) - 64 if plain[8] != "W" else 0
    return chr(64 + (_weighted(_digits(plain), range(8, 1, -1)) + 9 * second) % 23) == plain[7].replace(
        "W", "@"
    )


def rodne_cislo(text: str) -> bool:
    """Czech and Slovak birth number: a date, women's months 50 on, and modulus 11 of ten digits."""
    plain = text.replace("/", "")
    month, day = int(plain[2:4]) % 50 % 20, int(plain[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and int(plain[:9]) % 11 % 10 == int(plain[9])


def cnp(text: str) -> bool:
    """Romanian CNP: a date, and modulus 11 by the weights 279146358279."""
    check = _weighted(_digits(text), (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return check % 10 + check // 10 == int(text[12])


def nric(text: str) -> bool:
    """Singapore NRIC and FIN: weights 2765432, letters by the first one."""
    plain, letters = text.upper(), {"S": "JZIHGFEDCBA", "F": "XWUTRQPNMLK"}
    total = _weighted(_digits(plain), (2, 7, 6, 5, 4, 3, 2)) + (4 if plain[0] in "TG" else 0)
    return letters["S" if plain[0] in "ST" else "F"][total % 11] == plain[8]


def hkid(text: str) -> bool:
    """Hong Kong identity card: weights 9 to 1 with letters from 10 on, and a blank as 36, modulus 11."""
    plain = re.sub(r"[()]", "", text.upper()).rjust(9)
    values = [36 if char == " " else int(char, 36) for char in plain[:8]]
    return (_weighted(values, range(9, 1, -1)) + (10 if plain[8] == "A" else int(plain[8]))) % 11 == 0


def curp(text: str) -> bool:
    """Mexican CURP: places in an alphabet with Ñ, weights 18 to 2, modulus 10."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = _weighted([alphabet.index(char) for char in text.upper()[:17]], range(18, 1, -1))
    return (10 - total % 10) % 10 == int(text[17])


def rut(text: str) -> bool:
    """Chilean RUT: weights 2 to 7 from the right, modulus 11."""
    plain = re.sub(r"[.-]", "", text).upper()
    total = sum(int(char) * (2 + at % 6) for at, char in enumerate(reversed(plain[:-1])))
    return "0K987654321"[total % 11] == plain[-1]


def cuil(text: str) -> bool:
    """Argentine CUIL: modulus 11 by the weights 5432765432."""
    digits = _digits(text)
    return (11 - _weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11 == digits[10]


def isikukood(text: str) -> bool:
    """Estonian and Lithuanian code: a date, and modulus 11 in one or two rounds of weights."""
    digits = _digits(text)
    for weights in ((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)):
        check = _weighted(digits, weights) % 11
        if check < 10:
            return check == digits[10]
    return digits[10] == 0


def emso(text: str) -> bool:
    """EMŠO and JMBG of Yugoslavia's successors: a date, and modulus 11."""
    digits = _digits(text)
    check = 11 - _weighted(digits, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return check % 11 % 10 == digits[12] and check != 10


def kimlik(text: str) -> bool:
    """Turkish number: odd places times seven less even ones, and the sum of ten digits."""
    digits = _digits(text)
    first = (7 * sum(digits[0:9:2]) - sum(digits[1:8:2])) % 10
    return digits[9] == first and sum(digits[:10]) % 10 == digits[10]


def medicare_card(text: str) -> bool:
    """Australian Medicare number: modulus 10 by the weights 13791379."""
    digits = _digits(text)
    return _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == digits[8]


def taj(text: str) -> bool:
    """Hungarian TAJ: modulus 10 by the weights 3 and 7."""
    digits = _digits(text)
    return _weighted(digits, (3, 7) * 4) % 10 == digits[8]


def my_number(text: str) -> bool:
    """Japanese My Number: modulus 11 by the weights 65432765432."""
    digits = _digits(text)
    rest = _weighted(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest < 2 else 11 - rest) == digits[11]


def vin(text: str) -> bool:
    """Number of a vehicle, ISO 3779 with the check digit of 49 CFR 565.15."""
    letters = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))
    digits = [int(letters.get(char, char)) for char in text.upper()]
    check = _weighted(digits, (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return "0123456789X"[check] == text[8].upper() and not text.isdigit()


def is_no_quantity(text: str) -> bool:
    """For a US social security number with blanks: one that is issued, and that ends as no setting does."""
    return social_security(text) and int(text[-4:]) % 50 != 0


def is_issued(text: str) -> bool:
    """For numbers without check digits, whose form alone is rare enough."""
    return bool(text)
