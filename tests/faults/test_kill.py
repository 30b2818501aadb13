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
STEPS = 40


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
    house.write_spec(patients=24, seen=8 * STEPS, cases=40)
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


def test_a_killed_generation_goes_on_without_loss_or_doubles(trained: House, tmp_path: Path) -> None:
    undisturbed, killed = copy_of(trained, tmp_path / "a"), copy_of(trained, tmp_path / "b")
    finish(undisturbed, "generate")
    kill_when(start(killed, "generate"), lambda: len(receipts(killed)) >= 2)
    committed = receipts(killed)
    assert 2 <= len(committed) < 10
    finish(killed, "generate")
    after = receipts(killed)
    assert len(after) == 10
    assert {name: after[name] for name in committed} == committed
    asset = "tiny-head/generation/cases"
    straight, resumed = (latest_record(house.private, asset, CaseSet) for house in (undisturbed, killed))
    assert digest_of(resumed) == digest_of(straight)
