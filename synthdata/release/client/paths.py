"""Where the files of a release may lie on this machine: inside the target folder, and nowhere else."""

import re
from collections.abc import Sequence
from pathlib import Path

from synthdata.errors import TrustError
from synthdata.records.release import FileEntry
from synthdata.release.layout import MANIFEST

STATE = ".synthdata"  # folder with the signed metadata of a pulled release
PART = ".part"
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
RESERVED = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE
)  # names that Windows keeps to itself
LONGEST = 400  # characters


def check_paths(files: Sequence[FileEntry]) -> None:
    """Refuse a manifest whose files would leave the folder, hide, or overwrite each other.

    Raises:
        TrustError: Names the first such path.
    """
    seen: set[str] = {MANIFEST}
    for file in files:
        segments = file.path.split("/")
        plain = all(SEGMENT.fullmatch(part) and not RESERVED.fullmatch(part) for part in segments)
        if not plain or len(file.path) > LONGEST or file.path.endswith((PART, ".")):
            raise TrustError(
                f"the manifest names the file {file.path!r}, which may not be written: the release was not "
                f"made by this "
                "project; tell its publisher"
            )
        if file.path.lower() in seen:
            raise TrustError(
                f"the manifest names {file.path!r} twice: the release is broken; tell its publisher"
            )
        if file.size_bytes < 0:
            raise TrustError(f"the manifest gives {file.path!r} a negative size: the release is broken")
        seen.add(file.path.lower())


def inside(folder: Path, path: str) -> Path:
    """File of a release in a folder.

    Raises:
        TrustError: A symbolic link on the way would lead elsewhere.
    """
    place = folder
    for part in path.split("/"):
        place = place / part
        if place.is_symlink():
            raise TrustError(f"{path} is or lies behind a symbolic link in the folder: remove the link")
    return place
