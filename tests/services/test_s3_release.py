# ruff: noqa: F811 - fixtures of the release tests, by import
"""The same release code against a real S3 server."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from synthdata.errors import IntegrityError, StoreError, TrustError
from synthdata.release import publish
from synthdata.release.client import check, list_releases, pull
from synthdata.release.trust import recall
from synthdata.storage import commit_blob, open_store
from tests.release.builders import spec_of, tree
from tests.release.conftest import (  # noqa: F401 - fixtures
    _own_trust,
    _short_report,
    built,
    made,
    master,
    private,
    signer,
)

pytestmark = [pytest.mark.service, pytest.mark.slow]


def test_a_release_goes_to_s3_and_comes_back(s3_url: str, built, signer, tmp_path: Path) -> None:
    releases = open_store(s3_url)
    assert publish(*built, releases, signer=signer).uploaded == len(built[1].files)
    assert publish(*built, releases, signer=signer).uploaded == 0
    assert list_releases(s3_url).releases[0].cases == 6
    assert pull("ellipsoids", None, s3_url, tmp_path / "got").complete
    assert check(tmp_path / "got").ok
    found = {
        name: digest for name, digest in tree(tmp_path / "got").items() if not name.startswith(".synthdata/")
    }
    assert found == tree(built[0])


def test_an_interrupted_pull_from_s3_goes_on_inside_a_file(
    s3_url: str, built, signer, tmp_path: Path
) -> None:
    publish(*built, open_store(s3_url), signer=signer)
    folder = tmp_path / "got"
    pull("ellipsoids", None, s3_url, folder)
    whole = (folder / "dicom/cases-00000.tar").read_bytes()
    (folder / "dicom/cases-00000.tar").unlink()
    (folder / "dicom/cases-00000.tar.part").write_bytes(whole[:4321])
    assert pull("ellipsoids", None, s3_url, folder).moved == 1
    assert check(folder).ok


def test_s3_refuses_other_bytes_under_a_version_and_tells_of_a_recall(
    s3_url: str,
    built,
    made,
    private,
    signer,
    tmp_path: Path,
) -> None:
    releases = open_store(s3_url)
    publish(*built, releases, signer=signer)
    other = made.build(private, tmp_path / "other", created="2026-11-22")
    with pytest.raises(TrustError, match="never changes"):
        publish(tmp_path / "other", other, releases, signer=signer)
    newer = replace(made, spec=spec_of(version="1.0.1")).build(private, tmp_path / "newer")
    publish(tmp_path / "newer", newer, releases, signer=signer)
    recall(releases, signer, "ellipsoids", "1.0.1", "wrong side")
    assert pull("ellipsoids", None, s3_url, tmp_path / "got").version == "1.0.0"


def test_a_changed_object_in_s3_is_refused(s3_url: str, built, signer, tmp_path: Path) -> None:
    releases = open_store(s3_url)
    publish(*built, releases, signer=signer)
    key = "datasets/ellipsoids/1.0.0/records.parquet"
    data = bytearray(releases.read(key))
    data[100] ^= 1
    releases.write(key, bytes(data))
    with pytest.raises(IntegrityError, match=r"records\.parquet"):
        pull("ellipsoids", None, s3_url, tmp_path / "got")
    assert not (tmp_path / "got" / "records.parquet").exists()


def test_s3_creates_only_once_and_keeps_order(s3_url: str, tmp_path: Path) -> None:
    store = open_store(s3_url)
    assert store.create("a/1", b"first")
    assert not store.create("a/1", b"second")
    assert store.read("a/1") == b"first"
    (tmp_path / "blob").write_bytes(bytes(range(256)) * 40_000)  # 10 MB
    commit_blob(store, "a/0", tmp_path / "blob")
    assert list(store.keys("a/")) == ["a/0", "a/1"]
    with store.open("a/0") as reader:
        reader.seek(5_000_001)
        assert reader.read(3) == (bytes(range(256)) * 40_000)[5_000_001:5_000_004]
    elsewhere = pickle.loads(pickle.dumps(store))  # another process opens a client of its own
    assert elsewhere.read("a/1") == b"first"
    store.delete("a/1")
    assert store.size("a/1") is None


def test_a_public_bucket_is_read_without_credentials_and_a_private_one_by_links(
    s3_url: str, built, signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    from synthdata.release.client.links import write_links

    publish(*built, open_store(s3_url), signer=signer)
    made = write_links("ellipsoids", "1.0.0", s3_url, tmp_path / "links.json", seconds=600)
    assert made.links > len(built[1].files)
    bucket = s3_url.split("/")[2]
    owner = boto3.client("s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(StoreError, match="AccessDenied"):
        pull("ellipsoids", None, s3_url, tmp_path / "refused")
    assert pull("ellipsoids", None, str(tmp_path / "links.json"), tmp_path / "linked").complete
    statement = {
        "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]
    }  # fmt: skip
    owner.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert pull("ellipsoids", None, s3_url, tmp_path / "public").complete
    assert check(tmp_path / "public").ok
