"""A real disk of some kilobytes, which can be full, and can grow."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class SmallDisk:
    """A mounted tmpfs."""

    root: Path

    def grow(self) -> None:
        """Somebody frees some space."""
        mount("-o", "remount,size=1g", str(self.root))

    def leave(self, pages: int) -> None:
        """Somebody fills the disk but for some pages."""
        used = shutil.disk_usage(self.root).used + pages * PAGE_BYTES
        mount("-o", f"remount,size={used}", str(self.root))

    def lock(self) -> None:
        """The disk is mounted again for reading alone, as after a fault."""
        mount("-o", "remount,ro", str(self.root))

    def unlock(self) -> None:
        """The disk is mounted again for writing."""
        mount("-o", "remount,rw", str(self.root))


@contextmanager
def small_disk(root: Path, pages: int) -> Iterator[SmallDisk]:
    """A disk of so many pages, mounted on a new folder; each file takes whole pages."""
    root.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={pages * PAGE_BYTES},mode=0755", "synthdata-test", str(root))
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def pages_of(folder: Path) -> int:
    """Pages that the files of a folder take."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(-(-size // PAGE_BYTES) for size in sizes)


def missing() -> str:
    """Why no disk can be mounted here; empty where one can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "needs root and mount for a small tmpfs"
    probe = Path(f"/tmp/synthdata-mount-{os.getpid()}")
    try:
        with small_disk(probe, 1):
            return ""
    except (OSError, subprocess.CalledProcessError):
        return "this machine lets nobody mount a tmpfs"
    finally:
        probe.rmdir()


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
