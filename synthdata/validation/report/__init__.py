"""The report of one validation: one HTML file which needs no network, and the same as JSON."""

from synthdata.validation.report.write import write_report

__all__ = ["write_report"]
