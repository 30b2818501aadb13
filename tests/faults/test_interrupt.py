"""Ctrl-C in the middle of the demo."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.places import ROOT
from tests.tiny import House

PATIENCE_SECONDS = 300.0


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_with_130_and_a_sentence(tmp_path: Path) -> None:
    house = House(root=tmp_path)
    house.write_spec(patients=200)
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.demo", "--dataset", "tiny-head"],
        cwd=ROOT,
        env=os.environ | house.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not list((tmp_path / "sources").rglob("*.dcm")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 130, output + errors
    assert "stopped; the next run goes on where this one was" in output
    assert "Traceback" not in output + errors
    assert not list((tmp_path / "sources").glob("*.done.json"))
