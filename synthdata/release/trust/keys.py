"""Keys of the four TUF roles: made, loaded and looked at; Ed25519, one PEM file per role.

The root key signs which keys the other roles use; keep it away from the publishing machine. The other three are needed
whenever a release is published. Any `securesystemslib` signer can take the place of a file (KMS, PKCS#11).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from synthdata.errors import TrustError
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import disk_sentence, on_disk

ROLES = ("root", "targets", "snapshot", "timestamp")
ONLINE_ROLES = ("targets", "snapshot", "timestamp")  # what publishing needs
ROOT_FILE = "root.json"
DEVELOPMENT_FIELD = "x-synthdata-development"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetimes:
    """How long signed metadata are believed, in days; a client refuses them afterwards."""

    root: int = 730
    targets: int = 365
    snapshot: int = 90
    timestamp: int = 30

    def expiry(self, role: str) -> datetime:
        """End of a signature that is made now; whole seconds, as TUF writes them."""
        days: int = getattr(self, role)
        return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSigner:
    """What publishing needs: the root of trust and a signer for each online role."""

    root: bytes  # signed root metadata
    signers: Mapping[str, Signer]  # role to signer
    development: bool  # keys that were made for trying out, and that nobody should trust
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    def of(self, role: str) -> Signer:
        """Signer of one role. Raises TrustError where its key is not at hand."""
        if role not in self.signers:
            raise TrustError(
                f"the key of role {role} is not at hand: bring {role}.pem, or run `synthdata keys init`"
            )
        return self.signers[role]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyStatus:
    """One role, as `synthdata keys status` shows it."""

    role: str
    key_id: str
    at_hand: bool
    expires: str  # of the root metadata; empty for other roles, whose metadata lie in the store
    development: bool


def init_keys(folder: Path, *, development: bool = True, lifetimes: Lifetimes | None = None) -> ReleaseSigner:
    """Make the keys of all roles and the first root metadata.

    Args:
        folder: Gets `<role>.pem` (PKCS#8, not encrypted, mode 0600) and `root.json`, the file that users pin.
        development: Say in the root metadata and in each release that the keys are for trying out.
        lifetimes: How long signatures are believed.

    Raises:
        TrustError: The folder holds keys already.
        StoreError: The folder cannot be written.
    """
    with on_disk("the folder of the keys", "read"):
        taken = any((folder / name).exists() for name in (*(f"{role}.pem" for role in ROLES), ROOT_FILE))
    if taken:
        raise TrustError(
            "the folder holds keys already: keep them (lost keys cannot be made again), or name another"
        )
    lifetimes = lifetimes or Lifetimes()
    signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
    fields = {DEVELOPMENT_FIELD: True} if development else {}
    root = Root(expires=lifetimes.expiry("root"), consistent_snapshot=True, unrecognized_fields=fields)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    signed = Metadata(root)
    signed.sign(signers["root"])
    data = signed.to_bytes()
    with on_disk("the folder of the keys"):
        _write_keys(folder, signers, data)
    return ReleaseSigner(root=data, signers=signers, development=development, lifetimes=lifetimes)


def load_signer(folder: Path, *, lifetimes: Lifetimes | None = None) -> ReleaseSigner:
    """Read the root metadata and whichever keys lie in a folder.

    Raises:
        TrustError: There is no root metadata, a key is readable by others, or a key is not the one of its role.
    """
    root_data, root = _read_root(folder)
    signers: dict[str, Signer] = {}
    for role in ROLES:
        path = folder / f"{role}.pem"
        if path.is_file():
            signers[role] = _read_signer(path, root, role)
    development = bool(root.unrecognized_fields.get(DEVELOPMENT_FIELD, False))
    return ReleaseSigner(
        root=root_data, signers=signers, development=development, lifetimes=lifetimes or Lifetimes()
    )


def key_status(folder: Path) -> tuple[KeyStatus, ...]:
    """Which keys the root metadata name, and which are at hand. Raises TrustError as `load_signer` does."""
    signer = load_signer(folder)
    _, root = _read_root(folder)
    return tuple(
        KeyStatus(
            role=role,
            key_id=key_id,
            at_hand=role in signer.signers,
            expires=f"{root.expires:%Y-%m-%d}" if role == "root" else "",
            development=signer.development,
        )
        for role in ROLES
        for key_id in root.roles[role].keyids
    )


def fingerprint(root: bytes) -> str:
    """What people compare: SHA-256 of the root metadata, in groups of four."""
    digest = sha256_of(root)
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


def _write_keys(folder: Path, signers: Mapping[str, CryptoSigner], root: bytes) -> None:
    """All files or none: half of the keys would be taken for a folder whose root was lost."""
    files = {f"{role}.pem": (signer.private_bytes, 0o600) for role, signer in signers.items()}
    files[ROOT_FILE] = (root, 0o644)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made: list[Path] = []
    try:
        for name, (data, mode) in files.items():
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(folder / name)
            with os.fdopen(handle, "wb") as writer:
                writer.write(data)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _read_root(folder: Path) -> tuple[bytes, Root]:
    path = folder / ROOT_FILE
    try:
        data = path.read_bytes()
        signed = Metadata[Root].from_bytes(data)
        signed.verify_delegate(Root.type, signed)
    except FileNotFoundError:
        raise TrustError(
            f"the key folder has no {ROOT_FILE}: make keys with `synthdata keys init`, or name the right folder"
        ) from None
    except (RepositoryError, DeserializationError, TypeError) as error:
        raise TrustError(
            f"{ROOT_FILE} is no root metadata which signs itself: restore it from a backup"
        ) from error
    except OSError as error:
        raise TrustError(disk_sentence(ROOT_FILE, error, "read")) from error
    return data, signed.signed


def _read_signer(path: Path, root: Root, role: str) -> Signer:
    try:
        mode, data = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise TrustError(disk_sentence(path.name, error, "read")) from error
    if os.name == "posix" and mode & 0o077:
        raise TrustError(
            f"{path.name} can be read by others, expected mode 0600: chmod 600 it, or make new keys"
        )
    key_ids = root.roles[role].keyids
    try:
        signer = CryptoSigner(load_pem_private_key(data, password=None))
    except ValueError as error:
        raise TrustError(f"{path.name} is no Ed25519 key in PEM: restore it from a backup") from error
    if signer.public_key.keyid not in key_ids:
        raise TrustError(
            f"{path.name} is not the key that {ROOT_FILE} names for role {role}: bring the right one"
        )
    return signer
