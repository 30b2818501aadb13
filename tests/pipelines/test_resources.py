import json
import pickle
from pathlib import Path

import dagster as dg
import pytest

from assets.references import ReportFiles, ScanInventory
from pipelines.places import VAR, private_url, spec_folders
from pipelines.resources import default_resources
from pipelines.resources.records import RecordIOManager, latest_record
from pipelines.resources.signing import KeysFolder
from pipelines.resources.stores import LazyStore
from synthdata.errors import ConfigError, MissingObjectError, RecordError, TrustError
from synthdata.records import digest_of
from synthdata.storage import keys
from synthdata.storage.folder import FolderStore

INVENTORY = ScanInventory(dataset="d", files=1, size_bytes=1, digest="0" * 64, origin="folder")


@dg.asset
def upstream() -> dg.MaterializeResult[ScanInventory]:
    return dg.MaterializeResult(value=INVENTORY)


def run(private: Path, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets), resources={"io_manager": RecordIOManager(url=str(private))}, raise_on_error=False
    )


def test_a_record_travels_as_json_by_its_digest(tmp_path: Path) -> None:
    seen = []

    @dg.asset
    def downstream(upstream: ScanInventory) -> dg.MaterializeResult[ScanInventory]:
        seen.append(upstream)
        return dg.MaterializeResult(value=upstream)

    assert run(tmp_path, upstream, downstream).success
    assert seen == [INVENTORY]
    private = FolderStore(tmp_path)
    assert json.loads(private.read(keys.record("ScanInventory", digest_of(INVENTORY))))["files"] == 1
    assert latest_record(private, "downstream", ScanInventory) == INVENTORY


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    @dg.asset
    def arrays() -> dg.MaterializeResult[list[int]]:
        return dg.MaterializeResult(value=[1, 2])

    result = run(tmp_path, arrays)
    assert not result.success
    assert list(tmp_path.rglob("*.*")) == []


def test_an_input_without_the_kind_of_its_record_is_refused(tmp_path: Path) -> None:
    @dg.asset
    def careless(upstream) -> dg.MaterializeResult[ScanInventory]:
        return dg.MaterializeResult(value=upstream)

    assert not run(tmp_path, upstream, careless).success


def test_a_record_of_another_kind_or_none_at_all_is_refused_with_what_to_do(store: FolderStore) -> None:
    RecordIOManager(url=str(store.root)).handle_output(dg.build_output_context(asset_key="a"), INVENTORY)
    with pytest.raises(
        RecordError, match="a holds a ScanInventory, expected a ReportFiles: materialise it again"
    ):
        latest_record(store, "a", ReportFiles)
    with pytest.raises(MissingObjectError, match="materialise the stage"):
        latest_record(store, "b", ReportFiles)


def test_a_lazy_store_does_what_its_store_does_and_touches_nothing_before(tmp_path: Path) -> None:
    lazy = LazyStore(str(tmp_path / "later"))
    assert not (tmp_path / "later").exists()
    lazy.write("a/b", b"xyz")
    assert lazy.create("a/b", b"no") is False
    assert (lazy.read("a/b"), lazy.size("a/b"), list(lazy.keys("a/"))) == (b"xyz", 3, ["a/b"])
    with lazy.open("a/b") as reader:
        assert reader.read(2) == b"xy"
    elsewhere = pickle.loads(pickle.dumps(lazy))  # another process opens it anew
    assert elsewhere.read("a/b") == b"xyz"
    lazy.delete("a/b")
    assert lazy.size("a/b") is None


def test_development_keys_are_made_once_and_never_where_they_are_forbidden(tmp_path: Path) -> None:
    folder = KeysFolder(folder=str(tmp_path / "keys"))
    first = folder.signer()
    assert first.development
    assert folder.signer().root == first.root
    with pytest.raises(TrustError, match=r"root\.json"):
        KeysFolder(folder=str(tmp_path / "none"), make_development_keys=False).signer()


def test_addresses_come_from_variables_and_default_below_var(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert private_url() == str(VAR / "private")
    monkeypatch.setenv("SYNTHDATA_PRIVATE", "s3://bucket/private")
    monkeypatch.setenv("SYNTHDATA_DATASETS", str(tmp_path))
    assert private_url() == "s3://bucket/private"
    assert spec_folders()[1:] == [tmp_path]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SYNTHDATA_ENGINE", "spark", "expected local or ray"),
        ("SYNTHDATA_RAY_WORKERS", "two", "is no number"),
        ("SYNTHDATA_TRAINING_PROCESSES", "0", "from 1 on"),
    ],
)
def test_a_wrong_engine_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv("SYNTHDATA_ENGINE", "ray")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words):
        default_resources()


def test_a_new_private_store_is_closed_to_other_users_and_a_release_store_is_not(tmp_path: Path) -> None:
    private, public = LazyStore(str(tmp_path / "p"), private=True), LazyStore(str(tmp_path / "r"))
    for store in (pickle.loads(pickle.dumps(private)), public):
        store.write("a/b", b"c")
    assert (tmp_path / "p").stat().st_mode & 0o077 == 0
    assert (tmp_path / "r").stat().st_mode & 0o055 == 0o055
    assert (tmp_path / "r" / "a" / "b").stat().st_mode & 0o044 == 0o044
    run(tmp_path / "q", upstream)
    assert (tmp_path / "q").stat().st_mode & 0o077 == 0
