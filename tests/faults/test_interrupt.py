"""Ctrl-C in the middle of the demo."""

import signal
from pathlib import Path

import pytest

from tests.faults.processes import started
from tests.tiny import House


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_with_130_and_a_sentence(tmp_path: Path) -> None:
    house = House(root=tmp_path)
    house.write_spec(patients=200)
    command = ["-m", "pipelines.demo", "--dataset", "tiny-head"]
    with started(*command, environment=house.environment) as demo:
        demo.wait_until(lambda: any((tmp_path / "sources").rglob("*.dcm")))
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 130, demo.said()
        words = demo.said()
    assert "stopped; the next run goes on where this one was" in words
    assert "Traceback" not in words
    assert not list((tmp_path / "sources").glob("*.done.json"))
