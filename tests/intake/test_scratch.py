"""Scans in a temporary folder do not outlive a killed process for longer than until the next one."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from synthdata.storage.scratch import PREFIX, scratch_folder

WAITS = """
import sys, time
from pathlib import Path
from synthdata.storage.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "scan.dcm").write_bytes(b"1")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def waiting(temporary: Path) -> tuple[subprocess.Popen, Path]:
    """A process with such a folder, and the folder."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, env=environment)
    return process, Path(process.stdout.readline().decode().strip())


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(temporary) -> None:
    killed, left = waiting(temporary)
    living, kept = waiting(temporary)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "scan.dcm").exists()
        with scratch_folder() as own:
            assert not left.exists()
            assert (kept / "scan.dcm").exists()
            assert oct(own.stat().st_mode)[-3:] == "700"
        assert not own.exists()
    finally:
        living.kill()
        living.wait()
        for process in (killed, living):
            process.stdout.close()


def test_a_folder_that_is_just_being_made_and_one_of_somebody_else_stay(temporary) -> None:
    young, old, foreign = (temporary / f"{PREFIX}{name}" for name in ("young", "old", "foreign"))
    for folder in (young, old):
        folder.mkdir()
    foreign.symlink_to("/")
    os.utime(old, (time.time() - 3600,) * 2)
    with scratch_folder():
        assert (young.exists(), old.exists(), foreign.is_symlink()) == (True, False, True)
