"""Private temporary folders for scans: those of a killed process are removed by the next one."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthdata.storage.disk import on_disk

TEMPORARY = "the temporary folder (TMPDIR)"
PREFIX, LOCK = "synthdata-scans-", ".lock"
UNLOCKED_S = 600.0  # a folder without a lock that is younger is one which is just being made


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for this user alone; it is gone afterwards, or once somebody asks for another one.

    Raises:
        StoreError: The temporary folder is full, or may not be written.
    """
    with on_disk(TEMPORARY):
        _sweep(Path(tempfile.gettempdir()))
        with (
            tempfile.TemporaryDirectory(prefix=PREFIX) as name,
            (Path(name) / f"{LOCK}.new").open("w") as lock,
        ):
            with suppress(OSError):  # of a network without locks: there nothing is swept
                fcntl.flock(lock, fcntl.LOCK_EX)
                Path(lock.name).rename(Path(name) / LOCK)  # which nobody finds before it is locked
            yield Path(name)


def _sweep(temporary: Path) -> None:
    """Remove our folders whose process is no more: its lock ended with it."""
    for folder in temporary.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid == os.geteuid() and _is_left(folder, found.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path, changed_s: float) -> bool:
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return time.time() - changed_s > UNLOCKED_S
