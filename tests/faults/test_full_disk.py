"""A full disk: a sentence, nothing half-written, and the next try goes on where the last one stopped."""

import tempfile
from pathlib import Path

import pytest

from synthdata.errors import StoreError, TrainingError
from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine
from synthdata.records import ReleaseManifest
from synthdata.records.parquet import read_cases
from synthdata.release import publish
from synthdata.release.client import check, list_releases, pull, pulling
from synthdata.release.trust import ReleaseSigner, init_keys, load_signer
from synthdata.storage.folder import PARTIAL, FolderStore
from synthdata.training import run as training_run
from synthdata.training import train
from tests.builders import ball_set, ball_spec
from tests.faults.conftest import Disk
from tests.faults.disks import pages_of
from tests.faults.processes import started
from tests.release.builders import Made, tree

Built = tuple[Path, ReleaseManifest]
FULL = r"^the disk is full at .+ \(No space left on device\), expected room for it: free some space and run it again"


def files_of(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def data_tree(folder: Path) -> dict[str, str]:
    """All but the signed metadata, whose expiry dates move."""
    return {name: digest for name, digest in tree(folder).items() if not name.startswith("metadata/")}


def test_a_release_that_does_not_fit_is_completed_when_there_is_room(
    built: Built, published: FolderStore, signer: ReleaseSigner, disk: Disk, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each size stops at another file; the last ones at the manifest, at each signature, and at the front page."""
    whole = pages_of(published.root)
    unseen = signed = 0
    for pages in [1, whole // 4, whole // 2, *range(whole - 10, whole)]:
        monkeypatch.setenv("SYNTHDATA_CONFIG", str(tmp_path / f"config-{pages}"))
        with disk(pages) as place:
            store = FolderStore(place.root / "releases")
            with pytest.raises(StoreError, match=r"the disk is full at object .+: free some space"):
                publish(*built, store, signer=signer)
            assert not [name for name in files_of(place.root) if name.startswith(PARTIAL)]
            if store.size("metadata/timestamp.json") is None:
                unseen += 1
                with pytest.raises(StoreError, match=r"holds no (finished|signed) release"):
                    list_releases(store.url)
            else:
                signed += 1
            place.grow()
            assert publish(*built, store, signer=signer).version == "1.0.0"
            assert data_tree(store.root) == data_tree(published.root)
            assert [line.version for line in list_releases(store.url).releases] == ["1.0.0"]
            assert pull("ellipsoids", None, store.url, tmp_path / f"got-{pages}").complete
    assert unseen > 8
    assert signed


def test_a_limit_on_the_size_of_files_is_a_full_disk(
    built: Built, signer: ReleaseSigner, tmp_path: Path
) -> None:
    """As a quota, and on any machine: one file of the release is larger than it may be."""
    largest = max(file.size_bytes for file in built[1].files)
    store = FolderStore(tmp_path / "releases")
    command = ["publish", str(built[0]), str(store.root), str(tmp_path / "keys")]
    with started("-m", "tests.faults.limited", str(largest - 1), *command, environment={}) as run:
        assert run.end() == 1
        words = run.said()
    assert words.startswith("StoreError: the disk is full at object datasets/ellipsoids/1.0.0/")
    assert words.count("\n") == 1
    assert not [name for name in files_of(store.root) if name.startswith(PARTIAL) or name == "timestamp.json"]
    assert publish(*built, store, signer=signer).kept > 0


def test_a_release_is_built_whole_or_not_at_all(
    made: Made, private: FolderStore, built: Built, disk: Disk
) -> None:
    whole = pages_of(built[0])
    for pages in (1, whole // 2, whole - 1):
        with disk(pages) as place:
            with pytest.raises(StoreError, match=FULL):
                made.build(private, place.root / "staging" / "1.0.0")
            assert files_of(place.root) == []
            place.grow()
            made.build(private, place.root / "staging" / "1.0.0")
            assert tree(place.root / "staging" / "1.0.0") == tree(built[0])


def test_a_pull_onto_a_full_disk_goes_on_when_there_is_room(
    published: FolderStore, built: Built, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pages_of(built[0])
    with disk(whole) as place, pytest.raises(StoreError, match="MB more: free some space"):
        pull("ellipsoids", None, published.url, place.root / "got")
    monkeypatch.setattr(
        pulling, "_check_space", lambda *_: None
    )  # another one fills the disk in the meantime
    for pages in (1, whole // 2, whole):
        with disk(pages) as place:
            folder = place.root / "got"
            with pytest.raises(StoreError, match=FULL):
                pull("ellipsoids", None, published.url, folder)
            assert not [name for name in files_of(folder) if name.endswith(".partial")]
            assert not check(folder).ok
            place.grow()
            assert pull("ellipsoids", None, published.url, folder).complete
            assert check(folder).ok


def test_trust_that_cannot_be_remembered_is_a_sentence(
    published: FolderStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pages in (1, 2, 3, 4, 5):
        with disk(pages) as place:
            monkeypatch.setenv("SYNTHDATA_CONFIG", str(place.root))
            with pytest.raises(StoreError, match="the disk is full at the remembered trust"):
                list_releases(published.url)
            assert not [name for name in files_of(place.root) if name.endswith(".partial")]
            place.grow()
            assert list_releases(published.url).releases


def test_keys_are_made_all_or_none(disk: Disk) -> None:
    for pages in (1, 2, 4):
        with disk(pages) as place:
            with pytest.raises(StoreError, match="the disk is full at the folder of the keys"):
                init_keys(place.root / "keys")
            assert files_of(place.root) == []
            place.grow()
            made = init_keys(place.root / "keys")
            assert load_signer(place.root / "keys").root == made.root


def test_training_and_generation_go_on_when_there_is_room(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "SAVE_SECONDS", 0.0)  # a state after every step
    undisturbed = FolderStore(tmp_path / "undisturbed")
    training_set = ball_set(undisturbed)
    checkpoint = train(ball_spec(), training_set, undisturbed)
    plan = plan_samples(ball_spec(), checkpoint, training_set, watermark_key=None)
    engine = LocalEngine()
    wanted = generate(plan, checkpoint, training_set, undisturbed, engine=engine, watermark_key=None)
    with disk(1) as place:
        place.grow()
        store = FolderStore(place.root / "private")
        assert ball_set(store) == training_set
        with pytest.raises(TrainingError, match="run it again"):
            train(ball_spec(), training_set, store, should_stop=iter([False, False, True]).__next__)
        for pages in (0, 4):
            place.leave(pages)
            with pytest.raises(StoreError, match=FULL):
                train(ball_spec(), training_set, store)
            assert not [name for name in files_of(place.root) if name.startswith(PARTIAL)]
        place.grow()
        assert train(ball_spec(), training_set, store).sha256 == checkpoint.sha256
        for pages in (0, 2, 2):
            place.leave(pages)
            with pytest.raises(StoreError, match=FULL):
                generate(plan, checkpoint, training_set, store, engine=engine, watermark_key=None)
        place.grow()
        drawn = generate(plan, checkpoint, training_set, store, engine=engine, watermark_key=None)
        assert drawn == wanted
        assert len({case.case_id for case in read_cases(store, drawn)}) == plan.cases
        assert sorted(store.keys("datasets/balls/shards/")) == sorted(
            undisturbed.keys("datasets/balls/shards/")
        )


def test_a_full_temporary_folder_is_named(
    disk: Disk, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk(3) as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place.root))
        monkeypatch.setattr("synthdata.records.parquet.BUILT_IN_MEMORY_BYTES", 0)  # a shard is a file at once
        with pytest.raises(StoreError, match=r"the disk is full at the temporary folder \(TMPDIR\)"):
            ball_set(store)
        assert files_of(place.root) == []
