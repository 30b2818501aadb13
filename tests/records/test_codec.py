import json

import pytest

from synthdata.errors import ConfigError, RecordError
from synthdata.records import ColumnSpec, Estimate, Grid, IntakeReport, digest_of, from_json, to_json


def test_a_record_survives_json_and_keeps_its_digest() -> None:
    """A whole number in a float field must not change the name of the record."""
    grid = Grid(shape_zyx=(2, 3, 4), spacing_mm=(1, 1, 2))
    again = from_json(Grid, to_json(grid))
    assert again == grid
    assert digest_of(again) == digest_of(grid)


def test_nan_is_refused() -> None:
    with pytest.raises(RecordError, match="finite"):
        to_json(ColumnSpec(name="age", kind="number", minimum=float("nan"), maximum=None))


def test_another_kind_or_version_is_refused() -> None:
    with pytest.raises(RecordError, match=r"Grid/1.*expected.*Estimate/1"):
        from_json(Estimate, to_json(Grid(shape_zyx=(1, 1, 1), spacing_mm=(1, 1, 1))))


def test_an_unknown_field_is_refused() -> None:
    document = json.loads(to_json(Grid(shape_zyx=(1, 1, 1), spacing_mm=(1, 1, 1))))
    with pytest.raises(RecordError, match="unknown fields"):
        from_json(Grid, json.dumps(document | {"more": 1}).encode())


def test_an_estimate_has_an_interval() -> None:
    with pytest.raises(ConfigError, match="low <= high"):
        Estimate(value=1, low=2, high=1, n=3)


def test_intake_counts_must_add_up() -> None:
    from synthdata.records import CaseSet

    empty = CaseSet(
        dataset="d",
        origin="real",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels={},
        columns=(),
        shards=(),
    )
    with pytest.raises(ConfigError, match="add up"):
        IntakeReport(
            dataset="d",
            inventory="",
            seen=3,
            accepted=1,
            quarantined=1,
            refused=0,
            patients=0,
            cases=empty,
            reasons=(),
        )
