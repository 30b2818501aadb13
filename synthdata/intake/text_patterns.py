"""Texts which look like they name or date a person."""

import re

_PATTERNS = (
    r"\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b",  # e-mail
    r"\b(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b",  # 2024-04-25
    r"\b(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d\b",  # 25.04.2024, 4/25/2024
    r"\b(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b",  # 20240425
    r"\b(?:0?[1-9]|[12]\d|3[01])[ -](?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[ -,]+(?:19|20)?\d\d\b",
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* (?:0?[1-9]|[12]\d|3[01]),? (?:19|20)\d\d\b",
    r"(?<![\w.])\+\d[\d ()/.-]{7,}\d\b",  # international telephone
    r"(?<![\w.-])\(?\d{3}\)?[ -.]\d{3}[ -.]\d{4}\b",  # North American telephone
    r"\b\d{3}-\d{2}-\d{4}\b",  # US social security
    r"\b\d{3} \d{3} \d{4}\b",  # NHS number
    r"\b(?:mrn|ssn|dob|d\.o\.b|date of birth|born|patient name|name:|phone|tel\.?:)",
    r"\b(?:mrs|dr|prof)\.? [a-z]{3,}",  # a title with a name; "MR" is a modality far more often
)
IDENTIFYING = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
PRINTABLE = re.compile(rb"[\x20-\x7e]{6,}")

DUMMY_WORDS = frozenset(
    "ANON ANONYM ANONYMOUS ANONYMIZED ANONYMISED DEIDENTIFIED DE-IDENTIFIED REMOVED REDACTED DUMMY NONE UNKNOWN NA N/A "
    "PATIENT SUBJECT CASE PHANTOM PSEUDONYM TEST NOID NULL XXX XXXX".split()
)
CODE = re.compile(r"[A-Za-z]{0,8}[-_ ]?\d[\d._-]*|[0-9A-Fa-f-]{8,}|\d+")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

IMAGING_TERMS = frozenset(
    """abdomen acc accelerated acquisition adc angio anterior aorta ap apparent arterial asl axial ax axi b0 b1000 blood body bold
    bone brain bravo breast cardiac cervical chest contrast cor coronal corrected cow ct cube cxr delayed dess diff diffusion
    dixon dti dual dwi dynamic echo epi fast fat fatsat fgre field fiesta flair flash flow fmri fse fspgr gad gadolinium gre
    head hippocampus hip in iso isotropic ir irspgr kernel knee lat lateral left localizer lumbar lung magnetization map mask
    medium mip mr mra mri mprage neck nativ native no non o1 oblique opp out pa pd pelvis perf perfusion phase plain planar
    portable portal post posterior pre proton pulmonary ra rage rapid ratio recon resting right saggital sagittal sag scan se
    segmentation seg sequence series short shoulder single slice slices soft space spgr spin spine spoiled standard std stir
    study swi synthetic t1 t1w t2 t2w tfe thick thin thoracic thorax tissue tof tra trace trans transverse tse turbo
    venous view volume vol water weighted whole with without xray x-ray radiograph frontal skull scout inversion recovery
    prepared gradient""".split()
)
WORD = re.compile(r"[^\W\d_]+")


def looks_identifying(text: str) -> bool:
    """True where a text holds a date, a telephone or identity number, an e-mail address or a titled name."""
    return bool(IDENTIFYING.search(text))


def bytes_look_identifying(data: bytes) -> bool:
    """The same for the printable runs of binary content."""
    return any(looks_identifying(run.group().decode("ascii")) for run in PRINTABLE.finditer(data))


def is_dummy(text: str) -> bool:
    """True for an empty text, a word that says that nothing is there, or a code without words."""
    words = [word for word in re.split(r"[\^=\s]+", text.strip()) if word]
    return all(word.upper().strip(".") in DUMMY_WORDS or CODE.fullmatch(word) for word in words)


def is_token(text: str) -> bool:
    """True for one word of letters, digits and dashes, as a pseudonymous identifier is."""
    return not text.strip() or bool(TOKEN.fullmatch(text.strip()))


def is_technical(text: str) -> bool:
    """True where all words are of imaging, or too short to name a person."""
    return all(len(word) <= 2 or word.lower() in IMAGING_TERMS for word in WORD.findall(text))
