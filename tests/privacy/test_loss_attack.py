"""The attack of somebody who has the checkpoint: sees a generator that knows its patients by heart, and no other."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from synthdata.models.flow import FlowGenerator
from synthdata.models.flow_config import FlowConfig
from synthdata.models.nets import UNetConfig
from synthdata.models.protocol import Geometry
from synthdata.privacy.loss_attack import loss_attack, losses_of, patient_scores
from synthdata.privacy.membership import auc_with_interval
from synthdata.privacy.reported import checkpoint_tests
from synthdata.records import Checkpoint, TrainingSet
from synthdata.storage import ObjectStore, open_store
from synthdata.training import train
from synthdata.training.data import load_training_cases
from tests.builders import ball_set, ball_spec

SHAPE = (1, 16, 16)
PATIENTS = 24
SMALL = FlowConfig(
    patch=2,
    image_components=4,
    field_components=4,
    tissues=0,
    network=UNetConfig(widths=(48, 48), blocks=(1, 1), heads=2),
    refiner=(8, 8),
)
Split = tuple[ObjectStore, TrainingSet]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    private = open_store(str(tmp_path_factory.mktemp("private")))
    return private, ball_set(private, cases=PATIENTS, shape=SHAPE)


def fitted(split: Split, group: str) -> tuple[FlowGenerator, Tensor, Tensor]:
    """A generator with codes and laws of one group and an untrained network, and the items of the group."""
    private, training_set = split
    cases = load_training_cases(private, replace(training_set, train=getattr(training_set, group)))
    torch.manual_seed(0)
    geometry = Geometry(grid=training_set.grid, channels=1, labels=1, conditions=cases.conditions.shape[1])
    model = FlowGenerator(SMALL, geometry)
    model.fit_codec(cases.images, cases.fields)
    items = model.encode(cases.images, cases.fields)
    model.fit_law(items, cases.conditions, torch.arange(len(items)))
    return model.eval(), items, cases.conditions


def attack(split: Split, model: FlowGenerator):
    private, training_set = split
    members, others = (
        patient_scores(losses_of(model, model, training_set, group, private))
        for group in (training_set.train, training_set.control)
    )
    assert len(members) == len(others) == PATIENTS
    return auc_with_interval(members, others)


def test_a_generator_that_never_saw_either_group_cannot_tell_them_apart(split: Split) -> None:
    model, _, _ = fitted(split, "test")
    auc = attack(split, model)
    assert auc.low < 0.5 < auc.high


def test_an_overtrained_generator_recognises_its_patients(split: Split) -> None:
    model, items, conditions = fitted(split, "train")
    optimizer, rng = torch.optim.Adam(model.parameters(), lr=3e-3), torch.Generator().manual_seed(0)
    model.train()
    for _ in range(250):
        optimizer.zero_grad()
        model.loss(items, conditions, rng).backward()
        optimizer.step()
    assert attack(split, model.eval()).low > 0.75


def test_each_loss_is_that_of_its_case_alone_and_the_same_each_time(split: Split) -> None:
    model, items, conditions = fitted(split, "train")
    whole = model.case_losses(items[:5], conditions[:5], (0, 1))
    alone = model.case_losses(items[3:4], conditions[3:4], (0, 1))
    assert torch.allclose(whole[3:4], alone, rtol=1e-4)
    assert (whole > 0).all()
    assert not torch.allclose(whole[3], whole[2])


@pytest.fixture(scope="module")
def checkpoint(split: Split) -> Checkpoint:
    private, training_set = split
    return train(ball_spec(seen=64, augment=0), training_set, private)


def test_the_attack_reads_a_checkpoint_and_is_reported_with_intervals(
    split: Split, checkpoint: Checkpoint
) -> None:
    private, training_set = split
    found = loss_attack(checkpoint, training_set, private)
    assert found is not None
    assert found.auc.low <= found.auc.value <= found.auc.high
    assert found.auc.n == found.others == PATIENTS
    ((test,), notes) = checkpoint_tests(checkpoint, training_set, private)
    assert notes == ()
    assert test.name == "loss_attack"
    assert test.outcome in {"PASS", "INCONCLUSIVE"}
    assert "at 1 % of false alarms" in test.explanation


def test_a_family_without_such_losses_and_a_missing_checkpoint_are_told(
    split: Split, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    private, training_set = split
    tests, notes = checkpoint_tests(replace(checkpoint, family="gan"), training_set, private)
    assert tests == ()
    assert "Family gan tells no losses" in notes[0]
    assert checkpoint_tests(None, training_set, open_store(str(tmp_path)))[0] == ()
