"""The script that takes out of the light install what the client never loads, on copies of the real packages."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synthdata.storage.folder import FolderStore

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs/examples/small_image.sh"
USE = """
import sys
from pathlib import Path
import boto3, pyarrow, synthdata
from synthdata.release.client import check, pull
assert pyarrow.__file__.startswith(sys.argv[1]), pyarrow.__file__
out = Path(sys.argv[3])
pull("ellipsoids", None, sys.argv[2], out, where="age > 31")
assert check(out).ok
opened = synthdata.open_release(out)
assert list(opened.cases()) and opened.dataset().count_rows() and list(opened.dicom())
for service in ("s3", "kms", "sts", "sso", "sso-oidc"):
    boto3.client(service, region_name="eu-central-1")
"""


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def trim(site: Path, python: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with an interpreter that says where its packages are."""
    python.write_text(f"#!/bin/sh\necho {site}\n", encoding="utf-8")
    python.chmod(0o755)
    return subprocess.run(["sh", str(SCRIPT), str(python)], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_client_works_with_what_the_script_leaves(published: FolderStore, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name in ("pyarrow", "numpy", "botocore"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        libraries = Path(spec.origin).parents[1] / f"{name}.libs"
        shutil.copytree(Path(spec.origin).parent, site / name)
        if libraries.is_dir():
            shutil.copytree(libraries, site / libraries.name)
    before = size(site)
    assert trim(site, tmp_path / "python").returncode == 0
    assert before - size(site) > 80e6
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", USE, str(site), str(published.root), str(tmp_path / "out")]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_the_script_says_so_where_nothing_is_installed(tmp_path: Path) -> None:
    told = trim(tmp_path, tmp_path / "python")
    assert told.returncode == 1
    assert "has no pyarrow: install synthdata there first" in told.stderr
