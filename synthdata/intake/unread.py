"""Files that could not be read do not tell their series: that of their neighbours by name may lack a slice."""

from collections.abc import Iterable

from synthdata.intake.dicom_file import Instance
from synthdata.intake.inventory import UNREAD, SeenFile

Looked = tuple[str, SeenFile, Instance | None]  # name below the source, and what came of it


def series_beside_unread(files: Iterable[Looked]) -> set[str]:
    """Series Instance UIDs of the files before and behind each one that could not be read, in the same folder.

    Args:
        files: All of a source, in the order of their names.
    """
    ordered = list(files)
    return _behind(ordered) | _behind(reversed(ordered))


def _behind(files: Iterable[Looked]) -> set[str]:
    """Series of the file that was met last, in the same folder, before each one that could not be read."""
    found, folder, series = set[str](), "", ""
    for name, seen, instance in files:
        here = name.rpartition("/")[0]
        if here != folder:
            folder, series = here, ""
        if instance is not None:
            series = instance.series_uid
        elif not UNREAD.isdisjoint(seen.reasons):
            found |= {series} - {""}
    return found
