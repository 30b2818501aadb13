# ruff: noqa: F811 - fixtures of the release tests, by import
"""Keys in a cloud's KMS sign a store, by their address; what is missing or refused is one sentence."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest

from synthdata.errors import TrustError
from synthdata.release import publish
from synthdata.release.client import pull
from synthdata.release.trust import load_signer, resign_timestamp
from synthdata.storage.folder import FolderStore
from tests.release.conftest import _own_trust, _short_report, built, master  # noqa: F401 - fixtures
from tests.services import kms

ADDRESSES = {
    "gcpkms": "gcpkms:projects/p/locations/europe/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
    "azurekms": "azurekms://vault.vault.azure.net/key",
}
LIBRARIES = {"gcpkms": "google.cloud.kms", "azurekms": "azure.identity"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[kms.KeyService]:
    with kms.running() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of an earlier test
        yield server


def keys(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as its users call it."""
    command = [sys.executable, "-m", "synthdata.cli", "keys", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_keys_of_aws_kms_sign_releases_and_timestamps(service: kms.KeyService, built, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = keys(
        "init",
        str(folder),
        "--signer",
        "targets=awskms:alias/targets",
        "--signer",
        "timestamp=awskms:1234abcd",
    )
    assert made.returncode == 0, made.stderr
    assert not {"targets.pem", "timestamp.pem"} & {path.name for path in folder.iterdir()}
    releases = FolderStore(tmp_path / "releases")
    publish(*built, releases, signer=load_signer(folder))
    before = service.signed
    resign_timestamp(releases, load_signer(folder))
    assert service.signed == before + 1
    assert pull("ellipsoids", None, releases.url, tmp_path / "got").complete
    assert "awskms:alias/targets" in keys("status", str(folder)).stdout

    service.refusing = True
    with pytest.raises(TrustError, match=r"the key of timestamp cannot sign .* rights in the cloud"):
        resign_timestamp(releases, load_signer(folder))


def test_a_key_that_aws_refuses_is_a_sentence_and_leaves_no_keys(
    service: kms.KeyService, tmp_path: Path
) -> None:
    service.refusing = True
    refused = keys("init", str(tmp_path / "keys"), "--signer", "targets=awskms:alias/theirs")
    assert refused.returncode == 1
    assert "the signer awskms:alias/theirs cannot be used" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("cloud", ["gcpkms", "azurekms"])
def test_a_cloud_without_its_library_is_told_with_what_to_install(tmp_path: Path, cloud: str) -> None:
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec(LIBRARIES[cloud]) is not None:
            pytest.skip(f"{LIBRARIES[cloud]} is installed here")
    refused = keys("init", str(tmp_path / "keys"), "--signer", f"timestamp={ADDRESSES[cloud]}")
    assert refused.returncode == 1
    assert f"pip install 'securesystemslib[{cloud}]'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "keys").exists()
