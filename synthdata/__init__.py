"""Synthetic medical imaging datasets: made, validated, signed, released and verified."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthdata.release.client import open_release

    __version__: str

__all__ = ["__version__", "open_release"]


def __getattr__(name: str) -> Any:
    """Load what is heavy when it is asked for."""
    if name == "open_release":
        from synthdata.release.client import open_release

        return open_release
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("synthdata")
        except PackageNotFoundError:  # a source tree which is not installed
            found = "0.0.0"
        globals()[name] = found  # looked up once: it is written into each file of a release
        return found
    raise AttributeError(f"module 'synthdata' has no attribute {name!r}")
