"""Names of files and folders below the source: they are often made of the patient's name."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from synthdata.intake.deny_list import DenyList
from synthdata.intake.inventory import SeenFile
from synthdata.intake.person_names import has_foreign_script, names_a_person
from synthdata.intake.text_patterns import looks_identifying
from synthdata.intake.unique_ids import is_uid, uid_is_dated

NOTHING: Mapping[Path, str] = {}
UID_ROOTS = frozenset({"0.", "1.", "2."})
UID_WITHIN = re.compile(r"(?<!\d)[012](?:\.\d+){3,}")  # behind a word, such as MR.1.2.840
DASHES = re.compile(r"[\s-]+")
SEPARATORS = re.compile(r"[_+~,;()\[\]{}]+")


def judge_file_names(
    files: Iterable[SeenFile], root: Path, deny: DenyList, archived: Mapping[Path, str] = NOTHING
) -> None:
    """Book a reason with each file whose name, or a folder of it below the root, could identify a person.

    Args:
        files: Booked files.
        root: Folder of the source, or the one file; its own name is the operator's and is not judged.
        deny: The operator's list.
        archived: Names of files which were unpacked from an archive, whose folders count as others do.
    """
    for seen in files:
        parts = seen.path.relative_to(root).parts if seen.path.is_relative_to(root) else ()
        parts = parts or tuple(archived.get(seen.path, seen.path.name).split("/"))
        if any(identifies(part) for part in parts) or any(map(deny.matches, parts)):
            seen.reasons.add("deid.file_name")


@lru_cache(1 << 14)
def identifies(part: str) -> bool:
    """True where the name of a file or folder names or dates a person."""
    whole, short = part.rsplit(".", 1)[0], part.split(".", 1)[0]
    if part[:2] in UID_ROOTS and (is_uid(whole) or is_uid(part)):
        return uid_is_dated(whole if is_uid(whole) else part)
    if any(map(uid_is_dated, UID_WITHIN.findall(part))):
        return True
    words, dotted = SEPARATORS.sub(" ", short), SEPARATORS.sub(" ", whole)
    texts = {part, short, words, dotted, DASHES.sub(" ", words), DASHES.sub(" ", dotted)}
    identifying = any(looks_identifying(text, prose=False) for text in texts)
    return identifying or names_a_person(words, prose=False) or has_foreign_script(words)
