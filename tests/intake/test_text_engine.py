import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthdata.intake.text_engine import text_engine

READS = """
import numpy as np
from synthdata.intake.text_engine import text_engine

engine = text_engine()
assert engine is not None
engine.lines(np.zeros((96, 96), dtype=np.uint8))
"""


def test_the_engine_tells_nobody_that_it_runs_and_leaves_no_mark_of_the_machine(tmp_path: Path) -> None:
    if text_engine() is None:
        pytest.skip("pip install rapidocr-onnxruntime")
    quiet = {"CI", "ORT_DISABLE_TELEMETRY"}  # either of them would silence it by itself
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name not in quiet} | home
    told = {**environment, "ORT_LOGGING_LEVEL": "4"}
    subprocess.run([sys.executable, "-c", READS], env=told, check=True)
    assert sorted(tmp_path.iterdir()) == []
    loud = [sys.executable, "-c", "import onnxruntime"]
    subprocess.run(loud, env=told, check=True)
    if not list(tmp_path.iterdir()):
        pytest.skip(
            "this onnxruntime tells nothing by itself: install onnxruntime>=1.29 to see the difference"
        )
