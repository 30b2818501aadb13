"""Records which a person of a named role signs with Ed25519, and the operator's list of who may sign."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from synthdata.errors import ConfigError, RecordError, TrustError
from synthdata.records.codec import Record, from_json, to_json
from synthdata.storage.disk import disk_sentence

VARIABLE = "SYNTHDATA_REVIEWERS"
PUBLIC_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed(Record):
    """A record that names the role of who signs it."""

    role: str  # such as privacy officer; a role, no need for a name


S = TypeVar("S", bound=Signed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviewer:
    """Who may sign."""

    role: str
    public_key: str  # Ed25519, 64 hex digits


def load_reviewers(path: Path | None) -> Mapping[str, Reviewer]:
    """Reviewers by public key: JSON `[{"role": ..., "public_key": ...}]`; none without a file.

    Raises:
        ConfigError: The file cannot be read, or is no such list.
    """
    if path is None:
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        reviewers = [
            Reviewer(role=str(row["role"]), public_key=str(row["public_key"]).lower()) for row in rows
        ]
    except OSError as error:
        raise ConfigError(disk_sentence("the list of reviewers", error, "read")) from None
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            'the list of reviewers is no JSON list of {"role", "public_key"}: mend it'
        ) from None
    wrong = sum(PUBLIC_KEY.fullmatch(reviewer.public_key) is None for reviewer in reviewers)
    if wrong:
        raise ConfigError(
            f"the list of reviewers has {wrong} public keys that are none, expected 64 hex digits each: copy what "
            "`quarantine approve` prints"
        )
    return {reviewer.public_key: reviewer for reviewer in reviewers}


def reviewers_of_environment() -> Mapping[str, Reviewer]:
    """The list that SYNTHDATA_REVIEWERS names; nobody where it is not set. Raises ConfigError."""
    name = os.environ.get(VARIABLE, "")
    return load_reviewers(Path(name) if name else None)


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 key in PEM, without a password. Raises ConfigError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(disk_sentence("the signing key", error, "read")) from None
    except (ValueError, TypeError):
        raise ConfigError(
            "the signing key is no PEM file without a password: make one with openssl"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            "the signing key is of another kind, expected Ed25519: make one with openssl genpkey"
        )
    return key


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Hex of the public key, as the list of reviewers has it."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign(record: Signed, key: Ed25519PrivateKey) -> bytes:
    """A file with the record, the public key and the signature over the record's canonical bytes."""
    body = to_json(record)
    envelope = {"record": body.decode(), "public_key": public_key_of(key), "signature": key.sign(body).hex()}
    return json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()


def read_signed(kind: type[S], data: bytes, reviewers: Mapping[str, Reviewer]) -> S:
    """Verify a signed file.

    Args:
        kind: Record which it must hold.
        data: The file.
        reviewers: Who may sign, by public key.

    Raises:
        TrustError: No signed file, a key that is not on the list, a role that is not the key's, or a bad signature.
    """
    name = kind.__name__.lower()
    try:
        envelope = json.loads(data)
        body, signature = str(envelope["record"]).encode(), bytes.fromhex(envelope["signature"])
        reviewer = reviewers.get(str(envelope["public_key"]))
    except (ValueError, KeyError, TypeError):
        raise TrustError(
            f"the {name} is no signed file, expected record, public_key, signature: sign it"
        ) from None
    if reviewer is None:
        raise TrustError(
            f"the {name} is signed with a key that is not on the list of reviewers: add it, or remove the file"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(reviewer.public_key)).verify(signature, body)
        record = from_json(kind, body)
    except (InvalidSignature, ValueError) as error:
        what = "cannot be read" if isinstance(error, RecordError) else "was changed after it was signed"
        raise TrustError(f"the {name} {what}: sign it again") from None
    if record.role != reviewer.role:
        raise TrustError(
            f"the {name} says role {record.role!r}, its key belongs to {reviewer.role!r}: sign it again"
        )
    return record
