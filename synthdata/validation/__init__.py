"""Fidelity, utility and expectations of a synthetic CaseSet, and the report which explains them."""

from synthdata.validation.expectations import check_expectations
from synthdata.validation.fidelity import measure_fidelity
from synthdata.validation.report import write_report
from synthdata.validation.utility import measure_utility

__all__ = ["check_expectations", "measure_fidelity", "measure_utility", "write_report"]
