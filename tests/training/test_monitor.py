from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from synthdata.errors import ConfigError
from synthdata.models.build import load_generator
from synthdata.models.flow import FlowGenerator
from synthdata.models.translation import TranslationGenerator
from synthdata.spec import Translation
from synthdata.storage import open_store
from synthdata.training import train
from synthdata.training.data import load_training_cases
from synthdata.training.monitor import nearer_share, part_for_monitor
from synthdata.training.schedule import learning_rate
from tests.builders import ball_set, ball_spec


def test_fresh_samples_are_as_near_to_either_part_and_copies_are_not() -> None:
    rng = torch.Generator().manual_seed(0)
    train_part, held = torch.randn((40, 8), generator=rng), torch.randn((20, 8), generator=rng)
    fresh = torch.randn((400, 8), generator=rng)
    copies = train_part.repeat(10, 1) + 0.05 * torch.randn((400, 8), generator=rng)
    assert nearer_share(fresh, train_part, held, rng) == pytest.approx(0.5, abs=0.15)
    assert nearer_share(copies, train_part, held, rng) > 0.7


def test_whole_patients_are_watched_and_too_few_are_refused(tmp_path: Path) -> None:
    private = open_store(str(tmp_path))
    cases = load_training_cases(private, ball_set(private, shape=(1, 16, 16)))
    learnt, watched = part_for_monitor(cases, 0.4)
    assert len(watched) == 5
    assert sorted(np.concatenate([learnt, watched]).tolist()) == list(range(12))
    with pytest.raises(ConfigError, match=r"generator\.monitor"):
        part_for_monitor(cases, 0.1)


def test_a_generator_that_replays_patients_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = open_store(str(tmp_path))
    training_set = ball_set(private, cases=20, shape=(1, 16, 16))
    cases = load_training_cases(private, training_set)
    learnt, _ = part_for_monitor(cases, 0.5)
    images, fields = cases.images[learnt], cases.fields[learnt]

    def replay(
        self: FlowGenerator, conditions: torch.Tensor, seeds: list[int], **_: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [seed % len(images) for seed in seeds]
        return images[rows], fields[rows]

    monkeypatch.setattr("synthdata.training.monitor.SUBSETS", 4)
    spec = ball_spec(seen=96, augment=0, monitor=0.5)
    monkeypatch.setattr(FlowGenerator, "sample", replay)
    done = train(spec, training_set, private)
    assert done.monitor is not None
    assert done.monitor["stopped_early"] == 1
    assert done.monitor["monitor_nearer_to_train"] > 0.95
    assert done.seen < 96


def test_a_constant_rate_stays_and_a_cosine_falls() -> None:
    assert learning_rate(1.0, 99, 100, schedule="constant") == 1.0
    assert learning_rate(1.0, 99, 100) < 0.02
    assert learning_rate(1.0, 0, 100, schedule="constant") < 1.0  # warm-up


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_translator_calibrates_its_spread_on_patients_it_did_not_learn_from(
    share: float, tmp_path: Path
) -> None:
    private = open_store(str(tmp_path))
    plain = ball_spec(seen=32, augment=0, monitor=share)
    enhanced = Translation(source=("T1w",), target=("T1w",), degradation="in_plane", draw=False)
    spec = replace(plain, generator=replace(plain.generator, family="translation"), translation=enhanced)
    training_set = ball_set(private, cases=12, shape=(1, 16, 16))
    ready = load_generator(train(spec, training_set, private), private)
    scale = cast("TranslationGenerator", ready.model).translator.spread_scale
    assert torch.isfinite(scale).all()
    assert bool((scale != 1).any()) == (share > 0)
