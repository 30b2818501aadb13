from dataclasses import fields, replace
from pathlib import Path

import pytest

from assets.sections import CODE, FIRST_READ_BY, READ_BY_NONE, STAGES, code_version, sections_digest
from synthdata.spec import DatasetSpec
from synthdata.spec_generator import GeneratorSpec
from tests.tiny import House


@pytest.fixture
def spec(tmp_path: Path) -> DatasetSpec:
    return House(root=tmp_path).write_spec()


def changed_stages(before: DatasetSpec, after: DatasetSpec) -> set[str]:
    return {stage for stage in STAGES if sections_digest(before, stage) != sections_digest(after, stage)}


def test_a_longer_training_runs_again_what_comes_after_the_preparation(spec: DatasetSpec) -> None:
    longer = replace(spec, generator=GeneratorSpec(seen=999))
    assert changed_stages(spec, longer) == {"model", "generation", "validation", "release"}


def test_a_stricter_gate_does_not_train_or_draw_again(spec: DatasetSpec) -> None:
    stricter = replace(spec, gates=replace(spec.gates, utility_ratio=0.99))
    assert changed_stages(spec, stricter) == {"validation", "release"}


def test_another_source_runs_everything_again(spec: DatasetSpec) -> None:
    assert changed_stages(spec, replace(spec, source=replace(spec.source, clinical="b.csv"))) == set(STAGES)


def test_a_new_owner_runs_nothing_again(spec: DatasetSpec) -> None:
    assert changed_stages(spec, replace(spec, owner="team:other")) == set()


def test_the_table_names_sections_which_exist() -> None:
    names = {field.name for field in fields(DatasetSpec)}
    assert set(FIRST_READ_BY) | READ_BY_NONE <= names
    assert set(CODE) == set(STAGES)


def test_stages_have_versions_of_their_own_code() -> None:
    assert len({code_version(stage) for stage in STAGES}) == len(STAGES)
