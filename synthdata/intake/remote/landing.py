"""Where scans from a server lie on this machine: whole ones, those on their way, and what is known of the server."""

import fcntl
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from synthdata.errors import SourceError, StoreError, SynthDataError
from synthdata.intake.memory import Memory
from synthdata.storage.disk import disk_sentence, write_whole
from synthdata.storage.folder import FolderStore

OLD = ".old"  # suffix of a folder which another one has taken the place of
PART = ".part"  # suffix of a file which is not whole yet


class LandingError(StoreError):
    """The folder for fetched scans cannot be written."""


@dataclass(slots=True)
class Fetched:
    """What a fetch did, in studies or in objects."""

    seen: int = 0  # on the server
    fetched: int = 0  # new or changed, and whole on this disk now
    removed: int = 0  # no longer on the server
    failed: list[SynthDataError] = field(default_factory=list)  # one for each that is not whole here


class Landing:
    """A private folder: `scans` is for intake, `incoming` for what is not whole yet, `cursor` for what was fetched."""

    def __init__(self, root: Path, address: str) -> None:
        """Open it, making what is not there.

        Args:
            root: The folder; another address than that of an earlier run is refused.
            address: Of the server, without credentials.

        Raises:
            StoreError: The folder cannot be written.
            SourceError: It holds the scans of another address.
        """
        self.root, self.scans, self.incoming = root, root / "scans", root / "incoming"
        with on_landing():
            for folder in (self.root, self.scans, self.incoming):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = root / "address"
            said = path.read_text(encoding="utf-8") if path.exists() else ""
            if said and _spelt(said) != _spelt(address):
                raise SourceError(
                    "the folder for the scans holds those of another address, expected one address per folder: empty "
                    "it, or name another one"
                )
            if said != address:
                write_whole(path, address.encode())
        self.memory = Memory(FolderStore(root / "cursor"), "fetched/")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second fetch into the same folder away."""
        with on_landing(), (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SourceError(
                    "another run fetches scans into the same folder, expected one at a time: wait for it"
                ) from None
            yield

    def is_empty(self) -> bool:
        """True where no whole scan is there."""
        return not any(path.is_file() for path in self.scans.rglob("*"))

    def promote(self, name: str, files: Collection[str]) -> None:
        """Let a folder of `scans` hold exactly these files, those of `incoming` and those that it has, all at once.

        Args:
            name: Of the folder, which is whole with what is in `incoming`.
            files: Names; others are no longer on the server.
        """
        here, there = self.incoming / name, self.scans / name
        old = self.incoming / f"{name}{OLD}"
        with on_landing():
            for path in list(here.iterdir()):
                if path.name not in files:
                    path.unlink()
            if there.is_dir():
                for path in there.iterdir():
                    if path.name in files and not (here / path.name).exists():
                        (here / path.name).hardlink_to(path)
                shutil.rmtree(old, ignore_errors=True)
                there.rename(old)
            here.rename(there)
            shutil.rmtree(old, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Forget a folder of scans."""
        with on_landing():
            shutil.rmtree(self.scans / name, ignore_errors=True)
            shutil.rmtree(self.incoming / name, ignore_errors=True)


def _spelt(address: str) -> str:
    """One spelling of a service, whose root may end in a slash."""
    root, mark, query = address.partition("?")
    return f"{root.rstrip('/')}{mark}{query}"


@contextmanager
def on_landing() -> Iterator[None]:
    """Turn an error of the operating system into a sentence."""
    try:
        yield
    except (SourceError, StoreError):
        raise
    except OSError as error:
        raise LandingError(disk_sentence("the folder for fetched scans", error)) from None
