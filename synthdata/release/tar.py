"""Tar files which are the same bytes for the same members."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> int:
    """Write members in the order in which they come, without times, owners or rights of this machine.

    Args:
        path: File to write, POSIX (pax) format, not compressed: readers seek in it.
        members: Name and bytes; names sorted by the caller.

    Returns:
        The number of members.
    """
    count = 0
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644  # times, owner and group stay 0 and empty
            archive.addfile(info, io.BytesIO(data))
            count += 1
    return count
