from pathlib import Path

import pytest

from assets.memo import keep, recall, stage_key
from assets.references import ReportFiles, ScanInventory
from assets.secret_keys import secret_key
from synthdata.errors import StoreError
from synthdata.records import CaseSet, ShardRef, digest_of
from synthdata.storage import keys
from synthdata.storage.folder import FolderStore

INVENTORY = ScanInventory(dataset="d", files=3, size_bytes=9, digest="0" * 64, origin="folder")


def case_set(store: FolderStore) -> CaseSet:
    store.write("datasets/d/shards/synthetic/a.parquet", b"12345")
    shard = ShardRef(key="datasets/d/shards/synthetic/a.parquet", sha256="a" * 64, size_bytes=5, cases=1)
    return CaseSet(
        dataset="d",
        origin="synthetic",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels={},
        columns=(),
        shards=(shard,),
    )


def test_work_on_the_same_inputs_is_remembered(store: FolderStore) -> None:
    keep(store, "d/intake/report", "key", INVENTORY)
    assert recall(store, "d/intake/report", "key", ScanInventory) == INVENTORY


def test_nothing_is_recalled_under_another_key_or_asset(store: FolderStore) -> None:
    keep(store, "d/intake/report", "key", INVENTORY)
    assert recall(store, "d/intake/report", "other", ScanInventory) is None
    assert recall(store, "e/intake/report", "key", ScanInventory) is None


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_work_is_done_again_when_an_object_of_its_record_is_lost(store: FolderStore, harm: str) -> None:
    record = case_set(store)
    keep(store, "d/generation/cases", "key", record)
    assert recall(store, "d/generation/cases", "key", CaseSet) == record
    if harm == "gone":
        store.delete(record.shards[0].key)
    else:
        store.write(record.shards[0].key, b"123")
    assert recall(store, "d/generation/cases", "key", CaseSet) is None


def test_a_report_whose_file_is_lost_is_written_again(store: FolderStore) -> None:
    store.write("datasets/d/reports/x/report.html", b"<html>")
    record = ReportFiles(dataset="d", verdict="v", files={"report.html": "datasets/d/reports/x/report.html"})
    keep(store, "d/validation/report", "key", record)
    assert recall(store, "d/validation/report", "key", ReportFiles) == record
    store.delete("datasets/d/reports/x/report.html")
    assert recall(store, "d/validation/report", "key", ReportFiles) is None


def test_a_record_that_was_changed_is_not_believed(store: FolderStore) -> None:
    keep(store, "d/intake/report", "key", INVENTORY)
    store.write(keys.record("ScanInventory", digest_of(INVENTORY)), b"{}")
    assert recall(store, "d/intake/report", "key", ScanInventory) is None
    keep(store, "d/intake/report", "key", INVENTORY)
    assert recall(store, "d/intake/report", "key", ScanInventory) == INVENTORY


def test_a_store_that_fails_is_not_taken_for_an_empty_one(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> bytes:
        raise StoreError(f"object {key} could not be used")

    monkeypatch.setattr(store, "read", refuse)
    with pytest.raises(StoreError, match="could not be used"):
        recall(store, "d/intake/report", "key", ScanInventory)


def test_a_stage_key_changes_with_spec_code_and_parents() -> None:
    key = stage_key(sections="a", code="b", parents=("c",))
    others = [
        stage_key(sections="x", code="b", parents=("c",)),
        stage_key(sections="a", code="x", parents=("c",)),
        stage_key(sections="a", code="b", parents=("x",)),
        stage_key(sections="a", code="b", parents=("c", "c")),
    ]
    assert key == stage_key(sections="a", code="b", parents=("c",))
    assert len({key, *others}) == 5


def test_a_secret_is_made_once_and_differs_between_stores(store: FolderStore, tmp_path: Path) -> None:
    first = secret_key(store, keys.WATERMARK_KEY)
    assert len(first) == 32
    assert secret_key(store, keys.WATERMARK_KEY) == first
    assert secret_key(store, keys.SPLIT_KEY) != first
    assert secret_key(FolderStore(tmp_path / "other"), keys.WATERMARK_KEY) != first
