"""Fidelity, utility and expectations of a synthetic CaseSet, and the report which explains them."""
