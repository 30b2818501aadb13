from dataclasses import replace

import numpy as np
import pytest

from synthdata.records import ColumnSpec
from synthdata.records.reports import Subgroup
from synthdata.validation.gating_metrics import Measure
from synthdata.validation.subgroups import subgroups_of, worst_of

SEX = ColumnSpec(name="sex", kind="category", values=("F", "M"))
AGE = ColumnSpec(name="age_years", kind="number", unit="a", minimum=20, maximum=90)
ROLES = ("generated", "train", "test")


def cohort(n: int = 120, *, wrong: str = "", rare: str = "", absent: str = "") -> tuple[Subgroup, ...]:
    """One number per case, which generated cases of one sex get wrong."""
    rng = np.random.default_rng(3)
    sexes = {role: ["F" if i % 2 else "M" for i in range(n)] for role in ROLES}
    if rare:
        sexes["test"] = [rare if i < 5 else {"F": "M", "M": "F"}[rare] for i in range(n)]
    if absent:
        sexes[absent] = ["M"] * n
    values = {role: rng.normal(size=n) for role in ROLES}
    values["generated"] += [3.0 if sex == wrong else 0.0 for sex in sexes["generated"]]
    values["degraded"] = values["train"] + 3
    records = {
        role: [
            {"sex": sex, "age_years": float(age)}
            for sex, age in zip(said, rng.uniform(20, 90, n), strict=True)
        ]
        for role, said in sexes.items()
    }
    patients = {role: [f"{role}-{i}" for i in range(n)] for role in values}
    measure = Measure(
        name="mean",
        family="tissue",
        metric=lambda role, draw: abs(
            float(values[role][draw[role]].mean() - values["test"][draw["test"]].mean())
        ),
        lower_is_better=True,
    )
    picky = replace(measure, name="picky", more_than=1000)
    return subgroups_of([measure, picky], patients, records, (SEX, AGE), allowed=0.5, seed=0)


def by_name(found: tuple[Subgroup, ...]) -> dict[str, Subgroup]:
    return {subgroup.name: subgroup for subgroup in found}


def test_a_sound_generator_passes_in_every_subgroup() -> None:
    found = by_name(cohort())
    assert set(found) == {"sex F", "sex M", "age_years small", "age_years middle", "age_years large"}
    assert {subgroup.outcome for subgroup in found.values()} == {"PASS"}
    assert found["sex F"].cases == {"generated": 60, "train": 60, "test": 60, "degraded": 60}
    assert "1 of 2 metrics say nothing" in found["sex F"].told


def test_the_subgroup_that_a_generator_gets_wrong_fails_and_is_named() -> None:
    found = cohort(wrong="F")
    assert by_name(found)["sex F"].outcome == "FAIL"
    assert by_name(found)["sex F"].scores["tissue"].value == pytest.approx(1, abs=0.2)
    assert by_name(found)["sex M"].outcome == "PASS"
    assert worst_of(found).startswith("worst subgroup by median score: sex F in tissue")


def test_a_subgroup_with_too_few_cases_is_inconclusive_with_the_reason() -> None:
    found = by_name(cohort(rare="F"))["sex F"]
    assert found.outcome == "INCONCLUSIVE"
    assert found.told == "5 test cases of 5 patients, at least 12 are needed: nothing can be said"
    assert found.triples == ()
    assert worst_of([found]) == "nothing is known of subgroups sex F (5 test cases)"
    assert worst_of([]) == ""


@pytest.mark.parametrize("absent", ["generated", "test"])
def test_an_empty_class_is_inconclusive_and_named_beside_the_worst(absent: str) -> None:
    found = cohort(absent=absent)
    empty = by_name(found)["sex F"]
    assert (empty.outcome, empty.cases[absent]) == ("INCONCLUSIVE", 0)
    assert empty.told == f"0 {absent} cases of 0 patients, at least 12 are needed: nothing can be said"
    assert worst_of(found).startswith("worst subgroup by median score: ")
    assert worst_of(found).endswith(f"nothing is known of subgroups sex F (0 {absent} cases)")
