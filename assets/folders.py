"""Folders of this machine that the assets work in."""

from pathlib import Path
from typing import Protocol


class Folders(Protocol):
    """Where scans of the phantom lie, and where a release is put together before it is published."""

    @property
    def sources(self) -> Path:
        """Parent of the phantom's cohorts."""
        ...

    @property
    def staging(self) -> Path:
        """Parent of the releases that are being built."""
        ...
