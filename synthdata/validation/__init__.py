"""Fidelity, utility and expectations of a synthetic CaseSet, and the report which explains them."""

from synthdata.validation.fidelity import measure_fidelity

__all__ = ["measure_fidelity"]
