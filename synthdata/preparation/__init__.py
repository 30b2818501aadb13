"""Accepted cases to a training set: grid, intensity, split."""

from synthdata.preparation.preparing import prepare

__all__ = ["prepare"]
