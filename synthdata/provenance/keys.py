"""The secret key of the watermark: made once, kept in the private store, named in public by a hash."""

import hashlib
import secrets

from synthdata.errors import ConfigError
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore

KEY_BYTES = 32


def load_or_create_watermark_key(private: ObjectStore) -> bytes:
    """The watermark key of a private store; the first caller makes it, at random.

    A store keeps one key for ever: with another key the marks of earlier releases could no longer be found.

    Raises:
        ConfigError: The stored key has another length.
        StoreError: The store cannot be read or written.
    """
    private.create(keys.WATERMARK_KEY, secrets.token_bytes(KEY_BYTES))
    return checked_key(private.read(keys.WATERMARK_KEY))


def checked_key(key: bytes) -> bytes:
    """The key, refused unless it has the right length. Raises ConfigError."""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"the watermark key has {len(key)} bytes, expected {KEY_BYTES}: "
            f"use the file {keys.WATERMARK_KEY} of the private store as it is"
        )
    return key


def key_id(key: bytes) -> str:
    """Public name of a key, 16 hex digits: tells keys apart and nothing about them."""
    return hashlib.sha256(b"synthdata watermark key id:" + key).hexdigest()[:16]
