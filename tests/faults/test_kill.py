"""`kill -9` in the middle: the next run goes on, loses nothing, doubles nothing, and ends with the same bytes."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.resources.records import latest_record
from synthdata.records import CaseSet, Checkpoint, digest_of
from tests.faults.processes import started
from tests.tiny import House

pytestmark = pytest.mark.slow
STEPS = 24  # of training
SHARDS = 10


def finish(house: House, stage: str) -> None:
    with started(*driver(house, stage), environment=house.environment) as run:
        assert run.end() == 0, run.said()[-3000:]


def kill_when(house: House, stage: str, reached: Callable[[], bool]) -> None:
    with started(*driver(house, stage), environment=house.environment) as run:
        run.wait_until(reached)
        run.kill()


def driver(house: House, stage: str) -> list[str]:
    return ["-m", "tests.faults.driver", str(house.root), stage]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(root=tmp_path_factory.mktemp("house"))
    house.write_spec(patients=24, seen=8 * STEPS, cases=8 * SHARDS)
    finish(house, "prepare")
    return house


@pytest.fixture(scope="module")
def trained(prepared: House) -> House:
    finish(prepared, "train")
    return prepared


def copy_of(house: House, folder: Path) -> House:
    shutil.copytree(house.root, folder / "copy")
    return House(root=folder / "copy")


def training_step(house: House) -> int:
    """Step of the newest whole checkpoint of a run that has not ended."""
    for path in (house.root / "private" / "datasets").glob("*/checkpoints/*/latest.json"):
        document = json.loads(path.read_text())
        return int(document["state"]["step"]) if "state" in document else STEPS
    return 0


def receipts(house: House) -> dict[str, bytes]:
    folder = house.root / "private" / "datasets"
    return {path.name: path.read_bytes() for path in folder.glob("*/receipts/*/[0-9]*.json")}


def test_a_killed_training_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(
    prepared: House, tmp_path: Path
) -> None:
    undisturbed, killed = copy_of(prepared, tmp_path / "a"), copy_of(prepared, tmp_path / "b")
    finish(undisturbed, "train")
    kill_when(killed, "train", lambda: training_step(killed) >= STEPS // 4)
    reached = training_step(killed)
    assert STEPS // 4 <= reached < STEPS
    finish(killed, "train")
    asset = "tiny-head/model/checkpoint"
    straight, resumed = (latest_record(house.private, asset, Checkpoint) for house in (undisturbed, killed))
    assert resumed.sha256 == straight.sha256
    assert resumed.seen == straight.seen == 8 * STEPS


def step_process(run: int) -> int | None:
    """The process that the multiprocess executor has started for the step at work."""
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in path.read_text().splitlines() if line.startswith("PPid:"))
            command = path.with_name("cmdline").read_bytes()
        except (OSError, StopIteration):
            continue
        if int(parent.split()[1]) == run and b"multiprocessing.spawn" in command:
            return int(path.parent.name)
    return None


def test_a_killed_step_is_tried_again_by_its_job(prepared: House, tmp_path: Path) -> None:
    undisturbed, killed = copy_of(prepared, tmp_path / "a"), copy_of(prepared, tmp_path / "b")
    finish(undisturbed, "train")
    (killed.root / "home").mkdir(exist_ok=True)
    command = ["-m", "dagster", "job", "execute", "-m", "pipelines.definitions", "-j", "tiny_head__train"]
    with started(*command, environment=killed.environment) as run:
        run.wait_until(lambda: any((killed.root / "private").rglob("resume.safetensors")))
        step = step_process(run.process.pid)
        assert step is not None
        os.kill(step, signal.SIGKILL)
        assert run.end() == 0, run.said()[-3000:]
        log = run.said()
    assert "STEP_UP_FOR_RETRY" in log
    asset = "tiny-head/model/checkpoint"
    straight, resumed = (latest_record(house.private, asset, Checkpoint) for house in (undisturbed, killed))
    assert resumed.sha256 == straight.sha256


def test_a_killed_generation_goes_on_without_loss_or_doubles(trained: House, tmp_path: Path) -> None:
    undisturbed, killed = copy_of(trained, tmp_path / "a"), copy_of(trained, tmp_path / "b")
    finish(undisturbed, "generate")
    kill_when(killed, "generate", lambda: len(receipts(killed)) >= 2)
    committed = receipts(killed)
    assert 2 <= len(committed) < SHARDS
    finish(killed, "generate")
    after = receipts(killed)
    assert len(after) == SHARDS
    assert {name: after[name] for name in committed} == committed
    asset = "tiny-head/generation/cases"
    straight, resumed = (latest_record(house.private, asset, CaseSet) for house in (undisturbed, killed))
    assert digest_of(resumed) == digest_of(straight)
