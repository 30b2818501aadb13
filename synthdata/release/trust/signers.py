"""Signers by address: a file, a variable of the environment, a key of a cloud's KMS, a hardware token (PKCS#11).

`securesystemslib` knows the clouds and the tokens; each needs its own client library, which its error names.
"""

import os
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    AWSSigner,
    AzureSigner,
    CryptoSigner,
    GCPSigner,
    HSMSigner,
    Key,
    Signer,
)
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata

from synthdata.errors import ConfigError, TrustError
from synthdata.storage.disk import disk_sentence

T = TypeVar("T")
ENVIRONMENT, FILE, TOKEN = "envvar", "file", "hsm"
PIN = "SYNTHDATA_HSM_PIN"
FORMS = (
    "file:PATH, envvar:NAME, awskms:KEY, gcpkms:projects/..., azurekms://VAULT/KEY or hsm:NUMBER?label=TOKEN"
)
CLOUDS: dict[str, Callable[[str], tuple[str, Key]]] = {
    "awskms": AWSSigner.import_,
    "gcpkms": GCPSigner.import_,
    "azurekms": lambda path: AzureSigner.import_(*path.strip("/").split("/")[:2]),
}
MODULE = "PYKCS11LIB"  # variable with the library of the token's maker, read by securesystemslib


def import_key(uri: str) -> tuple[str, Key]:
    """Public key behind an address, and the address by which it signs from now on.

    Raises:
        ConfigError: The address has another form.
        TrustError: There is no such key, or its client library is not installed.
    """
    scheme, _, path = uri.partition(":")
    if scheme in {FILE, ENVIRONMENT}:
        return uri, _local(scheme, path).public_key
    _check_module(scheme)
    return _speaking(uri, lambda: _import(scheme, path, uri))


def open_signer(uri: str, public_key: Key) -> Signer:
    """Signer of a public key, by its address.

    Raises:
        TrustError: The key is another one, is not at hand, or its client library is not installed.
    """
    scheme, _, path = uri.partition(":")
    if scheme in {FILE, ENVIRONMENT}:
        signer: Signer = _local(scheme, path)
    else:
        _check_module(scheme)
        signer = _speaking(uri, lambda: Signer.from_priv_key_uri(uri, public_key, _pin))
    if signer.public_key.keyid != public_key.keyid:
        raise TrustError(f"the key at {uri} is not the one that root.json names: bring the right one")
    return signer


def sign_with(metadata: Metadata[Any], signer: Signer, what: str) -> None:
    """Add a signature. Raises TrustError where the key's file, cloud or token refuses."""
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        reason = type(error.__cause__ or error).__name__
        raise TrustError(
            f"the key of {what} cannot sign ({reason}), expected a key at hand: check the PIN, the token or the rights "
            "in the cloud, and run it again"
        ) from error


def pem_signer(data: bytes, name: str) -> CryptoSigner:
    """Signer of a private key in PEM. Raises TrustError where it is none."""
    try:
        return CryptoSigner(load_pem_private_key(data, password=None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TrustError(f"{name} is no Ed25519 key in PEM: restore it from a backup") from error


def _local(scheme: str, path: str) -> CryptoSigner:
    if scheme == ENVIRONMENT:
        text = os.environ.get(path)
        if not text:
            raise TrustError(f"the variable {path} holds no key: export the key in PEM")
        return pem_signer(text.encode(), f"the variable {path}")
    file = Path(path)
    try:
        mode, data = file.stat().st_mode, file.read_bytes()
    except OSError as error:
        raise TrustError(disk_sentence(file.name, error, "read")) from error
    if os.name == "posix" and mode & 0o077:
        raise TrustError(
            f"{file.name} can be read by others, expected mode 0600: chmod 600 it, or make new keys"
        )
    return pem_signer(data, file.name)


def _import(scheme: str, path: str, uri: str) -> tuple[str, Key]:
    if scheme == TOKEN:
        parts = urlsplit(uri)
        number = int(parts.path) if parts.path else None
        found: tuple[str, Key] = HSMSigner.import_(number, dict(parse_qsl(parts.query)).get("label"), _pin)
        return found
    if scheme not in CLOUDS:
        raise ConfigError(f"the signer is {uri!r}, expected {FORMS}")
    return CLOUDS[scheme](path)


def _check_module(scheme: str) -> None:
    """Raises TrustError where a token is asked for and nothing says how to speak with it."""
    path = os.environ.get(MODULE, "")
    if scheme == TOKEN and not Path(path).is_file():
        raise TrustError(
            f"the signer is a token, and {MODULE} is {path or 'not set'!r}, expected the PKCS#11 library of its maker, "
            "such as /usr/lib/softhsm/libsofthsm2.so: set the variable"
        )


def _speaking(uri: str, act: Callable[[], T]) -> T:
    """Say in one sentence what a client library of a KMS or a token has met; their errors share no base."""
    try:
        return act()
    except (ConfigError, TrustError):
        raise
    except UnsupportedLibraryError as error:
        extra = uri.partition(":")[0]
        raise TrustError(
            f"the signer {uri} needs a client library ({error}): pip install 'securesystemslib[{extra}]'"
        ) from error
    except Exception as error:  # boto3's, Google's, Azure's and PKCS#11's own
        raise TrustError(
            f"the signer {uri} cannot be used ({type(error).__name__}), expected {FORMS}: check the address and "
            "the rights"
        ) from error


def _pin(secret: str) -> str:
    """PIN of a hardware token."""
    return os.environ.get(PIN) or getpass(f"{secret}: ")
