import numpy as np
import pytest

from synthdata.errors import ConfigError
from synthdata.privacy.clinical import gower, table_findings, table_risks, wilson
from synthdata.records import ColumnSpec

COLUMNS = (
    ColumnSpec(name="age", kind="integer"),
    ColumnSpec(name="sex", kind="category", values=("F", "M")),
    ColumnSpec(name="marker", kind="number", role="outcome"),
    ColumnSpec(name="weight", kind="number", role="outcome"),
)


def people(rng: np.random.Generator, count: int) -> list[dict[str, float | str | None]]:
    return [
        {
            "age": int(rng.integers(20, 90)),
            "sex": str(rng.choice(["F", "M"])),
            "marker": float(rng.normal(-5, 2)),
            "weight": float(rng.normal(70, 12)),
        }
        for _ in range(count)
    ]


def test_a_table_of_strangers_has_no_risk_and_a_table_of_training_patients_has_all(rng) -> None:
    train, control, strangers = (people(rng, 150) for _ in range(3))
    clean = table_risks(train, control, strangers, COLUMNS, seed=1)
    leaked = table_risks(train, control, train, COLUMNS, seed=1)
    assert {risk.name for risk in leaked} >= {"linkability", "inference of age", "singling_out_multivariate"}
    assert {risk.name: risk.risk.low for risk in clean if risk.risk.low > 0.05} == {}
    by_name = {risk.name: risk.risk.value for risk in leaked}
    assert by_name["linkability"] > 0.8
    assert by_name["inference of marker"] > 0.8
    assert by_name["singling_out_multivariate"] > 0.5


def test_a_negative_guess_is_no_success_by_its_sign(rng) -> None:
    """Dividing by a signed guess, as is done elsewhere, counts every negative guess as right."""
    train, control, strangers = (people(rng, 150) for _ in range(3))
    risk = next(
        r for r in table_risks(train, control, strangers, COLUMNS, seed=1) if r.name == "inference of marker"
    )
    assert risk.attack.value < 0.3


def test_the_same_seed_gives_the_same_risks(rng) -> None:
    groups = [people(rng, 40) for _ in range(3)]
    assert table_risks(*groups, COLUMNS, seed=3) == table_risks(*groups, COLUMNS, seed=3)


def test_the_interval_of_wilson_solves_its_equation() -> None:
    found = wilson(7, 50)
    for end in (found.low, found.high):
        assert abs(0.14 - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / 50), rel=1e-5)
    assert wilson(0, 20).low == 0


def test_distances_of_gower_count_unknown_values_once() -> None:
    a = np.array([[1.0, 10.0], [np.nan, 10.0]])
    b = np.array([[2.0, 20.0], [np.nan, 10.0]])
    want = [[(1 + 0.5) / 2, (1 + 0) / 2], [(1 + 0.5) / 2, 0]]
    assert gower(a, b, np.array([True, False]), np.array([1.0, 20.0])) == pytest.approx(np.array(want))


def test_exact_matches_rare_categories_and_small_classes_are_counted(rng) -> None:
    train, control, made = (people(rng, 40) for _ in range(3))
    made[0], made[1] = dict(train[3]), dict(control[5])
    made[2] = {**made[2], "sex": "X", "age": 130}
    found = table_findings(train, control, made, COLUMNS)
    assert (found.exact_train, found.exact_control, found.smallest_class) == (1, 1, 1)
    assert found.rare == ("sex X",)


def test_a_table_that_cannot_be_attacked_is_refused(rng) -> None:
    few = people(rng, 9)
    with pytest.raises(ConfigError, match="10 records"):
        table_risks(few, few, few, COLUMNS, seed=0)
