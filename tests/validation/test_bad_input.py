"""What cannot be judged is refused or INCONCLUSIVE with the reason; never a NaN that passes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthdata.errors import ConfigError, GateError, ShapeError
from synthdata.privacy.verdict import decide
from synthdata.records import CaseSet, Estimate, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.validation import measure_fidelity, measure_utility
from synthdata.validation.discrepancy import gaussian_discrepancy
from synthdata.validation.diversity import density, recall, vendi_score
from synthdata.validation.metrics import coverage, frechet_distance, kernel_distance, precision
from synthdata.validation.resampling import plan_resamples

Cohort = tuple[FolderStore, TrainingSet]
METRICS = [frechet_distance, kernel_distance, coverage, precision, density, recall]


@pytest.mark.parametrize("metric", METRICS)
def test_features_of_other_widths_or_with_nan_are_refused(metric: Callable[..., float]) -> None:
    a = np.random.default_rng(0).normal(size=(30, 8))
    with pytest.raises(ShapeError, match="one extractor"):
        metric(a, a[:, :4])
    with pytest.raises(ShapeError, match="not finite"):
        metric(np.where(a > 2, np.nan, a), a)
    with pytest.raises(ConfigError, match="at least 2"):
        metric(a[:0], a)


@pytest.mark.parametrize("metric", [coverage, precision, density, recall])
def test_fewer_cases_than_neighbours_are_refused(metric: Callable[..., float]) -> None:
    with pytest.raises(ConfigError, match=r"1 <= k < 4 .*add cases"):
        metric(np.eye(4), np.eye(4), k=5)


def test_fewer_cases_than_features_have_no_frechet_distance() -> None:
    a = np.random.default_rng(0).normal(size=(8, 8))
    with pytest.raises(ConfigError, match="8 cases of 8 features, expected more cases than features"):
        frechet_distance(a, a)


def test_constant_features_give_the_worst_score_or_none_and_never_nan() -> None:
    same, varied = np.ones((30, 8)), np.random.default_rng(0).normal(size=(30, 8))
    assert coverage(same, same) == precision(same, same) == density(same, same) == recall(same, same) == 0
    assert coverage(varied, same) < 0.5
    assert frechet_distance(same, same) == kernel_distance(same, same) == 0
    assert vendi_score(same) == pytest.approx(1)
    assert np.isfinite([frechet_distance(varied, same), gaussian_discrepancy(varied, same, 1.0)]).all()
    with pytest.raises(ShapeError, match="not finite"):
        vendi_score(same * np.nan)


def test_a_number_that_is_none_is_no_estimate() -> None:
    with pytest.raises(ConfigError, match="value nan"):
        Estimate(value=float("nan"), low=0, high=1, n=10)
    with pytest.raises(ConfigError, match="value nan"):
        Estimate(value=float("nan"), low=float("nan"), high=float("nan"), n=10)


def test_many_cases_of_few_patients_have_no_interval() -> None:
    groups = {"generated": [f"g{i}" for i in range(40)], "test": [f"p{i % 3}" for i in range(30)]}
    with pytest.raises(ConfigError, match="cases of test are of 3 patients, expected at least 12"):
        plan_resamples(groups)


def test_a_patient_in_train_and_test_is_refused_by_fidelity_and_utility(
    spec: DatasetSpec, cohort: Cohort, synthesise: Callable[..., CaseSet]
) -> None:
    store, training_set = cohort
    mixed = replace(training_set, test=training_set.train)
    with pytest.raises(ConfigError, match="40 patients have cases in train and in test, expected none"):
        measure_fidelity(spec, mixed, synthesise(), store)
    with pytest.raises(ConfigError, match="40 patients have cases in train and in test, expected none"):
        measure_utility(spec, mixed, synthesise(), store)


def test_a_report_of_other_cases_is_refused(
    spec: DatasetSpec, cohort: Cohort, synthesise: Callable[..., CaseSet]
) -> None:
    store, training_set = cohort
    few = replace(spec, gates=replace(spec.gates, utility_steps=1, utility_seeds=1))
    report = measure_utility(few, training_set, synthesise(n=12), store)
    with pytest.raises(GateError, match="measure"):
        decide(
            few,
            training_set,
            synthesise(n=13),
            fidelity=report,  # type: ignore[arg-type]
            utility=report,
            privacy=report,  # type: ignore[arg-type]
            expectations=report,  # type: ignore[arg-type]
        )
