from dataclasses import replace

import pytest

from assets.factory import dataset_assets
from assets.translation import check_that_it_translates, translation_stage
from synthdata.errors import ConfigError, GateError
from synthdata.generation import plan_samples
from synthdata.records import Checkpoint
from synthdata.records.reports import Outcome
from synthdata.records.translation import TranslationReport
from synthdata.spec import DatasetSpec, Split
from synthdata.spec_generator import Translation
from synthdata.storage import ObjectStore
from tests.builders import ball_set, ball_spec

CHECKPOINT = Checkpoint(
    dataset="balls",
    family="translation",
    config="{}",
    key="x",
    sha256="0",
    size_bytes=1,
    train_key="k",
    code_version="1",
    seen=1,
)


def spec_of(*, draw: bool = True) -> DatasetSpec:
    spec = ball_spec()
    return replace(
        spec,
        generator=replace(spec.generator, family="translation"),
        translation=Translation(source=("T1w",), target=("T1w",), degradation="in_plane", draw=draw),
    )


def test_a_dataset_that_draws_cases_needs_control_patients() -> None:
    alone = Split(train=0.5, control=0, test=0.5)
    assert replace(spec_of(draw=False), split=alone).split.control == 0
    with pytest.raises(ConfigError, match=r"split\.control is 0"):
        replace(spec_of(), split=alone)


def report(outcome: Outcome) -> TranslationReport:
    return TranslationReport(
        dataset="balls",
        checkpoint="c",
        training_set="t",
        outcome=outcome,
        reasons=("T1w/mae/spline: the difference may be zero",),
        values={},
        gains={},
        coverage={},
    )


def test_a_dataset_that_translates_has_one_report_and_one_blocking_check_more() -> None:
    plain, translating = dataset_assets(ball_spec()), dataset_assets(spec_of())
    more = {key for a in translating.assets for key in a.keys} - {key for a in plain.assets for key in a.keys}
    assert {key.path[-1] for key in more} == {"translation"}
    assert len(translating.checks) == len(plain.checks) + 1


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE"])
def test_cases_are_planned_only_after_a_translation_that_beats_its_baselines(
    store: ObjectStore, outcome: Outcome
) -> None:
    spec, prepared = spec_of(), ball_set(store, cases=2, shape=(1, 8, 8))
    stage = translation_stage(spec)
    with pytest.raises(GateError, match="missing"):
        check_that_it_translates(spec, prepared, CHECKPOINT, store)
    stage.keep(store, report(outcome), (prepared, CHECKPOINT))
    with pytest.raises(GateError, match="may be zero"):
        check_that_it_translates(spec, prepared, CHECKPOINT, store)
    stage.keep(store, report("PASS"), (prepared, CHECKPOINT))
    check_that_it_translates(spec, prepared, CHECKPOINT, store)


def test_a_dataset_that_only_translates_plans_no_cases(store: ObjectStore) -> None:
    prepared = ball_set(store, cases=2, shape=(1, 8, 8))
    with pytest.raises(ConfigError, match="draws no cases"):
        plan_samples(spec_of(draw=False), CHECKPOINT, prepared, watermark_key=None)
