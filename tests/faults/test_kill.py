"""`kill -9` in the middle: the next run goes on, loses nothing, doubles nothing, and ends with the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.places import ROOT
from pipelines.resources.records import latest_record
from synthdata.records import CaseSet, Checkpoint, digest_of
from tests.tiny import House

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 900.0  # a busy machine is no fault
STEPS = 24  # of training
SHARDS = 10


def start(house: House, stage: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.driver", str(house.root), stage],
        cwd=ROOT,
        env=os.environ | house.environment,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(house: House, stage: str) -> None:
    with start(house, stage) as process:
        try:
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, errors[-3000:]


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Kill the process and all its children as soon as something is reached; it must not have ended before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with process:
        try:
            while not reached() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it could be killed"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


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
    kill_when(start(killed, "train"), lambda: training_step(killed) >= STEPS // 4)
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
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | killed.environment,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not list((killed.root / "private").rglob("resume.safetensors")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            step = step_process(process.pid)
            assert step is not None
            os.kill(step, signal.SIGKILL)
            _, log = process.communicate(timeout=PATIENCE_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, log[-3000:]
    assert "STEP_UP_FOR_RETRY" in log
    asset = "tiny-head/model/checkpoint"
    straight, resumed = (latest_record(house.private, asset, Checkpoint) for house in (undisturbed, killed))
    assert resumed.sha256 == straight.sha256


def test_a_killed_generation_goes_on_without_loss_or_doubles(trained: House, tmp_path: Path) -> None:
    undisturbed, killed = copy_of(trained, tmp_path / "a"), copy_of(trained, tmp_path / "b")
    finish(undisturbed, "generate")
    kill_when(start(killed, "generate"), lambda: len(receipts(killed)) >= 2)
    committed = receipts(killed)
    assert 2 <= len(committed) < SHARDS
    finish(killed, "generate")
    after = receipts(killed)
    assert len(after) == SHARDS
    assert {name: after[name] for name in committed} == committed
    asset = "tiny-head/generation/cases"
    straight, resumed = (latest_record(house.private, asset, CaseSet) for house in (undisturbed, killed))
    assert digest_of(resumed) == digest_of(straight)
