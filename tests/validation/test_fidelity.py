from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthdata.errors import ConfigError
from synthdata.records import Case, CaseSet, FidelityReport, TrainingSet, from_json, to_json
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.validation.fidelity import blurred, measure_fidelity

Cohort = tuple[FolderStore, TrainingSet]
Synthesise = Callable[..., CaseSet]


def measured(spec: DatasetSpec, cohort: Cohort, synthetic: CaseSet) -> FidelityReport:
    return measure_fidelity(spec, cohort[1], synthetic, cohort[0])


def triple(report: FidelityReport, family: str, metric: str) -> float:
    return next(t.score.value for t in report.triples if (t.family, t.metric) == (family, metric))


def test_new_cases_of_the_same_law_score_near_zero_in_all_families(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    report = measured(spec, cohort, synthesise())
    assert set(report.scores) >= {"radiomics", "encoder", "tissue", "lesion", "record"}
    assert all(abs(score.value) < 0.35 for score in report.scores.values()), report.scores
    assert from_json(FidelityReport, to_json(report)) == report
    compared = {found.quantity: found for found in report.distributions}
    assert compared.keys() >= {
        "volume/lesion",
        "euler_number/organ",
        "contrast/lesion/T1w",
        "elongation/organ",
    }
    assert min(found.p_value for found in compared.values()) > 0.01


def test_training_cases_as_synthetic_ones_score_zero(spec: DatasetSpec, cohort: Cohort) -> None:
    report = measured(spec, cohort, cohort[1].train)
    assert all(abs(score.value) < 0.12 for score in report.scores.values()), report.scores


def test_blurred_cases_score_one_in_both_feature_families(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    report = measured(spec, cohort, synthesise(blurred))
    for family in ("radiomics", "encoder"):
        assert report.scores[family].value == pytest.approx(1, abs=0.35), report.scores


def test_a_collapsed_generator_loses_coverage(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    first: list[Case] = []

    def same(case: Case) -> Case:
        first.append(case)
        noise = np.random.default_rng(len(first)).normal(0, 3, case.image.shape)
        image = np.rint(first[0].image + noise).astype(np.int16)
        return replace(case, image=image, mask=first[0].mask)

    report = measured(spec, cohort, synthesise(same))
    found = next(t for t in report.triples if (t.family, t.metric) == ("radiomics", "coverage"))
    assert found.generated.value < found.floor.value / 2


def test_an_offset_of_the_intensities_is_seen_by_tissue_density(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    report = measured(spec, cohort, synthesise(lambda case: replace(case, image=case.image + np.int16(100))))
    assert report.scores["tissue"].value > 1
    assert report.scores["lesion"].value < 0.5
    p_values = {found.quantity: found.p_value for found in report.distributions}
    assert p_values["mean_intensity/organ/T1w"] < 1e-3 < 0.1 < p_values["volume/organ"]


def test_shuffled_records_are_seen_by_the_coupling_alone(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    rng = np.random.default_rng(5)
    report = measured(
        spec, cohort, synthesise(lambda c: replace(c, record={**c.record, "marker": float(rng.normal(5, 2))}))
    )
    assert triple(report, "record", "correlation/marker~volume/lesion") > 0.5
    assert report.scores["radiomics"].value < 0.35


def test_too_few_cases_are_refused_with_the_number(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    with pytest.raises(ConfigError, match="has 8 cases, expected at least 12"):
        measured(spec, cohort, synthesise(n=8))
