"""The attack of somebody who has the checkpoint: sees a generator that knows its patients by heart, and no other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from synthdata.errors import ConfigError
from synthdata.models.flow import FlowGenerator
from synthdata.models.flow_config import FlowConfig
from synthdata.models.nets import UNetConfig
from synthdata.models.protocol import Geometry
from synthdata.privacy.findings import combined_outcome, loss_test
from synthdata.privacy.loss_attack import LossAttack, loss_attack, losses_of, patient_scores
from synthdata.privacy.membership import auc_by_score_test
from synthdata.privacy.reported import checkpoint_tests
from synthdata.privacy.reviews import true_positives_at
from synthdata.records import Checkpoint, Estimate, PrivacyTest, TrainingSet
from synthdata.spec import Gates
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


def attack(split: Split, model: FlowGenerator) -> PrivacyTest:
    private, training_set = split
    members, others = (
        patient_scores(losses_of(model, model, training_set, group, private))
        for group in (training_set.train, training_set.control)
    )
    assert len(members) == len(others) == PATIENTS
    found = LossAttack(
        auc=auc_by_score_test(members, others),
        recognised=true_positives_at(members, others),
        p_value=0.5,
        others=len(others),
    )
    return loss_test(found, Gates())


def test_a_generator_that_never_saw_either_group_does_not_fail(split: Split) -> None:
    model, _, _ = fitted(split, "test")
    found = attack(split, model)
    assert found.outcome in {"PASS", "INCONCLUSIVE"}
    assert found.statistic == pytest.approx(0.5, abs=0.25)


def test_an_overtrained_generator_fails(split: Split) -> None:
    model, items, conditions = fitted(split, "train")
    optimizer, rng = torch.optim.Adam(model.parameters(), lr=3e-3), torch.Generator().manual_seed(0)
    model.train()
    for _ in range(500):
        optimizer.zero_grad()
        model.loss(items, conditions, rng).backward()
        optimizer.step()
    found = attack(split, model.eval())
    assert found.outcome == "FAIL", found.explanation
    assert "knows its patients by heart" in found.explanation
    assert combined_outcome((found,)) == "FAIL"


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
    ((test,), notes) = checkpoint_tests(checkpoint, training_set, private, Gates())
    assert notes == ()
    assert test.name == "loss_attack"
    assert test.threshold == 0.75
    assert "at 1 % of false alarms" in test.explanation


def test_a_family_without_such_losses_and_a_missing_checkpoint_are_told(
    split: Split, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    private, training_set = split
    tests, notes = checkpoint_tests(replace(checkpoint, family="gan"), training_set, private, Gates())
    assert tests == ()
    assert "Family gan tells no losses" in notes[0]
    assert checkpoint_tests(None, training_set, open_store(str(tmp_path)), Gates())[0] == ()


def told(auc: float, low: float, high: float) -> PrivacyTest:
    estimate = Estimate(value=auc, low=low, high=high, level=0.98, n=50)
    return loss_test(LossAttack(auc=estimate, recognised=estimate, p_value=1e-4, others=50), Gates())


def test_the_interval_decides_against_the_bound_and_what_is_unclear_does_not_block() -> None:
    assert told(0.9, 0.76, 0.97).outcome == "FAIL"
    assert told(0.8, 0.7, 0.9).outcome == "INCONCLUSIVE"
    assert told(0.6, 0.5, 0.75).outcome == "PASS"
    with pytest.raises(ConfigError, match=r"checkpoint_auc is 1.0, expected 0.5"):
        Gates(checkpoint_auc=1.0)


def test_scores_that_do_not_overlap_have_an_interval_and_few_of_them_show_nothing() -> None:
    few = auc_by_score_test(np.arange(8.0) + 10, np.arange(8.0))
    many = auc_by_score_test(np.arange(40.0) + 50, np.arange(40.0))
    assert few.value == few.high == many.high == 1
    assert few.low < 0.75 < many.low < 1


def test_the_limit_of_the_area_is_where_the_score_test_stops_rejecting() -> None:
    rng = np.random.default_rng(3)
    found = auc_by_score_test(rng.normal(1.5, size=30), rng.normal(size=40))
    for area in (found.low, found.high):
        shape = (1 - area) / (2 - area) + area / (1 + area)
        error = np.sqrt(area * (1 - area) * (1 + 34 * shape) / (30 * 40))
        assert abs(found.value - area) / error == pytest.approx(2.3263, rel=1e-4)


def test_a_bound_that_holds_exactly_is_rejected_as_rarely_as_the_level_says() -> None:
    """Half of the members known by heart, the others not at all: the area is 0.75."""
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(1000):
        members = rng.normal(size=29) + 100 * (rng.random(29) < 0.5)
        rejected += auc_by_score_test(members, rng.normal(size=29)).low > 0.75
    assert rejected / 1000 <= 0.02
