"""Services for tests, each a real server; a test whose server cannot run here is skipped with what to install."""

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import radosgw


@pytest.fixture(scope="session")
def s3_server() -> Iterator[radosgw.Radosgw]:
    """radosgw, for all tests of the session."""
    if reason := radosgw.missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="rgw-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            yield radosgw.start(folder)
        finally:
            radosgw.stop(folder)


@pytest.fixture
def s3_url(s3_server: radosgw.Radosgw, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a new and empty bucket; the `AWS_*` variables are set for the test."""
    import boto3
    from botocore.config import Config

    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of an earlier test
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", config=Config(s3={"addressing_style": "path"})).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/releases"
