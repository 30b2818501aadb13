"""Folders which this user may not use: a sentence, and the next try with the rights completes the release."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthdata.errors import StoreError
from synthdata.records import ReleaseManifest
from synthdata.release import publish
from synthdata.release.client import list_releases
from synthdata.release.trust import ReleaseSigner
from synthdata.storage.folder import PARTIAL, FolderStore
from tests.faults.conftest import Disk
from tests.faults.disks import pages_of
from tests.faults.processes import started
from tests.release.builders import tree

Built = tuple[Path, ReleaseManifest]
WRITE = "cannot be written (Permission denied), expected the right to write there: give it to the user"
READ = "cannot be read (Permission denied), expected the right to read there: give it to the user"
PUBLISH = ("publish", "{place}/staging", "{place}/store", "{place}/keys")
AS_OTHERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")  # rights bind root, too


@pytest.fixture
def place(built: Built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path) -> Iterator[Path]:
    """A built release in `staging`, a store in `releases`, `keys`, and folders that are closed."""
    for name, mode in (("readable", 0o555), ("closed", 0o000)):
        (tmp_path / name).mkdir(mode=mode)
    close(published.root)
    yield tmp_path
    for name in ("readable", "closed"):
        (tmp_path / name).chmod(0o700)
    close(published.root, mode=0o755)


def close(store: Path, *, mode: int = 0o555) -> None:
    for folder in (store, *(path for path in store.rglob("*") if path.is_dir())):
        folder.chmod(mode)


def run(place: Path, *command: str, config: str = "config") -> tuple[int, str]:
    """Exit code and words of a command, run by a user whom rights bind."""
    launcher = AS_OTHERS if os.geteuid() == 0 else ()
    if launcher and shutil.which(launcher[0]) is None:
        pytest.skip("rights do not bind root: run as another user, or install setpriv (util-linux)")
    words = [word.format(place=place) for word in command]
    environment = {"SYNTHDATA_CONFIG": str(place / config)}
    with started(
        "-m", "tests.faults.limited", "0", *words, environment=environment, launcher=launcher
    ) as process:
        return process.end(), process.said()


def data_tree(folder: Path) -> dict[str, str]:
    """All but the signed metadata, whose expiry dates move."""
    return {name: digest for name, digest in tree(folder).items() if not name.startswith("metadata/")}


@pytest.mark.parametrize("reached", ["nothing", "metadata", "datasets"])
def test_a_store_without_rights_is_completed_by_who_has_them(
    place: Path, published: FolderStore, reached: str
) -> None:
    """The store is empty; or a publisher has left the root of trust; or all files, but no signature."""
    store = place / "store"
    store.mkdir()
    for name in {"nothing": [], "metadata": ["metadata"], "datasets": ["metadata", "datasets"]}[reached]:
        shutil.copytree(published.root / name, store / name)
    for name in ("1.snapshot.json", "timestamp.json"):
        (store / "metadata" / name).unlink(missing_ok=True)
    close(store)
    code, words = run(place, *PUBLISH)
    assert code == 1
    assert words.startswith("StoreError: object ")
    assert WRITE in words
    assert words.count("\n") == 1
    assert not list(store.rglob(f"{PARTIAL}*"))
    with pytest.raises(StoreError, match=r"holds no (finished|signed) release"):
        list_releases(str(store))
    close(store, mode=0o755)
    assert run(place, *PUBLISH) == (0, "")
    assert data_tree(store) == data_tree(published.root)
    assert [line.version for line in list_releases(str(store)).releases] == ["1.0.0"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("publish", "{place}/staging", "{place}/closed", "{place}/keys"), "StoreError: object probes/"),
        (("publish", "{place}/staging", "{place}/closed/new", "{place}/keys"), f"folder store new {WRITE}"),
        (("publish", "{place}/staging", "{place}/readable/new", "{place}/keys"), f"folder store new {WRITE}"),
        (("publish", "{place}/staging", "{place}/releases", "{place}/keys"), WRITE),
        (("releases", "--from", "{place}/closed"), f"object metadata/1.root.json {READ}"),
        (("releases", "--from", "{place}/closed/store"), f"folder store store {READ}"),
        (("pull", "ellipsoids", "--from", "{place}/releases", "--to", "{place}/readable"), f"origin.json {WRITE}"),
        (("pull", "ellipsoids", "--from", "{place}/releases", "--to", "{place}/closed"), f"target folder {WRITE}"),
        (("pull", "ellipsoids", "--from", "{place}/releases", "--to", "{place}/closed/x"), f"target folder {WRITE}"),
        (("check", "{place}/closed"), READ),
        (("check", "{place}/closed/x"), f"the folder of the release {READ}"),
        (("keys", "init", "{place}/readable/keys"), f"the folder of the keys {WRITE}"),
        (("keys", "status", "{place}/closed"), f"root.json {READ}"),
        (("verify", "{place}/staging/gallery/sheet-0.png", "--registry", "{place}/closed"), f"of the registry {READ}"),
        (("phantom", "{place}/readable/cohort", "--patients", "1"), "the phantom could not be written (Permission"),
    ],
    ids=lambda value: "-".join(value[:1]) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_folder_without_rights_is_a_sentence(place: Path, command: tuple[str, ...], words: str) -> None:
    before = tree(place)
    code, said = run(place, *command)
    assert code == 1
    assert words in said
    assert "Traceback" not in said
    assert {name: digest for name, digest in tree(place).items() if not name.startswith("config/")} == before


@pytest.mark.parametrize(
    ("closed", "words"),
    [
        ("scans", f"1 of the source's folders {READ}"),
        ("scans/PAT-1", f"1 of the source's folders {READ}"),
        ("", f"the source {READ}"),
    ],
    ids=["all", "one patient", "above"],
)
def test_scans_that_cannot_be_listed_are_not_left_out_in_silence(
    place: Path, closed: str, words: str
) -> None:
    (place / "above/scans/PAT-1").mkdir(parents=True)
    (place / "above" / closed).chmod(0)
    code, said = run(place, "intake", "{place}/above/scans")
    (place / "above" / closed).chmod(0o700)
    assert code == 1
    assert words in said
    assert "PAT-1" not in said


def test_scans_that_cannot_be_read_are_not_called_no_scans(place: Path) -> None:
    (place / "scan.dcm").touch(mode=0)
    code, said = run(place, "intake", "{place}/scan.dcm")
    assert code == 1
    assert "holds 1 files and no scan (1 cannot be read: check their rights), expected DICOM" in said


@pytest.mark.parametrize("config", ["readable", "closed"])
def test_trust_that_cannot_be_remembered_is_a_sentence(place: Path, config: str) -> None:
    code, said = run(place, "releases", "--from", "{place}/releases", config=config)
    assert code == 1
    assert f"the remembered trust (SYNTHDATA_CONFIG, or ~/.config/synthdata) {WRITE}" in said


@pytest.mark.parametrize("file", ["records.parquet", "evidence/verdict.json"])
def test_a_built_file_that_cannot_be_read_is_not_called_a_wrong_one(place: Path, file: str) -> None:
    (place / "staging" / file).chmod(0)
    code, said = run(place, *PUBLISH)
    assert code == 1
    assert said.startswith("StoreError: ")
    assert READ in said


def test_a_disk_that_went_read_only_is_a_sentence(built: Built, signer: ReleaseSigner, disk: Disk) -> None:
    with disk(2 * pages_of(built[0])) as small:
        store = FolderStore(small.root / "releases")
        small.lock()
        with pytest.raises(
            StoreError, match=r"cannot be written \(Read-only file system\), expected the right"
        ):
            publish(*built, store, signer=signer)
        small.unlock()
        publish(*built, store, signer=signer)
        assert [line.version for line in list_releases(store.url).releases] == ["1.0.0"]
