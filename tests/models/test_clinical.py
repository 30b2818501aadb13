import numpy as np
import pytest

from synthdata.errors import ConfigError
from synthdata.models.clinical import ClinicalLaw, draw_conditions, draw_outcomes, fit_law
from synthdata.records import ColumnSpec, from_json, to_json

COLUMNS = (
    ColumnSpec(name="age", kind="integer", unit="a", minimum=20, maximum=90),
    ColumnSpec(name="finding", kind="category", values=("none", "mass")),
    ColumnSpec(name="marker", kind="number", minimum=0, maximum=100, role="outcome"),
)


def cohort(n: int = 300) -> tuple[list[dict], np.ndarray]:
    """Age is higher where there is a mass; marker = 2 + 3 * volume in mL + noise of 0.5."""
    rng = np.random.default_rng(0)
    masses = rng.random(n) < 0.3
    ages = np.clip(np.where(masses, 70, 45) + rng.normal(scale=6, size=n), 20, 90).round()
    volumes = np.where(masses, rng.uniform(2000, 8000, n), 0)
    markers = 2 + 3 * volumes / 1000 + rng.normal(scale=0.5, size=n)
    records = [
        {"age": int(a), "finding": "mass" if m else "none", "marker": float(max(0, k))}
        for a, m, k in zip(ages, masses, markers, strict=True)
    ]
    return records, volumes[:, None]


def test_conditions_keep_shares_and_their_coupling() -> None:
    records, volumes = cohort()
    law = fit_law(COLUMNS, records, volumes)
    rng = np.random.default_rng(1)
    drawn = [draw_conditions(law, COLUMNS, rng) for _ in range(2000)]
    share = np.mean([record["finding"] == "mass" for record in drawn])
    assert abs(share - np.mean([record["finding"] == "mass" for record in records])) < 0.05
    ages = {f: np.mean([r["age"] for r in drawn if r["finding"] == f]) for f in ("none", "mass")}
    assert abs(ages["mass"] - 70) < 3
    assert abs(ages["none"] - 45) < 3


def test_outcomes_follow_the_volume_by_the_law_of_the_cohort() -> None:
    records, volumes = cohort()
    law = fit_law(COLUMNS, records, volumes)
    rng = np.random.default_rng(2)
    condition = {"age": 70, "finding": "mass"}
    small, large = (
        np.array([draw_outcomes(law, COLUMNS, condition, np.array([v]), rng)["marker"] for _ in range(300)])
        for v in (3000.0, 7000.0)
    )
    assert abs((large.mean() - small.mean()) / 4 - 3) < 0.3  # 3 per mL
    assert 0.3 < small.std() < 0.8


def test_no_patient_is_drawn_again() -> None:
    records, volumes = cohort(40)
    law = fit_law(COLUMNS, records, volumes)
    known = {record["marker"] for record in records}
    rng = np.random.default_rng(3)
    conditions = [draw_conditions(law, COLUMNS, rng) for _ in range(200)]
    markers = [draw_outcomes(law, COLUMNS, c, np.array([4000.0]), rng)["marker"] for c in conditions]
    assert not known & set(markers)


def test_a_record_without_columns_is_empty() -> None:
    law = fit_law((), [{}, {}, {}], np.zeros((3, 1)))
    assert draw_conditions(law, (), np.random.default_rng(0)) == {}
    assert from_json(ClinicalLaw, to_json(law)) == law


def test_a_value_that_no_patient_has_is_refused() -> None:
    records, volumes = cohort()
    healthy = [(r, v) for r, v in zip(records, volumes, strict=True) if r["finding"] == "none"]
    law = fit_law(COLUMNS, [r for r, _ in healthy], np.array([v for _, v in healthy]))
    with pytest.raises(ConfigError, match="seen in no training case"):
        draw_conditions(law, COLUMNS, np.random.default_rng(0), {"finding": "mass"})


def test_an_outcome_of_proportional_error_is_drawn_positive_and_skewed_as_patients_are() -> None:
    rng = np.random.default_rng(4)
    volumes = np.where(rng.random(400) < 0.5, rng.uniform(2000, 30000, 400), 0)
    medians = 0.06 + 0.02 * volumes / 1000
    values = medians * np.exp(rng.normal(scale=0.2, size=400))
    records = [{"age": 50, "finding": "none", "marker": float(value)} for value in values]
    law = fit_law(COLUMNS, records, volumes[:, None])
    assert law.proportional == ("marker",)
    condition = {"age": 50, "finding": "none"}
    for volume, median in ((0.0, 0.06), (20000.0, 0.46)):
        drawn = np.array(
            [draw_outcomes(law, COLUMNS, condition, np.array([volume]), rng)["marker"] for _ in range(600)]
        )
        assert drawn.min() > 0
        assert abs(np.median(drawn) / median - 1) < 0.12
        assert abs(np.log(drawn).std() - 0.2) < 0.03


def test_an_outcome_that_the_mask_decides_stays_exact_and_one_with_zeros_is_added() -> None:
    records, volumes = cohort()
    exact = [
        record | {"marker": 1 + 2 * volume / 1000}
        for record, volume in zip(records, volumes[:, 0], strict=True)
    ]
    law = fit_law(COLUMNS, exact, volumes)
    drawn = draw_outcomes(law, COLUMNS, exact[0], np.array([5000.0]), np.random.default_rng(5))
    assert abs(drawn["marker"] - 11) < 0.3
    zeros = [record | {"marker": max(0.0, record["marker"] - 2.5)} for record in records]
    assert fit_law(COLUMNS, zeros, volumes).proportional == ()
