"""Fixtures of the release tests: stores, keys, a built release; trust is remembered in a folder of the test."""

from pathlib import Path

import pytest

import synthdata.validation
from synthdata.records import ReleaseManifest
from synthdata.release import publish
from synthdata.release.trust import ReleaseSigner, init_keys
from synthdata.storage import ObjectStore, keys
from synthdata.storage.folder import FolderStore
from tests.release.builders import Made, make


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHDATA_CONFIG", str(tmp_path / "config"))


@pytest.fixture(autouse=True)
def _short_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has tests of its own, and needs models; here it is one page."""

    def write(spec: object, private: ObjectStore, *, edition: str, **records: object) -> dict[str, str]:
        assert edition == "public"
        key = keys.report("ellipsoids", "0" * 64, "report.html")
        private.write(key, b"<!doctype html><title>Report</title>")
        return {"report.html": key}

    monkeypatch.setattr(synthdata.validation, "write_report", write, raising=False)


@pytest.fixture
def private(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "private")


@pytest.fixture
def releases(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "releases")


@pytest.fixture
def made(private: FolderStore) -> Made:
    return make(private)


@pytest.fixture
def signer(tmp_path: Path) -> ReleaseSigner:
    return init_keys(tmp_path / "keys")


@pytest.fixture
def built(made: Made, private: FolderStore, tmp_path: Path) -> tuple[Path, ReleaseManifest]:
    folder = tmp_path / "staging" / "1.0.0"
    return folder, made.build(private, folder)


@pytest.fixture
def published(
    built: tuple[Path, ReleaseManifest], releases: FolderStore, signer: ReleaseSigner
) -> FolderStore:
    publish(*built, releases, signer=signer)
    return releases
