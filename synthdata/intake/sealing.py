"""Encryption of quarantined files at rest: AES-256-GCM, bound to the file's digest."""

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from synthdata.errors import ConfigError, IntegrityError
from synthdata.storage.disk import disk_sentence

MAGIC = b"SDQ1"
KEY_BYTES = 32
NONCE_BYTES = 12
VARIABLE = "SYNTHDATA_QUARANTINE_KEY"


class Seal:
    """Seals and opens bytes with one key. Source: NIST SP 800-38D."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(
                f"the quarantine key has {len(key)} bytes, expected {KEY_BYTES}: make a new one"
            )
        self._cipher = AESGCM(key)

    def close(self, data: bytes, sha256: str) -> bytes:
        """Ciphertext with a nonce of its own; `sha256` is of the data."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return MAGIC + nonce + self._cipher.encrypt(nonce, data, sha256.encode())

    def open(self, sealed: bytes, sha256: str) -> bytes:
        """The data. Raises IntegrityError for another key or changed bytes."""
        start = len(MAGIC) + NONCE_BYTES
        try:
            data = self._cipher.decrypt(sealed[len(MAGIC) : start], sealed[start:], sha256.encode())
        except (InvalidTag, ValueError):
            data = None
        if data is None or not sealed.startswith(MAGIC):
            raise IntegrityError(
                "a quarantined file cannot be opened, since it was changed or sealed with another key: name that key, "
                "or remove the file and take the source in again"
            )
        return data


def seal_of_environment() -> Seal | None:
    """The seal whose key file SYNTHDATA_QUARANTINE_KEY names (32 bytes, or 64 hex digits); None where it is not set.

    Raises:
        ConfigError: The file cannot be read, is no such key, or others may read it too.
    """
    name = os.environ.get(VARIABLE, "")
    if not name:
        return None
    try:
        _require_private(Path(name))
        data = Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(disk_sentence("the quarantine key", error, "read")) from None
    if len(data) != KEY_BYTES:
        try:
            data = bytes.fromhex(data.decode("ascii").strip())
        except ValueError:
            data = b""
    return Seal(data)


def _require_private(path: Path) -> None:
    """Nobody else may read the key; the group may where another one owns it, as clusters mount secrets."""
    facts = path.stat()
    others = stat.S_IRWXO if facts.st_uid != os.geteuid() else stat.S_IRWXO | stat.S_IRWXG
    if facts.st_mode & others:
        raise ConfigError(
            f"the quarantine key has the rights {stat.S_IMODE(facts.st_mode):04o}, so others may read it, expected "
            "0600: run chmod 600 on it, and make a new one if others had access"
        )
