"""The consumer's half: list, pull and check releases; nothing here needs the producing packages."""

from synthdata.release.client.checking import CheckResult, check
from synthdata.release.client.listing import Listing, ReleaseLine, list_releases
from synthdata.release.client.opened import OpenedRelease, open_release
from synthdata.release.client.pulling import Pulled, pull

__all__ = [
    "CheckResult",
    "Listing",
    "OpenedRelease",
    "Pulled",
    "ReleaseLine",
    "check",
    "list_releases",
    "open_release",
    "pull",
]
