"""Scans below a prefix of a real S3 server."""

import errno
import hashlib
import os
from collections import Counter
from pathlib import Path

import boto3
import pytest
import typer
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from synthdata.commands.intake import intake
from synthdata.errors import SourceError, StoreError
from synthdata.intake import take_in
from synthdata.intake.remote import fetch, look, s3_prefix
from synthdata.records import IntakeReport, from_json
from synthdata.storage.s3 import S3Store
from tests.services.conftest import s3_server, s3_url  # noqa: F401 - fixtures
from tests.services.fault_proxy import Fault, FaultProxy

pytestmark = [pytest.mark.service, pytest.mark.slow]


@pytest.fixture
def bucket(s3_url, build, tmp_path):  # noqa: F811 - a fixture
    """Two studies of three slices, and the address of their prefix."""
    for patient in range(2):
        grid = build.grid(shape_zyx=(3, 8, 6))
        for path in build.write(
            tmp_path / "pushed", build.series(f"PAT-{patient}", grid, seed=patient), f"{patient}-"
        ):
            put(s3_url, f"batch7/{path.name}", path.read_bytes())
    return s3_url


def client():
    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}))


def put(url: str, key: str, data: bytes) -> None:
    client().put_object(Bucket=url.split("/")[2], Key=f"releases/{key}", Body=data)


def here(root: Path) -> Counter:
    return Counter(
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "scans").rglob("*")
        if path.is_file()
    )


def there(tmp_path: Path) -> Counter:
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "pushed").iterdir())


def test_a_prefix_is_fetched_once_and_what_is_new_afterwards(
    bucket, build, tmp_path, monkeypatch, private
) -> None:
    root = tmp_path / "landing"
    streamed: list[str] = []
    original = S3Store.stream
    monkeypatch.setattr(
        S3Store, "stream", lambda self, key, *rest: (streamed.append(key), original(self, key, *rest))[1]
    )
    first = look(bucket)
    assert fetch(bucket, root).fetched == 6
    assert here(root) == there(tmp_path)
    assert fetch(bucket, root).fetched == 0
    assert len(streamed) == 6
    report = take_in(build.spec(), root / "scans", private, pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted) == (2, 6)
    put(bucket, "new/notes.txt", b"no image")
    put(bucket, "batch7/0-0000.dcm", (tmp_path / "pushed/1-0000.dcm").read_bytes())
    client().delete_object(Bucket=bucket.split("/")[2], Key="releases/batch7/1-0002.dcm")
    assert look(bucket) != first
    done = fetch(bucket, root)
    assert (done.fetched, done.removed, sorted(streamed[6:])) == (
        2,
        1,
        ["batch7/0-0000.dcm", "new/notes.txt"],
    )


def test_a_run_that_was_broken_off_goes_on(bucket, tmp_path, monkeypatch) -> None:
    root = tmp_path / "landing"
    original, calls = S3Store.stream, []

    def stream(self, key, *rest):
        calls.append(key)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, key, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "stream", stream)
        with pytest.raises(KeyboardInterrupt):
            fetch(bucket, root)
    assert here(root).total() == 3
    fetch(bucket, root)
    assert here(root) == there(tmp_path)


def test_an_object_that_changes_while_it_is_fetched_is_left_for_the_next_time(
    bucket, tmp_path, monkeypatch
) -> None:
    root = tmp_path / "landing"
    monkeypatch.setattr(s3_prefix, "FIRST_PAUSE_S", 0.0)
    original = S3Store.listing

    def listing(self, what):
        found = list(original(self, what))
        if not (root / "scans" / "batch7").exists():
            put(bucket, found[0][0], b"changed since it was listed")
        return iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "listing", listing)
        done = fetch(bucket, root)
    assert (done.fetched, len(done.failed)) == (5, 1)
    assert not any("batch7" in str(error) for error in done.failed)
    assert fetch(bucket, root).fetched == 1


def test_wrong_keys_buckets_and_credentials_are_sentences_without_names(
    bucket, tmp_path, monkeypatch
) -> None:
    with pytest.raises(SourceError, match="holds no scan that the address asks for"):
        fetch(f"{bucket}/nothing", tmp_path / "a")
    with pytest.raises(StoreError, match=r"the bucket of object of the scans is not there \(NoSuchBucket\)"):
        fetch("s3://no-such-bucket-here/scans", tmp_path / "b")
    put(bucket, "a/../../etc/passwd", b"x")
    with pytest.raises(SourceError, match="cannot be the name of a file"):
        fetch(bucket, tmp_path / "c")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StoreError, match="may not be used in S3") as caught:
        fetch(bucket, tmp_path / "d")
    assert "batch7" not in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


def test_the_command_takes_a_prefix(bucket, tmp_path) -> None:
    intake(bucket, tmp_path / "report.json")
    assert from_json(IntakeReport, (tmp_path / "report.json").read_bytes()).accepted == 6


def test_more_than_one_page_of_keys_is_listed_and_odd_signs_are_part_of_a_prefix(
    bucket, tmp_path, monkeypatch
) -> None:
    for number in range(1005):
        put(bucket, f"many #1?/{number:04d}.txt", b"%d" % number)
    put(bucket, "many ", b"beside the prefix")
    done = fetch(f"{bucket}/many #1?", tmp_path / "landing")
    assert (done.seen, done.fetched) == (1005, 1005)


def test_a_key_that_is_also_a_folder_leaves_itself_out_and_says_why(bucket, tmp_path, capsys) -> None:
    put(bucket, "batch7/0-0000.dcm/notes.txt", b"x")
    done = fetch(bucket, tmp_path / "landing")
    assert (done.fetched, [str(error).partition(",")[0] for error in done.failed]) == (
        6,
        ["the prefix holds an object whose key is also the folder of others"],
    )
    with pytest.raises(typer.Exit):
        intake(bucket, keep=tmp_path / "kept")
    assert "1: the prefix holds an object whose key is also the folder of others" in capsys.readouterr().err


def test_a_file_that_becomes_a_folder_is_exchanged(bucket, tmp_path) -> None:
    put(bucket, "later", b"x")
    fetch(bucket, tmp_path / "landing")
    client().delete_object(Bucket=bucket.split("/")[2], Key="releases/later")
    put(bucket, "later/1.txt", b"y")
    done = fetch(bucket, tmp_path / "landing")
    assert (done.fetched, done.removed, done.failed) == (1, 1, [])


def test_objects_deleted_since_they_were_listed_end_no_run_and_are_not_asked_for_again(
    bucket, tmp_path, monkeypatch
) -> None:
    original, asked = S3Store.listing, []
    stream = S3Store.stream

    def listing(self, what):
        found = list(original(self, what))
        for key, _, _ in found[:4]:
            client().delete_object(Bucket=bucket.split("/")[2], Key=f"releases/{key}")
        return iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "listing", listing)
        patch.setattr(
            S3Store, "stream", lambda self, key, *rest: (asked.append(key), stream(self, key, *rest))[1]
        )
        done = fetch(bucket, tmp_path / "landing")
    assert (done.fetched, len(done.failed), len(asked)) == (2, 4, 6)
    assert {"is gone or another one now" in str(error) for error in done.failed} == {True}
    assert fetch(bucket, tmp_path / "landing").failed == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_object_is_never_taken_and_the_next_run_completes(
    bucket, tmp_path, monkeypatch, chunked
) -> None:
    root = tmp_path / "landing"
    monkeypatch.setattr(s3_prefix, "FIRST_PAUSE_S", 0.0)
    proxy = FaultProxy(os.environ["AWS_ENDPOINT_URL"])
    proxy.spoil = lambda _number, path: Fault(cut=0.5, chunked=chunked) if path.endswith(".dcm") else None
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    try:
        with pytest.raises(StoreError, match="run it again"):
            fetch(bucket, root)
        assert here(root) == Counter()
        proxy.spoil = lambda *_: None
        assert fetch(bucket, root).fetched == 6
    finally:
        proxy.stop()
    assert here(root) == there(tmp_path)


def test_objects_that_went_up_in_parts_are_fetched_once(bucket, tmp_path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(6 << 20))
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client().upload_file(str(large), bucket.split("/")[2], "releases/batch7/large.bin", Config=parts)
    fetch(bucket, tmp_path / "landing")
    assert (tmp_path / "landing/scans/batch7/large.bin").read_bytes() == large.read_bytes()
    assert fetch(bucket, tmp_path / "landing").fetched == 0


def test_a_full_disk_ends_the_run_at_once(bucket, tmp_path, monkeypatch) -> None:
    asked: list[str] = []

    def full(self, key, *rest):
        asked.append(key)
        raise OSError(errno.ENOSPC, "no room")
        yield b""

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "stream", full)
        with pytest.raises(StoreError, match="the disk is full at the folder for fetched scans"):
            fetch(bucket, tmp_path / "landing")
    assert len(asked) == 1
    assert fetch(bucket, tmp_path / "landing").fetched == 6
