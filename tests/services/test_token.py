# ruff: noqa: F811 - fixtures of the release tests, by import
"""A hardware token signs a store: SoftHSM2 speaks PKCS#11 as a real one does, and its keys never leave it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from synthdata.errors import TrustError
from synthdata.release import publish
from synthdata.release.client import check, pull
from synthdata.release.trust import Ceremony, init_keys, load_signer, resign_timestamp
from synthdata.storage.folder import FolderStore
from tests.release.conftest import _own_trust, _short_report, built, master  # noqa: F401 - fixtures

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN, LABEL = "1234", "releases"
pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(
        shutil.which("softhsm2-util") is None or not LIBRARY.exists(),
        reason="needs SoftHSM2: apt-get install softhsm2",
    ),
]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory):
    """An initialised token with P-256 keys 2 and 3; one for the module, as the library remembers its tokens."""
    pkcs11 = pytest.importorskip("pkcs11", reason="needs python-pkcs11: pip install 'securesystemslib[hsm]'")
    from pkcs11.util.ec import encode_named_curve_parameters

    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        patch.setenv("PYKCS11LIB", str(LIBRARY))
        patch.setenv("SYNTHDATA_HSM_PIN", PIN)
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            LABEL,
            "--pin",
            PIN,
            "--so-pin",
            "5678",
        ]
        subprocess.run(command, check=True, capture_output=True)
        with pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            for number in (2, 3):
                parameters.generate_keypair(store=True, id=bytes([number]))
        yield folder


def test_a_token_signs_releases_and_timestamps_and_its_keys_are_no_files(
    token, built, tmp_path: Path
) -> None:
    addresses = {"targets": f"hsm:2?label={LABEL}", "timestamp": f"hsm:3?label={LABEL}"}
    signer = init_keys(tmp_path / "keys", ceremony=Ceremony(addresses=addresses))
    assert not {"targets.pem", "timestamp.pem"} & {path.name for path in (tmp_path / "keys").iterdir()}
    releases = FolderStore(tmp_path / "releases")
    publish(*built, releases, signer=signer)
    resign_timestamp(releases, load_signer(tmp_path / "keys"))
    assert pull("ellipsoids", None, releases.url, tmp_path / "got").complete
    assert check(tmp_path / "got").ok


@pytest.mark.parametrize(
    ("address", "pin", "words"),
    [(f"hsm:9?label={LABEL}", PIN, "hsm:9"), ("hsm:2?label=other", PIN, "hsm:2.label=other")],
)
def test_a_key_or_token_that_is_not_there_is_a_sentence(
    token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, pin: str, words: str
) -> None:
    monkeypatch.setenv("SYNTHDATA_HSM_PIN", pin)
    with pytest.raises(TrustError, match=f"the signer {words}.* cannot be used"):
        init_keys(tmp_path / "keys", ceremony=Ceremony(addresses={"targets": address}))
    assert not (tmp_path / "keys").exists()


def test_a_token_without_its_library_is_a_sentence(
    token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYKCS11LIB")
    with pytest.raises(
        TrustError, match="PYKCS11LIB is 'not set', expected the PKCS#11 library of its maker"
    ):
        init_keys(tmp_path / "keys", ceremony=Ceremony(addresses={"targets": f"hsm:2?label={LABEL}"}))


def test_a_wrong_pin_publishes_nothing(token, built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = init_keys(tmp_path / "keys", ceremony=Ceremony(addresses={"targets": f"hsm:2?label={LABEL}"}))
    monkeypatch.setenv("SYNTHDATA_HSM_PIN", "0000")
    releases = FolderStore(tmp_path / "releases")
    with pytest.raises(TrustError, match=r"targets.* cannot sign"):
        publish(*built, releases, signer=signer)
    assert releases.size("metadata/timestamp.json") is None
