"""Shards whose cases come one by one: what they hold, how much of it is in memory, what is left where a step fails."""

import errno
import io
import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from synthdata.errors import IntegrityError, RecordError, StoreError
from synthdata.records import shard_file
from synthdata.records.parquet import read_cases, read_records, read_shard
from synthdata.records.shard_file import staged_shard
from synthdata.storage import incoming
from synthdata.storage.commit import stored_sha256
from synthdata.storage.folder import FolderStore
from synthdata.storage.forwarding import ForwardingStore
from tests.records.test_parquet import CASE_SET, ellipsoids


class Elsewhere(ForwardingStore):
    """A store of which nothing is known but what every store can do."""

    def __init__(self, behind: FolderStore) -> None:
        self._behind = behind

    @property
    def behind(self) -> FolderStore:
        return self._behind


def committed(store, cases):
    with staged_shard(store, CASE_SET, "intake", cases[0].image.dtype.name) as shard:
        for case in cases:
            shard.add(case)
        return shard.commit()


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("group_bytes", [1, 40_000, 1 << 30])
def test_cases_come_back_whatever_the_size_of_a_row_group(tmp_path, monkeypatch, group_bytes) -> None:
    monkeypatch.setattr(shard_file, "ROW_GROUP_BYTES", group_bytes)
    cases, store = list(ellipsoids(20)), FolderStore(tmp_path)
    ref = committed(store, cases)
    found = list(read_shard(store, CASE_SET, ref))
    assert [case.case_id for case in found] == [case.case_id for case in cases]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, cases, strict=True))
    assert (ref.cases, ref.size_bytes) == (20, store.size(ref.key))
    assert ref.sha256 == stored_sha256(store, ref.key)
    assert files_in(tmp_path) == [f"{ref.sha256}.parquet"]


def test_no_other_thread_reads_a_shard(tmp_path, monkeypatch) -> None:
    store, cases = FolderStore(tmp_path), list(ellipsoids(3))
    case_set, threads = replace(CASE_SET, shards=(committed(store, cases),)), set[int]()

    class Watched(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.add(threading.get_ident())
            return super().read(size)

    monkeypatch.setattr(FolderStore, "open", lambda self, key: Watched(io.FileIO(self.path(key))))
    assert len(list(read_cases(store, case_set, verify=False))) == len(cases)
    assert read_records(store, case_set).num_rows == len(cases)
    assert threads == {threading.get_ident()}


def test_a_folder_and_any_other_store_get_the_same_shard(tmp_path) -> None:
    cases = list(ellipsoids(5))
    elsewhere = Elsewhere(FolderStore(tmp_path / "elsewhere"))
    assert committed(FolderStore(tmp_path / "here"), cases) == committed(elsewhere, cases)


def test_a_case_is_let_go_once_its_row_group_is_full(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shard_file, "ROW_GROUP_CASES", 4)
    with staged_shard(FolderStore(tmp_path), CASE_SET, "intake", "int16") as shard:
        for number, case in enumerate(ellipsoids(9), 1):
            shard.add(case)
            assert len(shard._group) == number % 4


def test_a_shard_that_is_there_is_kept_and_a_torn_one_replaced(tmp_path) -> None:
    cases, store = list(ellipsoids(3)), FolderStore(tmp_path)
    ref = committed(store, cases)
    path = store.path(ref.key)
    inode = path.stat().st_ino
    assert committed(store, cases) == ref
    assert path.stat().st_ino == inode
    os.truncate(path, 100)
    assert committed(store, cases) == ref
    assert stored_sha256(store, ref.key) == ref.sha256
    path.write_bytes(bytes(ref.size_bytes))  # as long, and wrong
    assert committed(store, cases) == ref
    assert stored_sha256(store, ref.key) == ref.sha256


def test_a_disk_that_gives_back_other_bytes_is_told_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(incoming, "_read_at", lambda handle, size, at: bytes(size))
    with pytest.raises(IntegrityError, match="check the disk"):
        committed(FolderStore(tmp_path), list(ellipsoids(2)))
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_step_that_fails_leaves_nothing(tmp_path, monkeypatch, elsewhere) -> None:
    monkeypatch.setattr(incoming.tempfile, "tempdir", str(tmp_path))
    store = FolderStore(tmp_path / "store")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match=r"^the disk is full at"):
        committed(Elsewhere(store) if elsewhere else store, list(ellipsoids(1)))
    assert files_in(tmp_path) == []


def test_what_a_killed_writer_left_is_removed_at_once_and_what_another_one_writes_is_not(tmp_path) -> None:
    store = FolderStore(tmp_path)
    script = """
import os, signal, sys
from pathlib import Path
from synthdata.storage.folder import FolderStore
from synthdata.storage.incoming import incoming
with incoming(FolderStore(Path(sys.argv[1])), "shards/new") as file:
    file.write(b"half a shard")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (left,) = files_in(tmp_path)
    with incoming.incoming(store, "shards/new"):
        (one,) = files_in(tmp_path)
        assert one != left
        incoming._sweep.cache_clear()  # as in another process
        with incoming.incoming(store, "shards/new"):
            assert len(files_in(tmp_path)) == 2
            assert one in files_in(tmp_path)
    assert files_in(tmp_path) == []


def test_a_folder_of_many_shards_is_searched_once_in_a_process(tmp_path, monkeypatch) -> None:
    searched: list[Path] = []
    original = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, *rest: (searched.append(path), original(path, *rest))[1])
    for cases in range(1, 4):
        committed(FolderStore(tmp_path), list(ellipsoids(cases)))
    assert len(searched) == 1


def test_voxels_of_another_type_are_refused(tmp_path) -> None:
    one, other = islice(ellipsoids(2), 2)
    with pytest.raises(RecordError, match="expected int16"):
        committed(FolderStore(tmp_path), [one, replace(other, image=other.image.astype(np.float32))])
    assert files_in(tmp_path) == []
