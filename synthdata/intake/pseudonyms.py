"""Keyed pseudonyms: the same person under one key has one name, and nobody without the key can make it."""

import hashlib
import hmac

from synthdata.errors import ConfigError

KEY_BYTES = 16  # least length of a key which cannot be tried out


class Pseudonyms:
    """Names by HMAC-SHA256, cut to 64 bit. Source: FIPS 198-1; ENISA, Pseudonymisation techniques, 2019."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise ConfigError(
                f"the pseudonym key has {len(key)} bytes, expected at least {KEY_BYTES}: make a new one"
            )
        self._key = key
        self._file_key = hashlib.sha256(b"files\0" + key).digest()

    def patient(self, identifier: str) -> str:
        """Pseudonym of a patient id of the source."""
        return f"P-{self._name('patient', identifier.strip())}"

    def case(self, identifier: str, study: str) -> str:
        """Pseudonym of one study of one patient."""
        return f"C-{self._name('case', identifier.strip(), study.strip())}"

    def file(self, name: str) -> str:
        """Pseudonym of a file's name, of 128 bit; fast, since an archive has many."""
        data = name.encode(errors="surrogateescape")
        return hashlib.blake2b(data, key=self._file_key, digest_size=16).hexdigest()

    def tag(self) -> str:
        """Tells one key from another and gives none away."""
        return self._name("tag")

    def _name(self, *parts: str) -> str:
        message = b"\0".join(part.encode() for part in parts)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:16]
