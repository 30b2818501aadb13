"""What the operating system says of a disk, as a sentence; and small files that are whole or not there.

The error's own text is left out: it may hold a path, and a path of scans may hold a name.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from synthdata.errors import StoreError, SynthDataError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
Act = Literal["read", "written"]


def disk_sentence(what: str, error: OSError, act: Act = "written") -> str:
    """What came, what was expected and what to do.

    Args:
        what: The file or folder in words which name no patient.
        error: From the operating system, or a library which passes its number on.
        act: What was tried.
    """
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in FULL:
        return (
            f"the disk is full at {what} ({why}), expected room for it: free some space and run it again, "
            "it goes on where it was"
        )
    if error.errno in FORBIDDEN:
        right = "read" if act == "read" else "write"
        return (
            f"{what} cannot be {act} ({why}), expected the right to {right} there: "
            "give it to the user who runs this, or run it again as one who has it"
        )
    return f"{what} cannot be {act} ({why}), expected a path on a disk at work: check the path and the disk"


@contextmanager
def on_disk(what: str, act: Act = "written") -> Iterator[None]:
    """Turn an error of the operating system into a `StoreError` with `disk_sentence`."""
    try:
        yield
    except SynthDataError:
        raise
    except OSError as error:
        raise StoreError(disk_sentence(what, error, act)) from error


def write_whole(path: Path, data: bytes, *, suffix: str = ".partial") -> None:
    """Write a small file beside its place and move it there; a failed try leaves nothing.

    Args:
        path: The file.
        data: Its bytes.
        suffix: Of the file beside; of its own per process where several may write at once.
    """
    partial = path.with_name(path.name + suffix)
    try:
        partial.unlink(missing_ok=True)  # of a killed try; or a link, which would lead elsewhere
        with partial.open("xb") as writer:
            writer.write(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
