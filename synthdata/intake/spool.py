"""A private temporary folder for what archives hold; an archive that is known is unpacked when a file of it is read."""

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

from synthdata.intake.deny_list import DenyList
from synthdata.intake.listing import Entry, Stamp
from synthdata.intake.packing import Kind
from synthdata.intake.unpacking import Member, RefusedArchiveError, Unpacked, unpack
from synthdata.storage.disk import on_disk
from synthdata.storage.scratch import PREFIX, TEMPORARY

RECIPE = ".json"  # suffix of the file that says which archive a folder is of


@dataclass(frozen=True, slots=True)
class Spool:
    """Folders by the number of their archive."""

    root: Path

    def unpacked(self, number: int, entry: Entry, kind: Kind, stamp: Stamp, deny: DenyList) -> Unpacked:
        """Unpack an archive now. Raises the errors of `unpack`."""
        return unpack(entry.path, kind, stamp, self.root / str(number), deny)

    def promise(self, number: int, entry: Entry, kind: str) -> None:
        """Let `restore` unpack an archive when one of its files is asked for."""
        said = {"path": str(entry.path), "kind": kind, "stamp": entry.stamp}
        (self.root / f"{number}{RECIPE}").write_text(json.dumps(said), encoding="utf-8")

    def place(self, number: int, member: Member) -> Path:
        """Where a file of an archive lies."""
        return self.root / str(number) / member.place


def restore(path: Path) -> bool:
    """Unpack the archive of a file that is not there; False where there is none, or it is not what it was.

    Several processes may ask at once: the folder appears when it is whole.

    Raises:
        StoreError: The temporary folder cannot be written.
    """
    folder = path.parent.parent
    if not folder.parent.name.startswith(PREFIX):  # a file of the source, which is gone
        return False
    recipe = folder.with_name(folder.name + RECIPE)
    if not recipe.is_file():
        return False
    with on_disk(TEMPORARY), recipe.open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return path.exists()
        said, part = json.load(lock), folder.with_name(folder.name + ".part")
        stamp: Stamp = tuple(said["stamp"])
        try:
            unpack(Path(said["path"]), said["kind"], stamp, part, DenyList())
        except RefusedArchiveError:
            recipe.unlink()  # it is not tried again for each of its files
            return False
        part.rename(folder)
    return path.exists()
