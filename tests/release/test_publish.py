"""Publishing: order, idempotence, immutability, kills at every step."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from synthdata.errors import GateError, IntegrityError, MissingObjectError, StoreError, TrustError
from synthdata.privacy.waivers import Signatory, Waiver, public_key_of, sign_waiver
from synthdata.records import FileEntry, ReleaseManifest, digest_of, to_json
from synthdata.records.codec import Record
from synthdata.release import publish
from synthdata.release.client import list_releases, pull
from synthdata.release.trust import ReleaseSigner, init_keys, load_signer, recall, resign_timestamp
from synthdata.release.trust.repository import settle
from synthdata.storage.commit import sha256_of
from synthdata.storage.folder import FolderStore
from synthdata.storage.forwarding import ForwardingStore
from tests.release.builders import Made, spec_of, tree

Built = tuple[Path, ReleaseManifest]


class Killed(BaseException):
    """The process would end here."""


class FragileStore(ForwardingStore):
    """A store whose owner is killed at one of its writes: before it, or after."""

    def __init__(self, store: FolderStore, *, at: int, after: bool) -> None:
        self.store, self.left, self.after, self.written = store, at, after, list[str]()

    @property
    def behind(self) -> FolderStore:
        return self.store

    def delete(self, key: str) -> None:
        self._write(lambda: self.store.delete(key), key)

    def write(self, key: str, data: bytes | Path) -> None:
        self._write(lambda: self.store.write(key, data), key)

    def create(self, key: str, data: bytes | Path) -> bool:
        return bool(self._write(lambda: self.store.create(key, data), key))

    def _write(self, act, key: str) -> object:
        self.left -= 1
        if self.left < 0:
            raise Killed
        if self.left == 0 and not self.after:
            raise Killed
        answer = act()
        self.written.append(key)
        if self.left == 0:
            raise Killed
        return answer


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthdata.release.publishing.THREADS", 1)


def data_tree(store: FolderStore) -> dict[str, str]:
    """All but the signed metadata, whose expiry dates move, and a probe whose owner was killed."""
    passing = ("metadata/", "probes/")
    return {name: digest for name, digest in tree(store.root).items() if not name.startswith(passing)}


def test_data_come_before_manifest_before_signature_before_front_page(
    built: Built, releases: FolderStore, signer: ReleaseSigner
) -> None:
    watched = FragileStore(releases, at=10**6, after=False)
    publish(*built, watched, signer=signer)
    order = watched.written
    manifest = order.index("datasets/ellipsoids/1.0.0/manifest.json")
    data = [order.index(f"datasets/ellipsoids/1.0.0/{file.path}") for file in built[1].files]
    snapshot, timestamp = order.index("metadata/1.snapshot.json"), order.index("metadata/timestamp.json")
    assert max(data) < manifest < order.index("metadata/1.targets.json") < snapshot < timestamp
    assert order[-1] == "index.html"


def test_publishing_twice_changes_nothing_that_readers_see(
    built: Built, published: FolderStore, signer: ReleaseSigner
) -> None:
    before = tree(published.root)
    again = publish(*built, published, signer=signer)
    assert again.uploaded == 0
    assert tree(published.root) == before


def test_other_bytes_under_a_published_version_are_refused(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    before = tree(published.root)
    folder = tmp_path / "other"
    manifest = made.build(private, folder, created="2026-11-22")
    with pytest.raises(TrustError, match="a published version never changes"):
        publish(folder, manifest, published, signer=signer)
    assert tree(published.root) == before


def test_a_killed_publisher_is_completed_and_nobody_sees_half_a_release(
    built: Built,
    made: Made,
    private: FolderStore,
    signer: ReleaseSigner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = FolderStore(tmp_path / "reference")
    counter = FragileStore(reference, at=10**6, after=False)
    publish(*built, counter, signer=signer)
    moments = [*range(1, 10**6 - counter.left + 1)]
    assert len(moments) > 25
    for moment in moments:
        for after in (False, True):
            store = FolderStore(tmp_path / f"store-{moment}-{after}")
            with pytest.raises(Killed):
                publish(*built, FragileStore(store, at=moment, after=after), signer=signer)
            monkeypatch.setenv("SYNTHDATA_CONFIG", str(tmp_path / f"config-{moment}-{after}"))
            if store.size("metadata/timestamp.json") is not None:  # the reader sees all of it
                target = tmp_path / f"pulled-{moment}-{after}"
                assert pull("ellipsoids", None, store.url, target).complete
            publish(*built, store, signer=signer)
            assert data_tree(store) == data_tree(reference)
            assert len(list_releases(store.url).releases) == 1


def test_kill_9_in_a_process_of_its_own(built: Built, releases: FolderStore, tmp_path: Path) -> None:
    init_keys(tmp_path / "own-keys")
    program = (
        "import os, sys; from pathlib import Path\n"
        "from synthdata.records import ReleaseManifest, from_json\n"
        "from synthdata.release import publish; from synthdata.release.trust import load_signer\n"
        "from synthdata.storage.folder import FolderStore\n"
        "folder, store, keys = Path(sys.argv[1]), FolderStore(Path(sys.argv[2])), Path(sys.argv[3])\n"
        "at = int(sys.argv[4])\n"
        "manifest = from_json(ReleaseManifest, (folder / 'manifest.json').read_bytes())\n"
        "def progress(done, total, message=''):\n"
        "    if done == at: os.kill(os.getpid(), 9)\n"
        "publish(folder, manifest, store, signer=load_signer(keys), progress=progress)\n"
    )
    for at, code in ((3, -9), (10, -9), (10**6, 0)):
        command = [
            sys.executable,
            "-c",
            program,
            str(built[0]),
            str(releases.root),
            str(tmp_path / "own-keys"),
            str(at),
        ]
        assert (
            subprocess.run(command, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode == code
        )
        assert (releases.size("metadata/timestamp.json") is not None) == (code == 0)
    assert pull("ellipsoids", None, releases.url, tmp_path / "pulled").complete


def test_of_two_publishers_at_once_both_end_up_in_the_store(
    made: Made, private: FolderStore, releases: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    one = made.build(private, first)
    two = replace(made, spec=spec_of(version="2.0.0")).build(private, second)

    class Overtaken(FragileStore):
        """Another publisher commits between our look and our commit."""

        def create(self, key: str, data: bytes | Path) -> bool:
            if key == "metadata/1.snapshot.json" and releases.size(key) is None:
                publish(second, two, releases, signer=signer)
            return super().create(key, data)

    publish(first, one, Overtaken(releases, at=10**6, after=False), signer=signer)
    assert [line.version for line in list_releases(releases.url).releases] == ["2.0.0", "1.0.0"]


@pytest.mark.parametrize("same_keys", [True, False])
def test_of_two_first_publishers_one_comes_in_while_the_other_looks_for_a_root(
    made: Made,
    private: FolderStore,
    releases: FolderStore,
    signer: ReleaseSigner,
    tmp_path: Path,
    same_keys: bool,
) -> None:
    one = made.build(private, tmp_path / "1")
    two = replace(made, spec=spec_of(version="2.0.0")).build(private, tmp_path / "2")
    other = signer if same_keys else init_keys(tmp_path / "others")

    class Overtaken(FragileStore):
        """Another publisher commits just after we have found no root."""

        def read(self, key: str) -> bytes:
            if key == "metadata/1.root.json" and releases.size(key) is None:
                publish(tmp_path / "2", two, releases, signer=other)
                raise MissingObjectError.of("the store", key)
            return super().read(key)

    store = Overtaken(releases, at=10**6, after=False)
    if same_keys:
        publish(tmp_path / "1", one, store, signer=signer)
    else:
        with pytest.raises(TrustError, match="the store is signed by other keys"):
            publish(tmp_path / "1", one, store, signer=signer)
    found = [line.version for line in list_releases(releases.url).releases]
    assert found == (["2.0.0", "1.0.0"] if same_keys else ["2.0.0"])


def test_files_of_an_unsigned_build_are_replaced(
    built: Built, releases: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    releases.write("datasets/ellipsoids/1.0.0/datasheet.md", b"of an older build that was never signed")
    publish(*built, releases, signer=signer)
    assert pull("ellipsoids", None, releases.url, tmp_path / "pulled").complete


def test_a_changed_file_is_not_published(built: Built, releases: FolderStore, signer: ReleaseSigner) -> None:
    (built[0] / "datasheet.md").write_text("all is fine")
    with pytest.raises(IntegrityError, match=r"datasheet\.md"):
        publish(*built, releases, signer=signer)
    assert releases.size("metadata/timestamp.json") is None


def test_an_extra_file_is_not_published(built: Built, releases: FolderStore, signer: ReleaseSigner) -> None:
    (built[0] / "real-scan.dcm").write_text("oops")
    with pytest.raises(GateError, match="files and manifest differ"):
        publish(*built, releases, signer=signer)


def swapped(folder: Path, manifest: ReleaseManifest, name: str, record: Record) -> ReleaseManifest:
    """Put another record into the evidence of a built release, and a manifest that fits."""
    (folder / f"evidence/{name}.json").write_bytes(to_json(record))

    def entry(file: FileEntry) -> FileEntry:
        path = folder / file.path
        return replace(file, sha256=sha256_of(path), size_bytes=path.stat().st_size)

    forged = replace(manifest, files=tuple(entry(file) for file in manifest.files))
    (folder / "manifest.json").write_bytes(to_json(forged))
    return forged


@pytest.mark.parametrize("gate", ["fidelity", "utility", "privacy", "expectations"])
def test_a_report_that_was_edited_after_the_verdict_is_refused(
    built: Built, made: Made, releases: FolderStore, signer: ReleaseSigner, gate: str
) -> None:
    """Even where every digest of the manifest was made to fit."""
    folder, manifest = built
    report = getattr(made, gate)
    forged = swapped(folder, manifest, gate, replace(report, dataset=f"{report.dataset}-edited"))
    with pytest.raises(
        GateError, match=f"the {gate} report is not the one that the verdict read: decide again"
    ):
        publish(folder, forged, releases, signer=signer)
    assert tree(releases.root) == {}


def test_publishing_decides_the_gate_again(
    built: Built, made: Made, releases: FolderStore, signer: ReleaseSigner
) -> None:
    verdict = replace(made.verdict, outcome="FAIL", gates={**made.verdict.gates, "privacy": "FAIL"})
    folder, manifest = built
    forged = swapped(folder, replace(manifest, verdict=digest_of(verdict)), "verdict", verdict)
    with pytest.raises(GateError, match="verdict is FAIL"):
        publish(folder, forged, releases, signer=signer)
    assert tree(releases.root) == {}


def test_a_signed_waiver_lets_a_blocked_gate_pass_and_is_released_with_it(
    made: Made, private: FolderStore, releases: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    verdict = replace(made.verdict, outcome="FAIL", gates={**made.verdict.gates, "utility": "FAIL"})
    blocked, key = replace(made, verdict=verdict), Ed25519PrivateKey.generate()
    waiver = Waiver(
        dataset="ellipsoids", verdict=digest_of(verdict), gates=("utility",), role="privacy officer",
        reason="a demonstration of the format alone", date="2026-11-22",
    )  # fmt: skip
    digest = sign_waiver(private, waiver, key)
    officer = Signatory(role="privacy officer", public_key=public_key_of(key), gates=frozenset({"utility"}))
    allowed = {officer.public_key: officer}
    with pytest.raises(GateError, match="verdict is FAIL"):
        blocked.build(private, tmp_path / "a")
    manifest = blocked.build(private, tmp_path / "a", signatories=allowed)
    assert manifest.outcome == "WAIVED"
    assert (tmp_path / "a" / f"evidence/waiver-{digest}.json").is_file()
    with pytest.raises(TrustError, match="allow list"):
        publish(tmp_path / "a", manifest, releases, signer=signer)
    publish(tmp_path / "a", manifest, releases, signer=signer, signatories=allowed)
    assert list_releases(releases.url).releases[0].outcome == "WAIVED"


def test_a_release_that_states_production_keys_is_not_signed_with_development_keys(
    made: Made, private: FolderStore, releases: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    manifest = made.build(private, tmp_path / "a", development_keys=False)
    with pytest.raises(GateError, match="states production keys"):
        publish(tmp_path / "a", manifest, releases, signer=signer)


def test_a_store_of_other_keys_is_left_alone(built: Built, published: FolderStore, tmp_path: Path) -> None:
    before = tree(published.root)
    with pytest.raises(TrustError, match="signed by other keys"):
        publish(*built, published, signer=init_keys(tmp_path / "others"))
    assert tree(published.root) == before


def test_a_recall_reaches_the_store_and_needs_a_reason(published: FolderStore, signer: ReleaseSigner) -> None:
    with pytest.raises(TrustError, match="no reason"):
        recall(published, signer, "ellipsoids", "1.0.0", " ")
    with pytest.raises(TrustError, match=r"no release ellipsoids 9\.0\.0"):
        recall(published, signer, "ellipsoids", "9.0.0", "wrong masks")
    recall(published, signer, "ellipsoids", "1.0.0", "wrong masks")
    recall(published, signer, "ellipsoids", "1.0.0", "said twice")
    assert [item.reason for item in settle(published, signer).contents.recalls.recalls] == ["wrong masks"]
    assert "recalled: wrong masks" in published.read("index.html").decode()


def test_the_timestamp_can_be_signed_again_without_other_keys(
    published: FolderStore, signer: ReleaseSigner
) -> None:
    online = replace(signer, signers={"timestamp": signer.signers["timestamp"]})
    before = settle(published, signer).timestamp
    until = resign_timestamp(published, online)
    after = settle(published, signer).timestamp
    assert after.version == before.version + 1
    assert until == after.expires


def test_keys_are_private_and_are_never_made_twice(tmp_path: Path) -> None:
    made = init_keys(tmp_path / "k", development=False)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "k").glob("*.pem")} == {0o600}
    assert not load_signer(tmp_path / "k").development
    assert load_signer(tmp_path / "k").root == made.root
    with pytest.raises(TrustError, match="holds keys already"):
        init_keys(tmp_path / "k")
    (tmp_path / "k" / "targets.pem").chmod(0o644)
    with pytest.raises(TrustError, match="can be read by others"):
        load_signer(tmp_path / "k")
    (tmp_path / "k" / "targets.pem").unlink()
    (tmp_path / "k" / "snapshot.pem").chmod(0o600)
    with pytest.raises(TrustError, match="targets is not at hand"):
        load_signer(tmp_path / "k").of("targets")


def test_a_key_of_another_role_is_refused(tmp_path: Path) -> None:
    init_keys(tmp_path / "k")
    (tmp_path / "k" / "targets.pem").write_bytes((tmp_path / "k" / "snapshot.pem").read_bytes())
    with pytest.raises(TrustError, match=r"is not the key that root\.json names"):
        load_signer(tmp_path / "k")


def test_of_two_builds_of_one_version_one_wins_and_the_other_is_told(
    built: Built,
    made: Made,
    private: FolderStore,
    releases: FolderStore,
    signer: ReleaseSigner,
    tmp_path: Path,
) -> None:
    """The second publisher comes at each write of the first; what readers get is the first one's, whole."""
    other = tmp_path / "other"
    second = made.build(private, other, created="2026-11-22")
    told: list[str] = []

    class Crowded(FragileStore):
        """Somebody else tries to publish another build after each of our writes."""

        def create(self, key: str, data: bytes | Path) -> bool:
            answer = super().create(key, data)
            if key.startswith(("claims/", "datasets/")) and len(told) < 4:
                with pytest.raises(TrustError) as caught:
                    publish(other, second, releases, signer=signer)
                told.append(str(caught.value))
            return answer

    publish(*built, Crowded(releases, at=10**6, after=False), signer=signer)
    assert len(told) == 4
    assert all("another publisher is at work on ellipsoids 1.0.0" in words for words in told)
    with pytest.raises(TrustError, match="a published version never changes"):
        publish(other, second, releases, signer=signer)
    assert pull("ellipsoids", None, releases.url, tmp_path / "pulled").complete
    assert not any(name.startswith(("claims/", "probes/")) for name in tree(releases.root))


def test_a_publisher_who_was_killed_long_ago_is_passed_over(
    built: Built, made: Made, private: FolderStore, releases: FolderStore, signer: ReleaseSigner, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with pytest.raises(Killed):
        publish(*built, FragileStore(releases, at=12, after=True), signer=signer)
    other = tmp_path / "other"
    second = made.build(private, other, created="2026-11-22")
    with pytest.raises(TrustError, match="try again 10 minutes after"):
        publish(other, second, releases, signer=signer)
    monkeypatch.setattr("synthdata.release.claims.STALE", timedelta(0))
    publish(other, second, releases, signer=signer)
    assert pull("ellipsoids", None, releases.url, tmp_path / "pulled").complete
    assert not any(name.startswith("claims/") for name in tree(releases.root))


class Careless(FolderStore):
    """A store which ignores `If-None-Match`, as some gateways do; or which refuses it."""

    refuses = False

    def create(self, key: str, data: bytes | Path) -> bool:
        if self.refuses:
            raise StoreError("NotImplemented")
        self.write(key, data)
        return True


@pytest.mark.parametrize("refuses", [False, True])
def test_a_store_without_conditional_writes_is_found_out_and_used_under_a_lock(
    built: Built, signer: ReleaseSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    monkeypatch.setattr("synthdata.storage.conditional.SETTLE_S", 0.01)
    monkeypatch.setattr(Careless, "refuses", refuses)
    store = Careless(tmp_path / "careless")
    lock = json.dumps({"owner": "somebody", "since": datetime.now(UTC).isoformat()}).encode()
    store.write("lock.json", lock)
    with pytest.raises(StoreError, match="another publisher holds its lock"):
        publish(*built, store, signer=signer)
    assert store.size("metadata/timestamp.json") is None
    old = json.dumps({"owner": "somebody", "since": "2026-01-01T00:00:00+00:00"}).encode()
    store.write("lock.json", old)
    publish(*built, store, signer=signer)
    assert store.size("lock.json") is None
    assert pull("ellipsoids", None, store.url, tmp_path / "pulled").complete


def test_two_who_take_the_lock_at_once_do_not_both_go_on(
    built: Built, signer: ReleaseSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Careless(tmp_path / "careless")
    other = json.dumps({"owner": "somebody", "since": datetime.now(UTC).isoformat()}).encode()
    monkeypatch.setattr("synthdata.storage.conditional.time.sleep", lambda s: store.write("lock.json", other))
    with pytest.raises(StoreError, match="took its lock at the same time"):
        publish(*built, store, signer=signer)
    assert store.read("lock.json") == other, "the other one's lock stays"


def test_a_recalled_version_is_not_published_again(
    built: Built, published: FolderStore, signer: ReleaseSigner
) -> None:
    recall(published, signer, "ellipsoids", "1.0.0", "wrong masks", delete_files=True)
    before = tree(published.root)
    with pytest.raises(TrustError, match="was recalled: wrong masks"):
        publish(*built, published, signer=signer)
    assert {name for name in tree(published.root) if not name.startswith("probes/")} == set(before)


@pytest.mark.parametrize(
    "name", ["claims/", "root.json", "targets.json", "snapshot.json", "manifest.json", "data/"]
)
def test_a_write_whose_first_answer_was_lost_does_not_stop_or_spoil_a_release(
    built: Built, releases: FolderStore, signer: ReleaseSigner, tmp_path: Path, name: str
) -> None:
    """The client library puts an object again; the store then says that it is there already."""
    doubled: list[str] = []

    class Doubled(FolderStore):
        def create(self, key: str, data: bytes | Path) -> bool:
            made = super().create(key, data)
            if name in key and not doubled:
                doubled.append(key)
                return False
            return made

    publish(*built, Doubled(releases.root), signer=signer)
    assert doubled
    assert pull("ellipsoids", None, releases.url, tmp_path / "pulled").complete
    assert not any(key.startswith("claims/") for key in tree(releases.root))
