"""Releases: built, signed, published, pulled and checked.

A consumer needs `synthdata.release.client` alone, so the producing half is loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthdata.release.build import build_release
    from synthdata.release.publishing import Published, publish

__all__ = ["Published", "build_release", "publish"]


def __getattr__(name: str) -> Any:
    if name == "build_release":
        from synthdata.release.build import build_release

        return build_release
    if name in {"publish", "Published"}:
        from synthdata.release import publishing as module

        return getattr(module, name)
    raise AttributeError(f"module 'synthdata.release' has no attribute {name!r}")
