# ruff: noqa: F811 - fixtures of the release tests, by import
"""A bucket that refuses, is missing or is full: a sentence, and the next try completes the release."""

import random
from pathlib import Path

import boto3
import pytest

from synthdata.errors import StoreError
from synthdata.release import publish
from synthdata.release.client import check, list_releases, pull
from synthdata.storage import open_store
from tests.release.conftest import (  # noqa: F401 - fixtures
    _own_trust,
    _short_report,
    built,
    master,
    signer,
)
from tests.services.fault_proxy import WRITING, FaultySharesProxy
from tests.services.radosgw import ACCESS_KEY, SECRET_KEY, Radosgw

pytestmark = [pytest.mark.service, pytest.mark.slow]
REFUSED = (
    r"may not be used in S3 \(\w+\), expected credentials with a right to the bucket: check AWS_ACCESS_KEY_ID"
)


@pytest.mark.parametrize(
    ("access", "secret"),
    [(ACCESS_KEY, "wrong-secret"), ("unknown-access", SECRET_KEY), (None, None)],
    ids=["secret", "user", "none"],
)
def test_wrong_credentials_publish_nothing_and_right_ones_all(
    s3_url: str, built, signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: str, secret: str
) -> None:
    with monkeypatch.context() as wrong:
        for name, value in {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}.items():
            wrong.delenv(name) if value is None else wrong.setenv(name, value)
        wrong.setenv("AWS_EC2_METADATA_DISABLED", "true")
        wrong.setattr(boto3, "DEFAULT_SESSION", None)
        with pytest.raises(StoreError, match=REFUSED) as caught:
            publish(*built, open_store(s3_url), signer=signer)
        assert "wrong-secret" not in str(caught.value)
        assert "unknown-access" not in str(caught.value)
        with pytest.raises(StoreError, match=REFUSED):
            list_releases(s3_url)
    with pytest.raises(StoreError, match="holds no signed releases"):
        list_releases(s3_url)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert publish(*built, open_store(s3_url), signer=signer).kept == 0
    assert pull("ellipsoids", None, s3_url, tmp_path / "got").complete


def test_a_bucket_of_somebody_else_is_refused(
    s3_url: str, s3_server: Radosgw, built, signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.make_user("other", access="other-access", secret="other-secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other-access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other-secret")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(
        StoreError, match=r"\(AccessDenied\), expected credentials with a right to the bucket"
    ):
        publish(*built, open_store(s3_url), signer=signer)


def test_a_bucket_that_is_missing_is_named(s3_url: str, built, signer) -> None:
    assert open_store(s3_url).size("a") is None
    with pytest.raises(StoreError, match=r"is not there \(NoSuchBucket\), expected one: make it"):
        publish(*built, open_store("s3://missing-bucket/releases"), signer=signer)


def test_a_full_bucket_is_completed_when_there_is_room(
    s3_url: str, s3_server: Radosgw, built, signer, tmp_path: Path
) -> None:
    with s3_server.quota(s3_url.split("/")[2], "100K"):
        with pytest.raises(
            StoreError, match=r"the bucket is full at object .+ \(QuotaExceeded\), expected room"
        ):
            publish(*built, open_store(s3_url), signer=signer)
        with pytest.raises(StoreError, match="holds no finished release"):
            list_releases(s3_url)
    made = publish(*built, open_store(s3_url), signer=signer)
    assert made.kept
    assert made.uploaded
    assert [line.version for line in list_releases(s3_url).releases] == ["1.0.0"]
    assert pull("ellipsoids", None, s3_url, tmp_path / "got").complete


@pytest.mark.parametrize("kind", list(WRITING))
def test_a_spoilt_share_of_the_requests_spoils_no_release(
    s3_url: str, s3_server: Radosgw, built, signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A fifth of the requests is answered 503, slowly, not to the end or not at all, or is done twice."""
    proxy = FaultySharesProxy(s3_server.endpoint, kind=kind, share=0.2)
    try:
        with monkeypatch.context() as spoilt:
            spoilt.setenv("AWS_ENDPOINT_URL", proxy.url)
            spoilt.setattr(boto3, "DEFAULT_SESSION", None)
            publish(*built, open_store(s3_url), signer=signer)
            assert pull("ellipsoids", None, s3_url, tmp_path / "got").complete
        assert proxy.spoilt
    finally:
        proxy.stop()
    assert check(tmp_path / "got").ok
    assert not [key for key in open_store(s3_url).keys("") if key.startswith(("claims/", "probes/"))]
    assert publish(*built, open_store(s3_url), signer=signer).uploaded == 0


def test_a_download_that_breaks_off_goes_on_where_it_was(
    s3_url: str, s3_server: Radosgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(1).randbytes(3_000_000)
    open_store(s3_url).write("large", data)
    proxy = FaultySharesProxy(s3_server.endpoint, kind="cut", share=0.5, seed=1)
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        assert b"".join(open_store(s3_url).chunks("large")) == data
        proxy.share = 0.2
        with open_store(s3_url).open("large") as reader:
            assert reader.read() == data
        assert proxy.spoilt
        proxy.share = 1.0
        with pytest.raises(StoreError, match="expected a server which answers"):
            list(open_store(s3_url).chunks("large"))
        with pytest.raises(StoreError, match="expected a server which answers"):
            open_store(s3_url).read("large")
    finally:
        proxy.stop()
