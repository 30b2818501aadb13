"""National identity numbers, told from other digits by their check digits.

Each scheme stands with the rule that its issuer publishes. A scheme which a random number of the same length passes
too often counts only in the grouping that people write it in.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from synthdata.intake.check_digits import (
    aadhaar,
    ahv,
    bsn,
    cnp,
    codice_fiscale,
    cpf,
    cuil,
    curp,
    dni,
    emso,
    fodselsnummer,
    health_insurance,
    hetu,
    hkid,
    iban,
    is_issued,
    is_no_quantity,
    isikukood,
    kimlik,
    luhn,
    medicare_card,
    my_number,
    nhs,
    nir,
    nric,
    personnummer,
    pesel,
    ppsn,
    resident_id,
    rijksregister,
    rodne_cislo,
    rut,
    social_security,
    taj,
    tax_id,
    vin,
)

LEAST_DIGITS = 4  # of the shortest number, an Indian PAN


@dataclass(frozen=True, slots=True)
class Scheme:
    """One kind of number: how it is written, and whether its digits are right."""

    pattern: re.Pattern[str]
    is_right: Callable[[str], bool]


def _scheme(pattern: str, is_right: Callable[[str], bool]) -> Scheme:
    return Scheme(re.compile(rf"(?<![\w.])(?:{pattern})(?![\w]|\.\d)", re.ASCII | re.IGNORECASE), is_right)


BANKS = (
    "AD|AE|AL|AT|AZ|BA|BE|BG|BH|BR|BY|CH|CR|CY|CZ|DE|DK|DO|EE|EG|ES|FI|FO|FR|GB|GE|GI|GL|GR|GT|HR|HU|IE|IL|IQ|IS|IT|JO|KW|KZ|"
    "LB|LC|LI|LT|LU|LV|LY|MC|MD|ME|MK|MR|MT|MU|NL|NO|PK|PL|PS|PT|QA|RO|RS|SA|SC|SE|SI|SK|SM|ST|SV|TL|TN|TR|UA|VA|VG|XK"
)  # countries with IBAN
LABELS = (
    "NIF|NIPC|OIB|CHI|NHI|TFN|NIE|NIK|CNP|EGN|CUI|PPS|RG|DNI|CPF|CURP|RFC|OHIP|BSN|NINO|NHS|SSN|PESEL|JMBG|EMBG|EMSO|AMKA|"
    "AFM|MRN|KVNR|SVNR|AHV|AVS|CPR|HETU|PIN|UHID|ABHA|AADHAAR|TCKN|CNIC|HKID|NRIC|MYKAD|NSS|NISS|CEDULA|RUT|EMRN|PID"
)  # whose numbers look like any others
DATE_YMD = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
SCHEMES = (
    _scheme(r"\d{3}[ -]\d{3}[ -]\d{4}", nhs),
    _scheme(r"\d{3}-\d{2}-\d{4}", social_security),
    _scheme(r"(?<!\d )\d{3} \d{2} \d{4}(?! \d)", is_no_quantity),
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
    _scheme(rf"(?:{BANKS})\d{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}} ?[A-Z0-9]{{1,4}}", iban),
    _scheme(r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}",
            is_issued),  # US Medicare
    _scheme(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d{2} \d{2} \d{2} [A-D]", is_issued),  # National Insurance
    _scheme(r"\d{7}[A-W][A-IW]", ppsn),
    _scheme(r"\d{2}(?:[0257][1-9]|[1368][0-2])(?:0[1-9]|[12]\d|3[01])/\d{4}", rodne_cislo),
    _scheme(rf"[1-8]{DATE_YMD}(?:0[1-9]|[1-4]\d|5[0-2])\d{{4}}", cnp),
    _scheme(rf"{DATE_YMD}-[1-8]\d{{6}}", is_issued),  # Korean; numbers since 2020 have no check digit
    _scheme(r"[STFG]\d{7}[A-Z]", nric),
    _scheme(r"[A-Z]{1,2}\d{6}\([\dA]\)", hkid),
    _scheme(rf"{DATE_YMD}\d{{4}}[01][89]\d", luhn),  # South Africa
    _scheme(rf"[A-Z][AEIOUX][A-Z]{{2}}{DATE_YMD}[HMX][A-Z]{{5}}[A-Z\d]\d", curp),
    _scheme(rf"[A-Z][AEIOUX][A-Z]{{2}}{DATE_YMD}[A-Z\d]{{3}}", is_issued),  # Mexican RFC
    _scheme(r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", rut),
    _scheme(r"2[03478]-\d{8}-\d", cuil),
    _scheme(rf"[1-6]{DATE_YMD}\d{{4}}", isikukood),
    _scheme(r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:9|0)\d{2}\d{6}", emso),
    _scheme(r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2}\d{5}", luhn),  # Greek AMKA
    _scheme(r"[1-9]\d{10}", kimlik),
    _scheme(r"[A-Z]{3}[PCHFATBLJG][A-Z]\d{4}[A-Z]", is_issued),  # Indian PAN
    _scheme(r"[2-6]\d{3} \d{5} \d", medicare_card),
    _scheme(r"\d{3} \d{3} \d{3}", taj),
    _scheme(r"\d{4} \d{4} \d{4}", my_number),
    _scheme(r"[3-6]\d{3}(?:[ -]\d{4}){3}", luhn),  # cards of banks
    _scheme(r"\d{4}[ -]\d{3}[ -]\d{3}(?:[ -][A-Z]{2})?", luhn),  # health card of Ontario
    _scheme(r"(?=[A-Z\d]{0,8}[\dX]\w{4}[A-Z\d]{0,4}\d{4}(?!\w))[A-HJ-NPR-Z\d]{17}", vin),
    _scheme(rf"(?:{LABELS})\W{{1,3}}(?=[A-Z]{{0,3}}\d)\w{{7,13}}", is_issued),
    _scheme(rf"(?:{LABELS})\W{{0,3}}(?:NO|NR)?\W{{0,3}}[A-Z]{{0,3}}\d(?:[ ./-]?\d){{5,14}}(?:[ /-]?[A-Z\d]{{1,2}})?",
            is_issued),
)  # fmt: skip


def holds_national_id(text: str) -> bool:
    """True where a text holds a number of a scheme with right check digits."""
    if sum(map(str.isdigit, text)) < LEAST_DIGITS:
        return False
    return any(
        scheme.is_right(match.group()) for scheme in SCHEMES for match in scheme.pattern.finditer(text)
    )
