"""Cases from a tree with a folder per case: the folder names the case, its files the channels and the mask."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from synthdata.errors import SourceError
from synthdata.intake.image_set import MASK, PATIENT, SetRow
from synthdata.spec import DatasetSpec

ENDINGS = (".nii.gz", ".nii", ".png", ".npz")


def rows_of_folders(spec: DatasetSpec, names: Iterable[str]) -> list[SetRow]:
    """A row per folder that holds a file of a channel.

    Args:
        spec: `source.columns` names the file of a channel, without its ending, where it is not the channel's name; of
            the `mask`; and as `patient` a regular expression that takes the patient from the folder's name, which is
            the patient where there is none.
        names: Of the image files, relative to the source.

    Raises:
        SourceError: No file fits, a folder's name gives no patient, or the spec has clinical columns.
    """
    columns = spec.source.columns
    if spec.clinical:
        raise SourceError(
            "a source of format folders has no table, and the spec has clinical columns: use format table"
        )
    wanted = {channel.name: columns.get(channel.name, channel.name) for channel in spec.channels}
    mask = columns.get(MASK, MASK)
    found: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        stem = next((path.name.removesuffix(end) for end in ENDINGS if path.name.endswith(end)), "")
        if stem in {*wanted.values(), mask}:
            found.setdefault(path.parent.as_posix(), {})[stem] = name
    rows = [
        SetRow(
            patient=_patient(PurePosixPath(folder).name, columns.get(PATIENT, "")),
            channels=tuple(files.get(stem, "") for stem in wanted.values()),
            mask=files.get(mask, "") if spec.labels else "",
            cells={},
        )
        for folder, files in found.items()
        if any(stem in files for stem in wanted.values())
    ]
    if not rows:
        raise SourceError(
            f"the source holds no folder with files named {', '.join(wanted.values())}, expected such as "
            f"case-01/{next(iter(wanted.values()))}.nii.gz: check the uri, or name the files in source.columns"
        )
    return rows


def _patient(folder: str, pattern: str) -> str:
    if not pattern:
        return folder
    match = re.search(pattern, folder)
    if match is None or not match[match.re.groups and 1]:
        raise SourceError(
            "source.columns.patient finds no patient in the name of a folder: mend the regular expression"
        )
    return match[match.re.groups and 1]
