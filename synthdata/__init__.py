"""Synthetic medical imaging datasets: made, validated, signed, released and verified."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("synthdata")
except PackageNotFoundError:  # a source tree which is not installed
    __version__ = "0.0.0"
