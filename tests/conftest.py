"""Fixtures of all tests. One thread per process: threads which wait for each other are slower than one."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy or torch are loaded
os.environ.update(
    {
        "GX_ANALYTICS_ENABLED": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "MPLBACKEND": "Agg",
    }
)

from pathlib import Path  # noqa: E402 - after the variables above

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from synthdata.storage.folder import FolderStore  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
STORES = ("PRIVATE", "RELEASES", "KEYS", "SOURCES", "STAGING", "ALERTS", "STATE_DIR", "DATASETS", "ENGINE")
SETTINGS = (*(f"SYNTHDATA_{name}" for name in STORES), "DAGSTER_HOME")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the settings, the stores or the remembered roots of the person who runs it."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SYNTHDATA_CONFIG", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same ones in every run."""
    return np.random.default_rng(20261122)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An empty private store."""
    return FolderStore(tmp_path / "private")


@pytest.fixture
def releases(tmp_path: Path) -> FolderStore:
    """An empty release store."""
    return FolderStore(tmp_path / "releases")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of the real scans; the test is skipped where they are absent."""
    folder = Path(os.environ.get("SYNTHDATA_REALDATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the real scans are not here: set SYNTHDATA_REALDATA to their folder")
    return folder.resolve()
