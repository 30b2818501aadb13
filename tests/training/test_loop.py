import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synthdata.errors import TrainingError
from synthdata.models.flow import FlowGenerator
from synthdata.records import Checkpoint, from_json, to_json
from synthdata.records.parquet import commit_shard, commit_shards
from synthdata.storage import ObjectStore, keys, open_store
from synthdata.training import loop, train
from tests.builders import ball_case, ball_set, ball_spec


@pytest.fixture
def private(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "private"))


class StopAfter:
    """Asks a run to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def test_a_stopped_run_resumes_bit_for_bit(private: ObjectStore, tmp_path: Path) -> None:
    training_set = ball_set(private)
    with pytest.raises(TrainingError, match="run it again"):
        train(ball_spec(), training_set, private, should_stop=StopAfter(3))
    resumed = train(ball_spec(), training_set, private)
    other = open_store(str(tmp_path / "other"))
    whole = train(ball_spec(), ball_set(other), other)
    assert resumed.sha256 == whole.sha256
    assert resumed == whole


def test_a_finished_run_is_not_trained_again(private: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    training_set = ball_set(private)
    first = train(ball_spec(), training_set, private)
    monkeypatch.setattr(loop, "load_training_cases", lambda *_: pytest.fail("it trains again"))
    assert train(ball_spec(), training_set, private) == first


def test_the_loss_falls_and_the_record_survives_json(private: ObjectStore) -> None:
    checkpoint = train(ball_spec(seen=400), ball_set(private), private)
    losses = [loss for _, loss in checkpoint.losses]
    assert np.mean(losses[-15:]) < 0.9 * np.mean(losses[:15])  # the Gaussian law is a good start
    assert from_json(Checkpoint, to_json(checkpoint)) == checkpoint


def test_control_and_test_patients_are_not_read(private: ObjectStore) -> None:
    training_set = ball_set(private)
    for ref in (*training_set.control.shards, *training_set.test.shards):
        private.delete(ref.key)
    assert train(ball_spec(), training_set, private).seen == 64


def test_a_loss_that_stays_infinite_fails_with_the_reason(
    private: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthdata.models.flow import FlowGenerator

    monkeypatch.setattr(FlowGenerator, "loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(TrainingError, match="lower generator"):
        train(ball_spec(), ball_set(private), private)


def test_one_infinite_loss_rewinds_and_goes_on(private: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthdata.models.flow import FlowGenerator

    true_loss, calls = FlowGenerator.loss, []

    def sometimes(self: FlowGenerator, *rest: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        value = true_loss(self, *rest)
        return value * float("inf") if len(calls) == 4 else value

    monkeypatch.setattr(FlowGenerator, "loss", sometimes)
    assert train(ball_spec(), ball_set(private), private).seen == 64
    assert len(calls) > 8  # it went back


def test_a_cut_state_is_refused(private: ObjectStore) -> None:
    training_set = ball_set(private)
    with pytest.raises(TrainingError):
        train(ball_spec(), training_set, private, should_stop=StopAfter(2))
    pointer = next(key for key in private.keys("datasets/balls/checkpoints/") if key.endswith("latest.json"))
    key = json.loads(private.read(pointer))["key"]
    private.write(key, private.read(key)[:-100])
    with pytest.raises(TrainingError, match="cannot resume"):
        train(ball_spec(), training_set, private)


def test_a_mask_value_that_the_spec_does_not_name_is_refused(private: ObjectStore) -> None:
    from dataclasses import replace

    training_set = ball_set(private)
    odd = ball_case(7, (8, 12, 8))
    mask = odd.mask.copy()
    mask[0, 0, 0] = 9
    ref = commit_shard(private, training_set.train, "prepared", [replace(odd, mask=mask)])
    broken = replace(
        training_set, train=replace(training_set.train, shards=(ref, *training_set.train.shards))
    )
    with pytest.raises(TrainingError, match=r"mask values \[9\]"):
        train(ball_spec(), broken, private)


def test_weights_are_safetensors_under_their_digest(private: ObjectStore) -> None:
    from safetensors.torch import load

    checkpoint = train(ball_spec(), ball_set(private), private)
    assert checkpoint.key == keys.checkpoint("balls", checkpoint.train_key, 8, "model.safetensors")
    assert all(torch.isfinite(value).all() for value in load(private.read(checkpoint.key)).values())


def test_the_law_is_told_whose_the_scans_are(private: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    training_set = ball_set(private)
    scans = [replace(ball_case(i, (8, 12, 8)), patient_id=f"P-{i % 6}") for i in range(12)]
    train_cases = replace(
        training_set.train, shards=commit_shards(private, training_set.train, "prepared", scans)
    )
    told: list[torch.Tensor] = []
    fit_law = FlowGenerator.fit_law

    def spy(model: FlowGenerator, items: torch.Tensor, conditions: torch.Tensor, case: torch.Tensor) -> None:
        told.append(case)
        fit_law(model, items, conditions, case)

    monkeypatch.setattr(FlowGenerator, "fit_law", spy)
    train(ball_spec(augment=0), replace(training_set, train=train_cases), private)
    assert sorted(told[0].tolist()) == sorted([*range(6)] * 2)


def test_the_model_card_names_a_label_that_too_few_patients_have(private: ObjectStore) -> None:
    training_set = ball_set(private)
    members = []
    for index in range(12):
        case = ball_case(index, (8, 12, 8))
        if index < 3:
            case.mask[0:2, 0:3, 0:3] = 2
        members.append(case)
    labels = {"ball": 1, "cyst": 2}
    two = replace(training_set.train, labels=labels, shards=())
    train_group = replace(two, shards=commit_shards(private, two, "cysts", members))
    checkpoint = train(ball_spec(), replace(training_set, labels=labels, train=train_group), private)
    card = private.read(checkpoint.previews["card"]).decode()
    assert "| never drawn | cyst: fewer than 8 training patients have it" in card
    plain = train(ball_spec(), training_set, private)
    assert "never drawn" not in private.read(plain.previews["card"]).decode()
