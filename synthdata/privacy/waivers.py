"""Waivers: a named person signs that one verdict may be released although a gate blocks. Never a flag.

A waiver is a JSON file in the private store with an Ed25519 signature over its canonical bytes. It names one verdict
by digest, so it holds for these cases and these reports alone. Whoever may sign is on an allow list of the operator,
key by key, with the gates that each may waive. A privacy gate that FAILs is never waived (docs/adr/0005).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from synthdata.errors import GateError, RecordError, TrustError
from synthdata.records import Record, Verdict, digest_of, from_json, to_json
from synthdata.storage import ObjectStore, keys
from synthdata.storage.commit import sha256_of

LONGEST_BYTES = 64 << 10
LEAST_REASON = 20  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver(Record):
    """What is waived, by whom, why."""

    dataset: str
    verdict: str  # digest of the blocked verdict
    gates: tuple[str, ...]
    role: str  # such as privacy officer; a role, no need for a name
    reason: str
    date: str  # ISO 8601

    def __post_init__(self) -> None:
        if not self.gates or not self.role or len(self.reason) < LEAST_REASON:
            raise GateError(
                f"waiver has {len(self.gates)} gates and a reason of {len(self.reason)} characters, expected one "
                f"gate or more, a role, and {LEAST_REASON} characters or more: say why"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Signatory:
    """Who may waive what."""

    role: str
    public_key: str  # Ed25519, 64 hex digits
    gates: frozenset[str]


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Hex of the public key, as the allow list has it."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign_waiver(private: ObjectStore, waiver: Waiver, key: Ed25519PrivateKey) -> str:
    """Sign a waiver and keep it in the private store; returns the digest of the file."""
    body = to_json(waiver)
    envelope = {"waiver": body.decode(), "public_key": public_key_of(key), "signature": key.sign(body).hex()}
    data = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    digest = sha256_of(data)
    private.create(f"{keys.WAIVERS}{digest}.json", data)
    return digest


def read_waiver(data: bytes, allowed: Mapping[str, Signatory]) -> Waiver:
    """Verify one waiver file.

    Args:
        data: The file.
        allowed: Public key to signatory.

    Raises:
        TrustError: No JSON of a waiver, a key that is not allowed, a role that is not the key's, or a bad signature.
        GateError: The signatory may not waive one of the gates.
    """
    try:
        envelope = json.loads(data)
        body, signature = str(envelope["waiver"]).encode(), bytes.fromhex(envelope["signature"])
        signatory = allowed.get(str(envelope["public_key"]))
    except (ValueError, KeyError, TypeError):
        raise TrustError(
            "a waiver is no signed waiver file, expected waiver, public_key, signature: sign it"
        ) from None
    if signatory is None:
        raise TrustError(
            "a waiver is signed with a key that is not on the allow list: add the key, or remove the file"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(signatory.public_key)).verify(signature, body)
        waiver = from_json(Waiver, body)
    except InvalidSignature:
        raise TrustError("a waiver was changed after it was signed: sign it again") from None
    except RecordError as error:
        raise TrustError(f"a signed waiver cannot be read: {error}") from None
    if waiver.role != signatory.role:
        raise TrustError(
            f"a waiver says role {waiver.role!r}, its key belongs to {signatory.role!r}: sign it again"
        )
    if excess := sorted(set(waiver.gates) - signatory.gates):
        raise GateError(f"role {waiver.role!r} waives {excess}, which its key may not: ask who may")
    return waiver


def may_release(
    verdict: Verdict, private: ObjectStore, allowed: Mapping[str, Signatory]
) -> tuple[bool, tuple[str, ...]]:
    """Is a verdict PASS, or is every gate that blocks waived?

    Args:
        verdict: As `decide` gave it.
        private: Store with the waiver files.
        allowed: Public key to signatory; empty allows no waiver.

    Returns:
        Whether to release, and the digests of the waivers that were needed.

    Raises:
        TrustError: A waiver file of the store cannot be trusted.
        GateError: A waiver covers a gate that may not be waived.
    """
    blocked = {name for name, outcome in verdict.gates.items() if outcome != "PASS"}
    if not blocked and verdict.outcome == "PASS":
        return True, ()
    used, waived, own = list[str](), set[str](), digest_of(verdict)
    for key in private.keys(keys.WAIVERS) if allowed else ():
        if (private.size(key) or 0) > LONGEST_BYTES:
            raise TrustError("a waiver file is larger than 64 KiB, expected less: remove it")
        data = private.read(key)
        waiver = read_waiver(data, allowed)
        if waiver.verdict != own or waiver.dataset != verdict.dataset:
            continue
        if "privacy" in waiver.gates and verdict.gates.get("privacy") == "FAIL":
            raise GateError(
                "a waiver covers a privacy gate that FAILs, which cannot be waived: generate other cases"
            )
        if covers := blocked & set(waiver.gates):
            waived |= covers
            used.append(sha256_of(data))
    return bool(blocked) and blocked <= waived, tuple(sorted(used))
