"""Keys: thresholds, rotation, signers by address, and what readers see meanwhile."""

import importlib.util
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from synthdata.commands import keys as command
from synthdata.errors import ConfigError, TrustError
from synthdata.release import publish
from synthdata.release.client import check, list_releases, pull
from synthdata.release.client.recalled import recall_sentence
from synthdata.release.trust import (
    Ceremony,
    Lifetimes,
    init_keys,
    key_status,
    load_signer,
    recall,
    resign_timestamp,
    rotate,
    sign_draft,
)
from synthdata.storage.folder import FolderStore
from tests.release.builders import tree


@pytest.fixture
def keys(tmp_path: Path, signer) -> Path:
    """The key folder of the published store."""
    return tmp_path / "keys"


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "root", None])
def test_readers_follow_a_rotation_from_the_root_that_they_know(
    published: FolderStore, keys: Path, tmp_path: Path, role: str | None
) -> None:
    told: list[str] = []
    list_releases(published.url, tell=told.append)
    before = load_signer(keys)
    made = rotate(keys, role)
    assert (made.version, made.missing) == (2, 0)
    resign_timestamp(published, load_signer(keys))
    assert published.size("metadata/2.root.json") is not None
    assert list_releases(published.url, tell=told.append).releases[0].version == "1.0.0"
    assert len(told) == 1, "the new root is trusted because of the old one"
    pull("ellipsoids", None, published.url, tmp_path / "got")
    assert check(tmp_path / "got").ok
    if role not in {None, "root"}:
        assert load_signer(keys).of(role).public_key.keyid != before.of(role).public_key.keyid
        with pytest.raises(TrustError, match="bring the newest root"):
            resign_timestamp(published, before)


def test_a_reader_is_never_locked_out_while_a_store_gets_its_new_root(
    published: FolderStore, keys: Path
) -> None:
    """At every write of the change, what a reader finds is accepted."""
    rotate(keys, "timestamp")
    seen: list[str] = []

    class Watched(FolderStore):
        def write(self, key: str, data: bytes | Path) -> None:
            super().write(key, data)
            self.look(key)

        def create(self, key: str, data: bytes | Path) -> bool:
            made = super().create(key, data)
            if made:
                self.look(key)
            return made

        def look(self, key: str) -> None:
            seen.append(key)
            assert list_releases(published.url).releases

    resign_timestamp(Watched(published.root), load_signer(keys))
    assert "metadata/2.root.json" in seen


def test_a_rotation_with_a_lost_key_works_and_the_old_key_signs_nothing_any_more(
    published: FolderStore, keys: Path, built, tmp_path: Path
) -> None:
    stolen = load_signer(keys)
    (keys / "timestamp.pem").unlink()
    rotate(keys, "timestamp")
    signer = load_signer(keys)
    resign_timestamp(published, signer)
    assert list_releases(published.url).releases
    newest = max(
        published.root.glob("metadata/*.snapshot.json"), key=lambda path: int(path.name.split(".")[0])
    )
    forged = Metadata.from_bytes((published.root / "metadata/timestamp.json").read_bytes())
    forged.signed.version += 1
    forged.sign(stolen.of("timestamp"))
    (published.root / "metadata/timestamp.json").write_bytes(forged.to_bytes())
    assert newest.is_file()
    with pytest.raises(TrustError, match="not signed by the root"):
        list_releases(published.url)


def test_several_rotations_before_a_store_sees_one_are_all_published(
    published: FolderStore, keys: Path
) -> None:
    list_releases(published.url)
    for role in ("snapshot", "root", None):
        rotate(keys, role)
    resign_timestamp(published, load_signer(keys))
    assert [published.size(f"metadata/{n}.root.json") is not None for n in (1, 2, 3, 4, 5)] == [True] * 4 + [
        False
    ]
    assert list_releases(published.url).releases


def test_a_threshold_root_changes_only_with_enough_signatures(built, tmp_path: Path) -> None:
    keys, away = tmp_path / "k", tmp_path / "usb"
    signer = init_keys(keys, ceremony=Ceremony(root_keys=3, threshold=2))
    releases = FolderStore(tmp_path / "r")
    publish(*built, releases, signer=signer)
    list_releases(releases.url)
    away.mkdir()
    for number in (2, 3):
        shutil.move(keys / f"root-{number}.pem", away)
    made = rotate(keys, "timestamp")
    assert made.missing == 1
    resign_timestamp(releases, load_signer(keys))  # the old root is in force until then
    assert releases.size("metadata/2.root.json") is None
    with pytest.raises(TrustError, match="waits for signatures"):
        rotate(keys, None)
    stranger = CryptoSigner.generate_ed25519()
    (away / "other.pem").write_bytes(stranger.private_bytes)
    (away / "other.pem").chmod(0o600)
    with pytest.raises(TrustError, match="no key at hand is a root key"):
        sign_draft(keys, f"file:{away / 'other.pem'}")
    assert sign_draft(keys).missing == 1, "the same key counts once"
    assert sign_draft(keys, f"file:{away / 'root-3.pem'}").missing == 0
    resign_timestamp(releases, load_signer(keys))
    assert (
        Metadata[Root].from_bytes(releases.read("metadata/2.root.json")).signed.roles["root"].threshold == 2
    )
    assert list_releases(releases.url).releases


def test_keys_may_come_from_the_environment_or_another_file(
    built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMESTAMP_KEY", CryptoSigner.generate_ed25519().private_bytes.decode())
    (tmp_path / "t.pem").write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    (tmp_path / "t.pem").chmod(0o600)
    addresses = {"timestamp": "envvar:TIMESTAMP_KEY", "targets": f"file:{tmp_path / 't.pem'}"}
    signer = init_keys(tmp_path / "k", ceremony=Ceremony(addresses=addresses))
    assert not (tmp_path / "k" / "timestamp.pem").exists()
    releases = FolderStore(tmp_path / "r")
    publish(*built, releases, signer=signer)
    assert list_releases(releases.url).releases
    monkeypatch.setenv("TIMESTAMP_KEY", CryptoSigner.generate_ed25519().private_bytes.decode())
    with pytest.raises(TrustError, match=r"is not the one that root\.json names"):
        load_signer(tmp_path / "k")
    monkeypatch.delenv("TIMESTAMP_KEY")
    with pytest.raises(TrustError, match="the variable TIMESTAMP_KEY holds no key"):
        load_signer(tmp_path / "k")


@pytest.mark.parametrize(
    ("ceremony", "words"),
    [
        ({"root_keys": 2, "threshold": 3}, "threshold of 3"),
        ({"threshold": 0}, "threshold of 0"),
        ({"addresses": {"root": "envvar:X"}}, "given for root"),
    ],
)
def test_a_ceremony_that_cannot_work_is_refused(ceremony: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Ceremony(**ceremony)


@pytest.mark.parametrize("address", ["ftp:x", "awskms", "nonsense", "hsm:2"])
def test_an_address_that_cannot_sign_is_a_sentence_and_leaves_no_keys(tmp_path: Path, address: str) -> None:
    with pytest.raises((ConfigError, TrustError), match="the signer"):
        init_keys(tmp_path / "k", ceremony=Ceremony(addresses={"targets": address}))
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize(
    ("address", "library"),
    [("gcpkms:projects/p/x", "google.cloud.kms"), ("azurekms://vault/key", "azure.identity")],
)
def test_a_cloud_whose_library_is_missing_is_named_with_what_to_install(
    tmp_path: Path, address: str, library: str
) -> None:
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec(library) is not None:
            pytest.skip(f"{library} is installed here")
    with pytest.raises(
        TrustError, match=r"needs a client library .+: pip install 'securesystemslib\[\w+kms\]'"
    ):
        init_keys(tmp_path / "k", ceremony=Ceremony(addresses={"targets": address}))


def test_the_status_tells_what_ends_soon(published: FolderStore, keys: Path) -> None:
    found = {item.role: item for item in key_status(keys, published)}
    assert [item.warning for item in found.values()] == [""] * 4
    assert found["timestamp"].days_left in {29, 30}
    short = replace(load_signer(keys), lifetimes=Lifetimes(timestamp=3))
    before = tree(published.root)
    assert tree(published.root) == before
    resign_timestamp(published, short)
    late = {item.role: item for item in key_status(keys, published)}
    assert "end in 2 days: sign again" in late["timestamp"].warning
    (keys / "targets.pem").unlink()
    assert not {item.role: item for item in key_status(keys)}["targets"].at_hand


def test_a_root_that_ends_too_late_tells_of_a_wrong_clock(keys: Path) -> None:
    found = key_status(keys, now=datetime.now(UTC) - timedelta(days=365))
    assert any("the clock of this machine is behind" in item.warning for item in found)


def test_a_wrong_address_gets_no_root(keys: Path, tmp_path: Path) -> None:
    empty, words = FolderStore(tmp_path / "elsewhere"), "holds no signed releases: check the address"
    with pytest.raises(TrustError, match=words):
        recall(empty, load_signer(keys), "ellipsoids", "1.0.0", "a reason")
    with pytest.raises(TrustError, match=words):
        resign_timestamp(empty, load_signer(keys))
    assert tree(empty.root) == {}


def test_a_timestamp_of_a_clock_that_is_behind_is_told(published: FolderStore, keys: Path, capsys) -> None:
    resign_timestamp(published, replace(load_signer(keys), lifetimes=Lifetimes(timestamp=395)))
    command.timestamp(keys, published.url)
    assert "The clock of this machine is behind" in capsys.readouterr().err


def test_a_recall_may_delete_the_files_and_leaves_a_tombstone(
    published: FolderStore, keys: Path, tmp_path: Path
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    recall(published, load_signer(keys), "ellipsoids", "1.0.0", "a real\nimage was in it", delete_files=True)
    left = [name for name in tree(published.root) if name.startswith("datasets/")]
    assert left == ["datasets/ellipsoids/1.0.0/manifest.json"]
    assert list_releases(published.url).releases[0].recalled == "a real image was in it"
    with pytest.raises(TrustError, match="was recalled: a real image was in it"):
        pull("ellipsoids", "1.0.0", published.url, tmp_path / "again")
    assert not check(tmp_path / "got").ok
    assert "was recalled: a real image was in it" in recall_sentence(tmp_path / "got")
