import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthdata.errors import ConfigError, GenerationError, IntegrityError
from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine, Task
from synthdata.generation.receipts import rejections
from synthdata.records import Case, CaseSet, Checkpoint, TrainingSet, digest_of, to_json
from synthdata.records.parquet import read_cases
from synthdata.spec import Sampling
from synthdata.storage import ObjectStore, open_store
from synthdata.training import train
from tests.builders import ball_set, ball_spec

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ObjectStore, TrainingSet, Checkpoint]:
    private = open_store(str(tmp_path_factory.mktemp("trained")))
    training_set = ball_set(private, cases=24)
    return private, training_set, train(ball_spec(seen=1000), training_set, private)


def drawn(
    trained: tuple[ObjectStore, TrainingSet, Checkpoint], sampling: Sampling, engine: object = None
) -> tuple[CaseSet, list[Case]]:
    private, training_set, checkpoint = trained
    plan = plan_samples(replace(ball_spec(), sampling=sampling), checkpoint, training_set, watermark_key=KEY)
    case_set = generate(
        plan, checkpoint, training_set, private, engine=engine or LocalEngine(), watermark_key=KEY
    )
    return case_set, list(read_cases(private, case_set))


def test_every_case_has_image_mask_record_and_a_synthetic_name(trained) -> None:
    case_set, cases = drawn(trained, Sampling(cases=10, steps=4, shard_size=4))
    assert [shard.cases for shard in case_set.shards] == [4, 4, 2]
    assert len({case.case_id for case in cases}) == 10
    assert all(case.case_id.startswith("SYN-") and case.image.dtype == np.int16 for case in cases)
    assert all(case.record["sex"] in {"F", "M"} and 20 <= case.record["age"] <= 90 for case in cases)
    assert np.mean([case.mask.any() for case in cases]) > 0.8


def test_the_second_run_draws_nothing_and_gives_the_same_set(trained) -> None:
    class Counting(LocalEngine):
        todo = 0

        def map(self, task: Task, todo):
            self.todo += len(todo)
            return super().map(task, todo)

    sampling = Sampling(cases=9, steps=2, shard_size=4, seed=5)
    first, _ = drawn(trained, sampling)
    engine = Counting()
    second, _ = drawn(trained, sampling, engine)
    assert engine.todo == 0
    assert first == second


def test_shards_in_any_order_have_the_same_bytes(trained, tmp_path: Path) -> None:
    class Backwards(LocalEngine):
        def map(self, task: Task, todo):
            return super().map(task, list(reversed(todo)))

    sampling = Sampling(cases=9, steps=2, shard_size=4, seed=6)
    first, _ = drawn(trained, sampling)
    private = trained[0]
    for key in list(private.keys("datasets/balls/receipts/")):
        private.delete(key)
    second, _ = drawn(trained, sampling, Backwards())
    assert first == second


def test_asked_counts_are_given(trained) -> None:
    sampling = Sampling(cases=6, steps=2, shard_size=4, seed=7, counts={"sex": {"F": 5, "M": 1}})
    _, cases = drawn(trained, sampling)
    assert [case.record["sex"] for case in cases] == ["F"] * 5 + ["M"]


def test_an_impossible_condition_is_refused(trained) -> None:
    with pytest.raises(ConfigError, match="expected values among"):
        drawn(trained, Sampling(cases=6, counts={"sex": {"X": 1}}))
    with pytest.raises(ConfigError, match="expected 0 to 6"):
        drawn(trained, Sampling(cases=6, counts={"sex": {"F": 7}}))


def test_the_outcome_follows_the_mask(trained) -> None:
    """marker = volume / 4 + noise in training; so it must be in what is drawn."""
    _, cases = drawn(trained, Sampling(cases=40, steps=4, shard_size=20, seed=8))
    volumes = np.array([case.mask.sum() for case in cases])
    markers = np.array([case.record["marker"] for case in cases])
    assert np.corrcoef(volumes, markers)[0, 1] > 0.8


def test_conditions_steer_the_image(trained) -> None:
    """Radius grows with age in training."""
    _, cases = drawn(trained, Sampling(cases=60, steps=4, shard_size=20, seed=9))
    ages = np.array([case.record["age"] for case in cases])
    volumes = np.array([case.mask.sum() for case in cases])
    assert np.corrcoef(ages, volumes)[0, 1] > 0.3


def test_tampered_weights_are_refused(trained) -> None:
    private, training_set, checkpoint = trained
    other = replace(checkpoint, sha256="0" * 64)
    plan = plan_samples(ball_spec(), other, training_set, watermark_key=None)
    with pytest.raises(IntegrityError):
        generate(plan, other, training_set, private, engine=LocalEngine(), watermark_key=None)


def test_records_of_two_runs_do_not_mix(trained) -> None:
    private, training_set, checkpoint = trained
    plan = plan_samples(ball_spec(), checkpoint, training_set, watermark_key=KEY)
    with pytest.raises(GenerationError, match="another checkpoint"):
        generate(
            plan, replace(checkpoint, seen=1), training_set, private, engine=LocalEngine(), watermark_key=KEY
        )
    with pytest.raises(GenerationError, match="watermark key"):
        generate(plan, checkpoint, training_set, private, engine=LocalEngine(), watermark_key=None)


def test_rejected_draws_are_counted(trained) -> None:
    private, training_set, checkpoint = trained
    sampling = Sampling(cases=8, steps=1, shard_size=8, seed=11)
    plan = plan_samples(replace(ball_spec(), sampling=sampling), checkpoint, training_set, watermark_key=None)
    generate(plan, checkpoint, training_set, private, engine=LocalEngine(), watermark_key=None)
    counts = rejections(private, plan)
    assert counts["kept_failing"] >= 0
    assert all(count >= 0 for count in counts.values())


KILLED = """
import sys
from pathlib import Path
from synthdata.generation import generate
from synthdata.generation.engines import LocalEngine
from synthdata.records import Checkpoint, SamplePlan, TrainingSet, from_json
from synthdata.storage import open_store

folder, store = Path(sys.argv[1]), open_store(sys.argv[2])
plan = from_json(SamplePlan, (folder / "plan.json").read_bytes())
checkpoint = from_json(Checkpoint, (folder / "checkpoint.json").read_bytes())
training_set = from_json(TrainingSet, (folder / "set.json").read_bytes())
tell = lambda done, total, message="": print(done, flush=True)
generate(plan, checkpoint, training_set, store, engine=LocalEngine(), watermark_key=None, progress=tell)
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_and_doubles_nothing(trained, tmp_path: Path) -> None:
    private, training_set, checkpoint = trained
    sampling = Sampling(cases=240, steps=8, shard_size=8, seed=12)
    plan = plan_samples(replace(ball_spec(), sampling=sampling), checkpoint, training_set, watermark_key=None)
    for name, record in {"plan": plan, "checkpoint": checkpoint, "set": training_set}.items():
        (tmp_path / f"{name}.json").write_bytes(to_json(record))
    (tmp_path / "run.py").write_text(textwrap.dedent(KILLED))
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path), private.url]
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        process.stdout.readline()
        process.stdout.readline()  # one shard is committed, the next is being drawn
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert kills == 3
    case_set = generate(plan, checkpoint, training_set, private, engine=LocalEngine(), watermark_key=None)
    ids = [case.case_id for case in read_cases(private, case_set)]
    assert len(ids) == len(set(ids)) == 240
    receipts = list(private.keys(f"datasets/balls/receipts/{digest_of(plan)}/"))
    assert len(receipts) == 30


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own deprecations
def test_ray_gives_the_same_bytes_as_one_process(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'synthdata[ray]'")
    from synthdata.generation.engines.ray import RayEngine

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    sampling = Sampling(cases=9, steps=2, shard_size=3, seed=13)
    local, _ = drawn(trained, sampling)
    private = trained[0]
    for key in list(private.keys("datasets/balls/receipts/")):
        private.delete(key)
    with_ray, _ = drawn(trained, sampling, RayEngine(workers=2))
    assert local == with_ray
