"""Where things lie on this machine when no variable says otherwise."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VAR = ROOT / "var"
SHIPPED_SPECS = ROOT / "pipelines" / "datasets"


def address(variable: str, default: Path) -> str:
    """Value of a variable, or the absolute path of the default."""
    return os.environ.get(variable) or str(default)


def private_url() -> str:
    """Address of the private store: `SYNTHDATA_PRIVATE`, or var/private."""
    return address("SYNTHDATA_PRIVATE", VAR / "private")


def releases_url() -> str:
    """Address of the release store: `SYNTHDATA_RELEASES`, or var/releases."""
    return address("SYNTHDATA_RELEASES", VAR / "releases")


def spec_folders() -> list[Path]:
    """Folders of dataset specs: the shipped ones, and those of `SYNTHDATA_DATASETS`, separated as in PATH."""
    further = os.environ.get("SYNTHDATA_DATASETS", "")
    return [SHIPPED_SPECS, *(Path(name).expanduser() for name in further.split(os.pathsep) if name)]
