"""The promises of the loop hold for every family."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from synthdata.errors import TrainingError
from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine
from synthdata.records import TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.spec import DatasetSpec
from synthdata.spec_generator import Translation
from synthdata.storage import ObjectStore, open_store
from synthdata.training import train
from tests.builders import ball_set, ball_spec

STOP_AFTER = 2


def spec_of(family: str) -> DatasetSpec:
    if family != "translation":
        return ball_spec(family=family, seen=32)
    enhanced = Translation(source=("T1w",), target=("T1w",), degradation="in_plane")
    return replace(
        ball_spec(seen=32),
        generator=replace(ball_spec(seen=32).generator, family=family),
        translation=enhanced,
    )


def discs(store: ObjectStore) -> TrainingSet:
    return ball_set(store, cases=6, shape=(1, 16, 16))


@pytest.mark.parametrize("family", ["vae", "gan", "plain-flow", "translation"])
def test_a_stopped_run_resumes_bit_for_bit_and_its_cases_are_drawn(family: str, tmp_path: Path) -> None:
    spec, private, other = spec_of(family), open_store(str(tmp_path / "a")), open_store(str(tmp_path / "b"))
    left = iter([False] * (STOP_AFTER - 1) + [True])
    with pytest.raises(TrainingError, match="run it again"):
        train(spec, discs(private), private, should_stop=lambda: next(left))
    training_set = discs(private)
    resumed = train(spec, training_set, private)
    assert resumed.sha256 == train(spec, discs(other), other).sha256
    plan = plan_samples(spec, resumed, training_set, watermark_key=None)
    drawn = generate(plan, resumed, training_set, private, engine=LocalEngine(), watermark_key=None)
    cases = list(read_cases(private, drawn))
    assert len({case.case_id for case in cases}) == 10
    assert torch.tensor([float(case.image.std()) for case in cases]).min() > 0
