"""Cases from a BIDS tree: subject and session make the case, the suffix makes the channel, sidecars are judged.

Source: Brain Imaging Data Structure specification 1.10, "Common principles" (entities, suffixes, derivatives).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from synthdata.errors import SourceError
from synthdata.intake.clinical_rows import UNIT_SUFFIX
from synthdata.intake.confidentiality import load_rules
from synthdata.intake.csv_rows import read_rows
from synthdata.intake.image_set import MASK, SetRow
from synthdata.intake.person_names import OWN_CASE
from synthdata.intake.picture_file import picture_kind
from synthdata.intake.telling import reason_of
from synthdata.intake.text_patterns import looks_identifying
from synthdata.intake.word_lists import gazetteer, plain_letters
from synthdata.records.case_set import ColumnSpec
from synthdata.spec import DatasetSpec

IMAGE = re.compile(
    r"(?:.*/)?(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?((?:_[a-z]+-[A-Za-z0-9+]+)*)_([A-Za-z0-9]+)\.nii(?:\.gz)?"
)
DESCRIPTION = "dataset_description.json"
MASK_SUFFIX = "dseg"
PARTICIPANTS, PARTICIPANT = "participants.tsv", "participant_id"
PARTICIPANTS_SIDECAR = "participants.json"
UCUM_OF = {
    "year": "a",
    "yr": "a",
    "month": "mo",
    "week": "wk",
    "day": "d",
    "kilogram": "kg",
    "centimeter": "cm",
}
BESIDE = (".json", ".tsv", ".bval", ".bvec", ".md", ".bidsignore")
TELLING_KEY = re.compile(
    r"birth|(?:^|[a-z])DOB|^(?:dob|mrn|ssn)$|(?:patient|first|last|given|family|sur)[ _]?name", re.IGNORECASE
)  # of what tells who somebody is
BESIDE_NAMES = frozenset({"README", "CHANGES", "LICENSE"})


def rows_of_tree(spec: DatasetSpec, root: Path, names: Iterable[str]) -> list[SetRow]:
    """A row per subject and session.

    Args:
        spec: `source.columns` names a suffix for a channel where it is not the channel's name, and for `mask`
            where it is not dseg.
        root: Of the tree; `participants.tsv` there holds the clinical columns.
        names: Of the image files, relative to the root.

    Raises:
        SourceError: No file fits, or the table of participants cannot be read.
    """
    suffixes = {
        channel.name: spec.source.columns.get(channel.name, channel.name) for channel in spec.channels
    }
    mask_suffix = spec.source.columns.get(MASK, MASK_SUFFIX)
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in sorted(names):
        match = IMAGE.fullmatch(name)
        if match:
            visit = found.setdefault((match[1], match[2] or ""), {})
            visit.setdefault(match[4], []).append(name)
    cells = _participants(root, spec)
    rows = [
        SetRow(
            patient=subject,
            channels=tuple(_one(visit.get(suffix, [])) for suffix in suffixes.values()),
            mask=_one(visit.get(mask_suffix, [])),
            cells=cells.get(subject, {}),
        )
        for (subject, _), visit in found.items()
        if any(suffix in visit for suffix in suffixes.values())
    ]
    if not rows:
        raise SourceError(
            f"the source holds no BIDS image of suffix {', '.join(suffixes.values())}, expected such as "
            "sub-01/anat/sub-01_T1w.nii.gz: check the uri, or name the suffixes in source.columns"
        )
    return rows


def _one(names: list[str]) -> str:
    """The only file, or the one of the shortest name (the others have further entities); empty where two are."""
    shortest = [name for name in names if len(name) == min(map(len, names))]
    return shortest[0] if len(shortest) == 1 else ""


def _participants(root: Path, spec: DatasetSpec) -> dict[str, Mapping[str, str]]:
    if not spec.clinical:
        return {}
    needed = [PARTICIPANT, *(column.name for column in spec.clinical)]
    try:
        data = (root / PARTICIPANTS).read_bytes()
    except OSError:
        raise SourceError(
            f"the spec has clinical columns and {PARTICIPANTS} cannot be read, expected it at the root of the tree"
        ) from None
    cells: dict[str, Mapping[str, str]] = {}
    units = _units(root, spec.clinical)
    for stated in read_rows(data, PARTICIPANTS, needed):
        row = {**units, **stated}
        if cells.setdefault(row[PARTICIPANT], row) != row:
            raise SourceError(f"{PARTICIPANTS} has differing rows for one participant: mend it")
    return cells


def _units(root: Path, columns: Iterable[ColumnSpec]) -> dict[str, str]:
    """Cells with the units that the sidecar of the participants states, in UCUM where they are words."""
    try:
        stated = json.loads((root / PARTICIPANTS_SIDECAR).read_bytes())
    except (OSError, ValueError, RecursionError):  # without one, or told of when its file is judged
        return {}
    cells = {}
    for column in columns:
        told = stated.get(column.name) if isinstance(stated, dict) else None
        unit = str(told.get("Units") or "").strip() if isinstance(told, dict) else ""
        if unit and column.unit != "1":  # a score has points and the like
            cells[column.name + UNIT_SUFFIX] = UCUM_OF.get(unit.lower().removesuffix("s"), unit)
    return cells


def kind_in_tree(data: bytes, name: str) -> str:
    """Kind of a file: an image, or `beside:` and the reason why it is held back, or empty."""
    kind = picture_kind(data)
    if kind:
        return kind
    base = name.rpartition("/")[2]
    if not base.endswith(BESIDE) and base not in BESIDE_NAMES:
        return ""
    if base == DESCRIPTION:  # names its authors
        return f"beside:{_text_reason(data)}"
    return f"beside:{sidecar_reason(data)}" if base.endswith(".json") else f"beside:{_text_reason(data)}"


def sidecar_reason(data: bytes) -> str:
    """Reason to hold a JSON sidecar back, or empty: a keyword of Table E.1-1 with a value, or a telling text."""
    try:
        found = list(_leaves(json.loads(data)))
    except (ValueError, RecursionError):
        return "file.malformed"
    rules = load_rules()
    if any(key in rules and value not in {"", "None"} for key, value in found):
        return "deid.identifying_attribute"
    if any(TELLING_KEY.search(key) and value for key, value in found):
        return "deid.identifying_attribute"
    keys = [key for key, _ in found if not key.isidentifier() or _is_joined(key)]
    return reason_of([*keys, *(value for _, value in found)])


def _is_joined(key: str) -> bool:
    """True for two names in one word; a single one is rather a quantity, such as ShimSetting."""
    known = [plain_letters(part) in gazetteer() for part in OWN_CASE.split(key.replace("_", ""))]
    return any(map(all, pairwise(known)))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, key)
    elif value is not None:
        yield key, str(value)


def _text_reason(data: bytes) -> str:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return "file.malformed"
    return (
        "deid.text_pattern"
        if any(looks_identifying(cell) for line in lines for cell in line.split("\t"))
        else ""
    )
