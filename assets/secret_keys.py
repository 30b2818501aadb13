"""Secret keys of a private store, made on first use and never logged."""

import secrets

from synthdata.storage import ObjectStore

KEY_BYTES = 32


def secret_key(private: ObjectStore, key: str) -> bytes:
    """Read a secret of the private store, or make it: who has the store's credentials has the secret.

    Args:
        private: The private store.
        key: Where it is kept, such as `keys.PSEUDONYM_KEY`.

    Returns:
        32 random bytes, the same ones for every caller, even when two ask at once.
    """
    if private.size(key) is None:
        private.create(key, secrets.token_bytes(KEY_BYTES))
    return private.read(key)
