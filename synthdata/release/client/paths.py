"""Where the files of a release may lie on this machine: inside the target folder, and nowhere else."""

import re
import stat
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
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
        if not all(map(_plain, segments)) or len(file.path) > LONGEST:
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
    _refuse_files_as_folders(files, seen)


def _plain(segment: str) -> bool:
    """Every disk takes it as it is, and no download of another file goes by it."""
    if not SEGMENT.fullmatch(segment) or RESERVED.fullmatch(segment):
        return False
    return not segment.lower().endswith((PART, "."))


def _refuse_files_as_folders(files: Sequence[FileEntry], seen: AbstractSet[str]) -> None:
    """Refuse a path that is a file and a folder, or a folder under two spellings, which are one on some disks."""
    spelt: dict[str, str] = {}
    for file in files:
        place = file.path
        while "/" in place:
            place = place.rpartition("/")[0]
            if spelt.setdefault(place.lower(), place) != place or place.lower() in seen:
                raise TrustError(
                    f"the manifest names {place!r} as a folder and in another way, too: the release is broken; tell "
                    "its publisher"
                )


def clear(path: Path) -> None:
    """Remove what may not be written into: a link, a pipe, a device, or a file that has another name elsewhere."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) and (not stat.S_ISREG(found.st_mode) or found.st_nlink > 1):
        path.unlink()


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
