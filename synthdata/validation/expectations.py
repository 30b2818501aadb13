"""Great Expectations over the tables of cases, records and metrics.

Results of tables of cases and records are `BOOLEAN_ONLY`, so that no value leaves the run.
"""

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from synthdata.errors import MissingExtraError
from synthdata.records.case_set import CaseSet, ColumnSpec
from synthdata.records.codec import digest_of
from synthdata.records.parquet import read_records
from synthdata.records.reports import (
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    UtilityReport,
)
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.case_table import case_table, record_table
from synthdata.validation.data_docs import without_values, write_data_docs
from synthdata.validation.metric_table import fidelity_table, privacy_table, utility_table

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult

Expectation = dict[str, Any]  # {"type": ..., "kwargs": {...}}, as Great Expectations spells it
BEYOND = (
    1.25  # network intensity that no encoded case may pass: percentiles let 1 % of the voxels go beyond 1
)
SYNTHETIC_ID = re.compile(r"SYN-[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Checked:
    """A table and what is expected of it."""

    table: "pd.DataFrame"
    expectations: list[Expectation]
    shown: bool = False  # whether results may hold values: of metrics alone
    named: bool = False  # whether failing rows may be named: synthetic cases alone


def check_expectations(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    fidelity: FidelityReport,
    utility: UtilityReport,
    privacy: PrivacyReport,
) -> ExpectationsReport:
    """Run the suites of `validation/suites` and those which follow from the spec's clinical columns.

    Args:
        spec: Its `clinical` gives ranges and categories.
        training_set: The real cases; all three parts run the suites for real cases.
        synthetic: Generated cases; they run the same suites, and those of synthetic ids and pixels.
        private: Where the cases are kept, and where Data Docs are written.
        fidelity: Of the same CaseSet; its numbers are a table of their own.
        utility: Of the same CaseSet.
        privacy: Of the same CaseSet.

    Returns:
        Success per suite and the names of failed expectations, never a value; `figures` has the pages of Data Docs.

    Raises:
        MissingExtraError: Great Expectations is not installed.
    """
    checked = dict(_case_suites(spec, training_set, synthetic, private))
    checked |= dict(_metric_suites(fidelity, utility, privacy))
    runs = {name: run_suite(name, each) for name, each in checked.items()}
    outcomes = {name: outcome for name, (outcome, _) in runs.items()}
    failed = {name: failures(outcome) for name, outcome in outcomes.items()}
    digest = digest_of(synthetic)
    with _quiet():
        pages = write_data_docs(outcomes, private, dataset=training_set.dataset, digest=digest)
    return ExpectationsReport(
        dataset=training_set.dataset,
        synthetic=digest,
        suites={name: not found for name, found in failed.items()},
        failed=tuple(f"{name}/{found}" for name, some in failed.items() for found in some),
        evaluated=sum(len(each.expectations) for each in checked.values()),
        figures=pages,
        failing_cases=tuple(sorted({case_id for _, some in runs.values() for case_id in some})),
    )


def _case_suites(
    spec: DatasetSpec, training_set: TrainingSet, synthetic: CaseSet, private: ObjectStore
) -> Iterator[tuple[str, _Checked]]:
    """Suites of real cases by group, then of synthetic ones."""
    real = {"train": training_set.train, "control": training_set.control, "test": training_set.test}
    ranges = _column_expectations(spec.clinical)
    for group, case_set in real.items():
        parameters = _parameters(case_set, training_set)
        cases = case_table(case_set, training_set, private)
        yield f"real_cases/{group}", _Checked(table=cases, expectations=_suite("cases", parameters))
        records = record_table(case_set, private)
        yield (
            f"real_records/{group}",
            _Checked(table=records, expectations=_suite("records", parameters) + ranges),
        )
    parameters, known = _parameters(synthetic, training_set), _real_ids(real, private)
    cases = case_table(synthetic, training_set, private)
    for name in ("case_id", "patient_id"):  # a flag, since a set of real ids would stand in Data Docs
        cases[f"{name}_is_real"] = cases[name].isin(known)
    wanted = _suite("cases", parameters) + _suite("synthetic_cases", parameters)
    yield "synthetic_cases", _Checked(table=cases, expectations=wanted, named=True)
    wanted = _suite("records", parameters) + ranges
    wanted += _no_new_nulls(spec.clinical, record_table(training_set.train, private))
    records = record_table(synthetic, private)
    yield "synthetic_records", _Checked(table=records, expectations=wanted, named=True)


def _metric_suites(
    fidelity: FidelityReport, utility: UtilityReport, privacy: PrivacyReport
) -> Iterator[tuple[str, _Checked]]:
    """Suites of the numbers on which people decide: they are there, and possible."""
    from synthdata.privacy.findings import GATING_TESTS  # whose package reads the faults of this one

    found = (
        ("fidelity", fidelity_table(fidelity), _suite("metrics", {})),
        ("utility", utility_table(utility), _suite("metrics", {})),
        ("privacy", privacy_table(privacy), _suite("privacy_metrics", {"gating": sorted(GATING_TESTS)})),
    )
    for name, table, expectations in found:
        yield f"metrics/{name}", _Checked(table=table, expectations=expectations, shown=True)


def run_suite(name: str, checked: _Checked) -> tuple["ExpectationSuiteValidationResult", set[str]]:
    """Run one suite over one table; what must not be shown is taken out of the result.

    Returns:
        The result, and the ids of failing cases where they may be named.

    Raises:
        MissingExtraError: Great Expectations is not installed.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _quiet():
        try:
            import great_expectations as gx
            from great_expectations.data_context.types.base import ProgressBarsConfig
        except ImportError:
            raise MissingExtraError.of("The expectations of the case and record tables", "pipeline") from None
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(checked.expectations)))
        asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
        batch = asset.add_batch_definition_whole_dataframe("whole")
        validation = gx.ValidationDefinition(name=name, data=batch, suite=suite)
        run = context.validation_definitions.add(validation)
        outcome = run.run(
            batch_parameters={"dataframe": checked.table},
            result_format=_format(checked),
        )
    failing = _failing_cases(outcome) if checked.named else set()
    if not checked.shown:
        without_values(outcome)
    return outcome, failing


def _format(checked: _Checked) -> dict[Any, Any]:
    """How much Great Expectations keeps of a table."""
    if checked.named:
        return {"result_format": "COMPLETE", "unexpected_index_column_names": ["case_id"]}
    return {"result_format": "SUMMARY" if checked.shown else "BOOLEAN_ONLY"}


def _failing_cases(outcome: "ExpectationSuiteValidationResult") -> set[str]:
    """Ids of the rows that failed; none that does not have the form of a synthetic one."""
    rows = [
        row
        for result in outcome.results
        if not result.success
        for row in result.result.get("unexpected_index_list") or ()
    ]
    return {str(row["case_id"]) for row in rows if SYNTHETIC_ID.fullmatch(str(row.get("case_id")))}


def failures(outcome: "ExpectationSuiteValidationResult") -> list[str]:
    """What failed, as `<column>/<expectation>`."""
    failed = [result.expectation_config for result in outcome.results if not result.success]
    return [f"{_column(found.kwargs)}/{found.type}" for found in failed if found is not None]


def _column(kwargs: Mapping[str, Any]) -> str:
    """The column of an expectation, or the first of a pair."""
    return str(kwargs.get("column") or kwargs.get("column_A") or "table")


def _suite(name: str, parameters: Mapping[str, object]) -> list[Expectation]:
    """Expectations of a JSON suite, with `$name` replaced by the parameter."""
    text = files("synthdata.validation").joinpath("suites", f"{name}.json").read_text(encoding="utf-8")
    expectations: list[Expectation] = json.loads(text)["expectations"]
    return [{**found, "kwargs": _filled(found["kwargs"], parameters)} for found in expectations]


def _filled(value: Any, parameters: Mapping[str, object]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, parameters) for item in value]
    if isinstance(value, str) and value.startswith("$"):
        return parameters[value[1:]]
    return value


def _parameters(case_set: CaseSet, training_set: TrainingSet) -> dict[str, object]:
    z, y, x = training_set.grid.shape_zyx
    return {
        "cases": case_set.cases,
        "channels": len(training_set.scales),
        "size_z": z,
        "size_y": y,
        "size_x": x,
        "lowest": -BEYOND,
        "highest": BEYOND,
    }


def _column_expectations(columns: Sequence[ColumnSpec]) -> list[Expectation]:
    """Range or set of each clinical column; empty cells are left to `_no_new_nulls`."""
    found = []
    for column in columns:
        if column.kind == "category":
            kwargs: dict[str, object] = {"column": column.name, "value_set": list(column.values)}
            found.append({"type": "expect_column_values_to_be_in_set", "kwargs": kwargs})
        elif column.minimum is not None or column.maximum is not None:
            kwargs = {"column": column.name, "min_value": column.minimum, "max_value": column.maximum}
            found.append({"type": "expect_column_values_to_be_between", "kwargs": kwargs})
        else:
            found.append({"type": "expect_column_to_exist", "kwargs": {"column": column.name}})
    return found


def _no_new_nulls(columns: Sequence[ColumnSpec], real: "pd.DataFrame") -> list[Expectation]:
    """No empty cell in synthetic columns which have none in the training cases."""
    return [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": column.name}}
        for column in columns
        if column.name in real and not real[column.name].isna().any()
    ]


def _real_ids(real: Mapping[str, CaseSet], private: ObjectStore) -> list[str]:
    tables = [read_records(private, case_set) for case_set in real.values()]
    return sorted(
        {value for table in tables for name in ("case_id", "patient_id") for value in table[name].to_pylist()}
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations warns about its own use of marshmallow and pandas; that is not ours to mend."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield
