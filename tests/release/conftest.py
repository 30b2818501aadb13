"""Fixtures of the release tests: stores, keys, a built release; trust is remembered in a folder of the test."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import synthdata.validation
from synthdata.records import ReleaseManifest
from synthdata.release import publish
from synthdata.release.trust import ReleaseSigner, init_keys, load_signer
from synthdata.storage import ObjectStore, keys
from synthdata.storage.folder import FolderStore
from tests.release.builders import Made, make


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHDATA_CONFIG", str(tmp_path / "config"))


def short_report(spec: object, private: ObjectStore, *, edition: str, **records: object) -> dict[str, str]:
    """The report has tests of its own, and needs models; here it is one page."""
    assert edition == "public"
    key = keys.report("ellipsoids", "0" * 64, "report.html")
    private.write(key, b"<!doctype html><title>Report</title>")
    return {"html": key}


@pytest.fixture(autouse=True)
def _short_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthdata.validation, "write_report", short_report, raising=False)


@dataclass(frozen=True)
class Master:
    """One chain, built and published once; each test works on a copy."""

    folder: Path
    made: Made
    manifest: ReleaseManifest


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Master:
    folder = tmp_path_factory.mktemp("master")
    private = FolderStore(folder / "private")
    made = make(private)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthdata.validation, "write_report", short_report, raising=False)
        manifest = made.build(private, folder / "staging")
    publish(folder / "staging", manifest, FolderStore(folder / "releases"), signer=init_keys(folder / "keys"))
    return Master(folder=folder, made=made, manifest=manifest)


@pytest.fixture
def private(master: Master, tmp_path: Path) -> FolderStore:
    shutil.copytree(master.folder / "private", tmp_path / "private")
    return FolderStore(tmp_path / "private")


@pytest.fixture
def releases(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "releases")


@pytest.fixture
def made(master: Master) -> Made:
    return master.made


@pytest.fixture
def signer(master: Master, tmp_path: Path) -> ReleaseSigner:
    shutil.copytree(master.folder / "keys", tmp_path / "keys")
    return load_signer(tmp_path / "keys")


@pytest.fixture
def built(master: Master, tmp_path: Path) -> tuple[Path, ReleaseManifest]:
    shutil.copytree(master.folder / "staging", tmp_path / "staging")
    return tmp_path / "staging", master.manifest


@pytest.fixture
def published(master: Master, releases: FolderStore) -> FolderStore:
    shutil.copytree(master.folder / "releases", releases.root, dirs_exist_ok=True)
    return releases
