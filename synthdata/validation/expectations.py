"""Great Expectations over the case and record tables; results are BOOLEAN_ONLY, so no value leaves the run."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from synthdata.errors import MissingExtraError
from synthdata.records.case_set import CaseSet, ColumnSpec
from synthdata.records.codec import digest_of
from synthdata.records.parquet import read_records
from synthdata.records.reports import ExpectationsReport
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.case_table import case_table, record_table

if TYPE_CHECKING:
    import pandas as pd

Expectation = dict[str, Any]  # {"type": ..., "kwargs": {...}}, as Great Expectations spells it
BEYOND = (
    1.25  # network intensity that no encoded case may pass: percentiles let 1 % of the voxels go beyond 1
)


def check_expectations(
    spec: DatasetSpec, training_set: TrainingSet, synthetic: CaseSet, private: ObjectStore
) -> ExpectationsReport:
    """Run the suites of `validation/suites` and those which follow from the spec's clinical columns.

    Args:
        spec: Its `clinical` gives ranges and categories.
        training_set: The real cases; all three parts run the suites for real cases.
        synthetic: Generated cases; they run the same suites, and those of synthetic ids and pixels.
        private: Where the cases are kept.

    Returns:
        Success per suite and the names of failed expectations, never a value.

    Raises:
        MissingExtraError: Great Expectations is not installed.
    """
    real = {"train": training_set.train, "control": training_set.control, "test": training_set.test}
    tables: dict[str, pd.DataFrame] = {}
    suites: dict[str, list[Expectation]] = {}
    for group, case_set in real.items():
        tables[f"real_cases/{group}"] = case_table(case_set, training_set, private)
        suites[f"real_cases/{group}"] = _suite("cases", _parameters(case_set, training_set))
        tables[f"real_records/{group}"] = record_table(case_set, private)
        suites[f"real_records/{group}"] = _suite("records", _parameters(case_set, training_set))
        suites[f"real_records/{group}"] += _column_expectations(spec.clinical)
    parameters = _parameters(synthetic, training_set) | {"real_ids": _real_ids(real, private)}
    tables["synthetic_cases"] = case_table(synthetic, training_set, private)
    suites["synthetic_cases"] = _suite("cases", parameters) + _suite("synthetic_cases", parameters)
    tables["synthetic_records"] = record_table(synthetic, private)
    suites["synthetic_records"] = _suite("records", parameters) + _column_expectations(spec.clinical)
    suites["synthetic_records"] += _no_new_nulls(spec.clinical, tables["real_records/train"])
    failed = {name: run_suite(name, tables[name], suites[name]) for name in suites}
    return ExpectationsReport(
        dataset=training_set.dataset,
        synthetic=digest_of(synthetic),
        suites={name: not found for name, found in failed.items()},
        failed=tuple(f"{name}/{found}" for name, some in failed.items() for found in some),
        evaluated=sum(len(some) for some in suites.values()),
    )


def run_suite(name: str, table: "pd.DataFrame", expectations: Sequence[Expectation]) -> list[str]:
    """Run one suite over one table; gives `<column>/<expectation>` of what failed.

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
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
        asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
        batch = asset.add_batch_definition_whole_dataframe("whole")
        validation = gx.ValidationDefinition(name=name, data=batch, suite=suite)
        run = context.validation_definitions.add(validation)
        outcome = run.run(batch_parameters={"dataframe": table}, result_format="BOOLEAN_ONLY")
    failed = [result.expectation_config for result in outcome.results if not result.success]
    return [f"{found.kwargs.get('column', 'table')}/{found.type}" for found in failed if found is not None]


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
        if not real[column.name].isna().any()
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
