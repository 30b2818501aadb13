"""Real scans in: read, judged, pseudonymised and stored, or held back with a reason."""

from synthdata.intake.inspection import inspect
from synthdata.intake.taking import take_in

__all__ = ["inspect", "take_in"]
