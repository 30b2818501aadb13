"""The cohort obeys the law which it states: density, contrast and the coupling of image and record."""

from typing import Any

import numpy as np
import pytest

from synthdata.phantom import draw_patient, law, render
from synthdata.phantom.tissues import Tissue
from synthdata.records import Grid


def column(cohort: Any, name: str) -> np.ndarray:
    return np.array([one.noisy.record[name] for one in cohort])


def mask_ml(cohort: Any, label: str) -> np.ndarray:
    return np.array(
        [
            (one.noisy.mask == one.noisy.labels[label]).sum() * one.noisy.grid.voxel_mm3 / 1000
            for one in cohort
        ]
    )


def test_the_mask_keeps_the_volumes_of_the_record(cohort: Any, head_grid: Grid) -> None:
    half_a_voxel_ml = head_grid.voxel_mm3 / 2000 + 0.01
    assert (
        np.abs(mask_ml(cohort, "ventricles") - column(cohort, "ventricle_volume_ml")).max() <= half_a_voxel_ml
    )
    lesions = mask_ml(cohort, "infarct") + mask_ml(cohort, "haemorrhage")
    assert np.abs(lesions - column(cohort, "lesion_volume_ml")).max() <= half_a_voxel_ml


def test_ventricles_grow_with_age_as_the_law_says(cohort: Any) -> None:
    age = np.array([one.patient.age_years for one in cohort], dtype=float)
    male = np.array([one.patient.sex == "M" for one in cohort], dtype=float)
    logs = np.log(column(cohort, "ventricle_volume_ml"))
    design = np.stack([np.ones_like(age), age - 50, male], axis=1)
    weights, residual, *_ = np.linalg.lstsq(design, logs, rcond=None)
    error = law.VENTRICLE_LOG_SD * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    want = [np.log(law.VENTRICLE_ML_AT_50), law.VENTRICLE_GROWTH_PER_YEAR, np.log(law.VENTRICLE_MALE_FACTOR)]
    assert np.all(np.abs(weights - want) < 3.5 * error)
    assert np.sqrt(residual[0] / (len(age) - 3)) == pytest.approx(law.VENTRICLE_LOG_SD, rel=0.2)


def test_the_laboratory_value_follows_the_lesion(cohort: Any) -> None:
    lesion, value = column(cohort, "lesion_volume_ml"), column(cohort, "s100b_ug_l")
    logs = np.log(value / [law.expected_s100b_ug_l(ml) for ml in lesion])
    assert abs(logs.mean()) < 3.5 * law.S100B_LOG_SD / np.sqrt(len(logs))
    assert logs.std() == pytest.approx(law.S100B_LOG_SD, rel=0.2)
    assert np.corrcoef(lesion, value)[0, 1] > 0.9
    shuffled = np.random.default_rng(0).permutation(value)
    assert abs(np.corrcoef(lesion, shuffled)[0, 1]) < 0.4  # the coupling is broken when rows are mixed


def test_the_diagnosis_says_what_is_in_the_image(cohort: Any) -> None:
    diagnosis = column(cohort, "diagnosis")
    for name in ("infarct", "haemorrhage"):
        assert np.array_equal(mask_ml(cohort, name) > 0, diagnosis == name)
    for name, share in law.PREVALENCE.items():
        spread = np.sqrt(share * (1 - share) / len(diagnosis))
        assert np.mean(diagnosis == name) == pytest.approx(share, abs=3.5 * spread)


def test_lesions_have_the_sizes_of_the_law(cohort: Any) -> None:
    for name, (low, high) in law.LESION_ML.items():
        found = column(cohort, "lesion_volume_ml")[column(cohort, "diagnosis") == name]
        assert 0.4 * low < found.min() < found.max() < 1.4 * high  # the brain's border cuts some
        assert low < np.median(found) < high


def test_tissues_have_their_density_within_the_head(cohort: Any, head_grid: Grid) -> None:
    patients = [one.patient for one in cohort if one.patient.lesion][:12]
    for patient in patients:
        rendering = render(patient, ("CT",), head_grid, ideal=True)
        for label, tissue in (("infarct", Tissue.INFARCT), ("haemorrhage", Tissue.HAEMORRHAGE)):
            core = rendering.images["CT"][rendering.mask == rendering.labels[label]]
            if core.size > 30:
                assert patient.lesion is not None
                host = (law.expected_hu(Tissue.GREY) + law.expected_hu(Tissue.WHITE)) / 2
                want = host + patient.lesion.contrast * (law.expected_hu(tissue) - host)
                assert np.percentile(core, 50) == pytest.approx(want, abs=6)  # its rim is partly brain


def test_infarcts_are_dark_and_haemorrhages_bright_in_ct(cohort: Any) -> None:
    def mean(name: str) -> float:
        images = [one.noisy.images["CT"][one.noisy.mask == one.noisy.labels[name]] for one in cohort]
        return float(np.concatenate(images).mean())

    assert mean("ventricles") < mean("infarct") < law.expected_hu(Tissue.WHITE) < mean("haemorrhage")


def test_men_have_larger_heads(cohort: Any) -> None:
    volume, sex = column(cohort, "intracranial_volume_ml"), column(cohort, "sex")
    ratio = volume[sex == "F"].mean() / volume[sex == "M"].mean()
    assert ratio == pytest.approx(law.HEAD_FEMALE_SCALE**3, abs=0.04)
    assert 1000 < volume.min() < volume.max() < 1800  # mL, of adults


def test_ages_fill_the_stated_range() -> None:
    ages = [draw_patient(0, number).age_years for number in range(2000)]
    assert (min(ages), max(ages)) == law.AGE_YEARS
    assert np.mean(ages) == pytest.approx(np.mean(law.AGE_YEARS), abs=1.6)
