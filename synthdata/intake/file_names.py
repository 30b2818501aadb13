"""Names of files and folders below the source: they are often made of the patient's name."""

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from synthdata.intake.dates_in_text import has_short_date
from synthdata.intake.deny_list import DenyList
from synthdata.intake.person_names import has_foreign_script, likely_names, names_a_person
from synthdata.intake.telling import hides_a_person
from synthdata.intake.text_patterns import looks_identifying
from synthdata.intake.unique_ids import is_uid, uid_is_dated

if TYPE_CHECKING:
    from synthdata.intake.inventory import SeenFile

NOTHING: Mapping[Path, str] = {}
UID_ROOTS = frozenset({"0.", "1.", "2."})
UID_WITHIN = re.compile(r"(?<!\d)[012](?:\.\d+){3,}")  # behind a word, such as MR.1.2.840
EXTENSIONS = re.compile(
    r"(?:\.(?:dcm|dicom|ima|img|hdr|nii|gz|zip|tar|tgz|bz2|xz|npz|npy|png|json|tsv|csv|parquet|txt|xml|md|bval|bvec))+$",
    re.IGNORECASE,
)
DASHES = re.compile(r"[\s-]+")
DIGIT = re.compile(r"\d")
MOST_SHARED = 1 / 3  # of the files, whose names have a word in common that is no name of a person
LEAST_PROOF, PROOF = 3, 1 / 3  # names that are no telephone number, and for each one that could be
NOT_UTF_8 = re.compile("[\udc80-\udcff]")  # what Python makes of a byte that is none
SEVERAL = re.compile(r"[^\x00-\x7f]{2,}")  # letters beyond ASCII in a row, as other scripts have them
SEPARATORS = re.compile(r"[_+~,;()\[\]{}]+")


def judge_file_names(
    files: Collection["SeenFile"], root: Path, deny: DenyList, archived: Mapping[Path, str] = NOTHING
) -> None:
    """Book a reason with each file whose name, or a folder of it below the root, could identify a person.

    Args:
        files: Booked files.
        root: Folder of the source, or the one file; its own name is the operator's and is not judged.
        deny: The operator's list.
        archived: Names of files which were unpacked from an archive, whose folders count as others do.
    """
    start = "" if root == Path() else f"{root}/"
    parts = [_parts(str(seen.path), start, archived.get(seen.path, "")) for seen in files]
    names = {part for several in parts for part in several}
    telling = {name for name in names if identifies(name)}
    held = telling - _numbered(telling, names - telling) | {name for name in names if deny.matches(name)}
    held |= _likely(parts)
    for seen, several in zip(files, parts, strict=True):
        if not held.isdisjoint(several):
            seen.reasons.add("deid.file_name")


def _parts(path: str, start: str, archived: str) -> list[str]:
    """Names of folders below the root, and of the file; a root which is the file itself has no part."""
    if archived:
        return archived.split("/")
    return path.removeprefix(start).split("/") if path.startswith(start) else [path.rpartition("/")[2]]


def _likely(parts: Collection[list[str]]) -> set[str]:
    """Names with a word that is built as names of persons are, and that few files share, as those of a study do."""
    words = {name: likely_names(_plain(name)) for name in {name for several in parts for name in several}}
    words = {name: likely for name, likely in words.items() if likely}
    if not words:
        return set()
    told = [{word for name in several if name in words for word in words[name]} for several in parts]
    files = Counter(word for several in told for word in several)
    rare = {word for word, count in files.items() if count <= max(1, MOST_SHARED * len(parts))}
    return {name for name, likely in words.items() if not likely.isdisjoint(rare)}


def _plain(part: str) -> str:
    """Name of a file as words, without what tells its format."""
    return SEPARATORS.sub(" ", EXTENSIONS.sub("", part)).replace(".", " ")


def _numbered(telling: set[str], others: set[str]) -> set[str]:
    """Names which look like a telephone number, where others of the same form show that a study numbers so."""
    alike = {name: DIGIT.sub("#", name) for name in telling if not identifies(name, groups=False)}
    if not alike:
        return set()
    counts, proof = Counter(alike.values()), Counter(DIGIT.sub("#", name) for name in others)
    return {name for name, form in alike.items() if proof[form] >= max(LEAST_PROOF, PROOF * counts[form])}


@lru_cache(1 << 14)
def identifies(part: str, *, groups: bool = True) -> bool:
    """True where the name of a file or folder names or dates a person; groups of digits may be a telephone number.

    One which is no UTF-8 is read as Windows writes in western Europe; what is of another script cannot be read.
    """
    if NOT_UTF_8.search(part):
        part = os.fsencode(part).decode("cp1252", errors="replace")
        if SEVERAL.search(part):
            return True
    whole, short = part.rsplit(".", 1)[0], part.split(".", 1)[0]
    if part[:2] in UID_ROOTS and (is_uid(whole) or is_uid(part)):
        return uid_is_dated(whole if is_uid(whole) else part)
    if any(map(uid_is_dated, UID_WITHIN.findall(part))):
        return True
    words, dotted = SEPARATORS.sub(" ", short), SEPARATORS.sub(" ", whole)
    texts = {part, short, words, dotted, DASHES.sub(" ", words), DASHES.sub(" ", dotted)}
    if not UID_WITHIN.search(part):
        texts.add(dotted.replace(".", " "))
    if any(looks_identifying(text, prose=False, groups=groups) for text in texts) or hides_a_person(short):
        return True
    if has_short_date(SEPARATORS.sub(" ", part)) or has_short_date(dotted):
        return True
    named = {words, _plain(part)}
    return any(names_a_person(text, prose=False) or has_foreign_script(text) for text in named)
