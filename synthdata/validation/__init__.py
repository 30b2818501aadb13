"""Fidelity, utility and expectations of a synthetic CaseSet, and the report which explains them."""

from synthdata.validation.fidelity import measure_fidelity
from synthdata.validation.utility import measure_utility

__all__ = ["measure_fidelity", "measure_utility"]
