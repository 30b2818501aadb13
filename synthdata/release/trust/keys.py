"""Keys of the four TUF roles: made and loaded; Ed25519, one PEM file per role, or a signer by its address.

The root keys sign which keys the other roles use; keep them away from the publishing machine. The other three are
needed whenever a release is published. `signers.json` names a role's address where its key is no file (see `signers`).
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from synthdata.errors import ConfigError, TrustError
from synthdata.release.trust.signers import import_key, open_signer
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import disk_sentence, on_disk

ROLES = ("root", "targets", "snapshot", "timestamp")
ONLINE_ROLES = ("targets", "snapshot", "timestamp")  # what publishing needs
ROOT_FILE = "root.json"
SIGNERS_FILE = "signers.json"  # role to the address of its key, where it is no file
ROOT_KEY = re.compile(r"root(-\d+)?\.pem")
OLD_ROOT = re.compile(r"(\d+)\.root\.json")
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
    old_roots: Mapping[int, bytes] = field(default_factory=dict)  # version to signed root metadata
    retired: Mapping[str, tuple[Signer, ...]] = field(default_factory=dict)  # role to keys of older roots
    also: Mapping[str, tuple[Signer, ...]] = field(default_factory=dict)  # role to keys that sign along

    def of(self, role: str) -> Signer:
        """Signer of one role. Raises TrustError where its key is not at hand."""
        if role not in self.signers:
            raise TrustError(
                f"the key of role {role} is not at hand: bring {role}.pem, or run `synthdata keys init`"
            )
        return self.signers[role]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceremony:
    """How the keys of a store are made."""

    development: bool = True  # say in the root metadata and in each release that the keys are for trying out
    root_keys: int = 1
    threshold: int = 1  # root keys that must sign a new root
    addresses: Mapping[str, str] = field(default_factory=dict)  # role to the address of a key that is no file

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.root_keys <= 16:
            raise ConfigError(
                f"the root has {self.root_keys} keys and a threshold of {self.threshold}, expected "
                "1 <= threshold <= keys <= 16"
            )
        if unknown := sorted(set(self.addresses) - set(ONLINE_ROLES)):
            raise ConfigError(
                f"a signer is given for {', '.join(unknown)}, expected one for {', '.join(ONLINE_ROLES)}"
            )


def init_keys(
    folder: Path,
    *,
    development: bool = True,
    lifetimes: Lifetimes | None = None,
    ceremony: Ceremony | None = None,
) -> ReleaseSigner:
    """Make the keys of all roles and the first root metadata.

    Args:
        folder: Gets `<role>.pem` (PKCS#8, not encrypted, mode 0600; `root-1.pem` and so on where the root has several
            keys) and `root.json`, the file that users pin.
        development: Say in the root metadata and in each release that the keys are for trying out.
        lifetimes: How long signatures are believed.
        ceremony: How many root keys, and which keys are no files; its `development` is not asked then.

    Raises:
        TrustError: The folder holds keys already, or a key behind an address cannot be used.
        StoreError: The folder cannot be written.
    """
    ceremony, lifetimes = ceremony or Ceremony(development=development), lifetimes or Lifetimes()
    with on_disk("the folder of the keys", "read"):
        taken = folder.is_dir() and any(
            path.suffix == ".pem" or path.name == ROOT_FILE for path in folder.iterdir()
        )
    if taken:
        raise TrustError(
            "the folder holds keys already: keep them (lost keys cannot be made again), or name another"
        )
    files, public, addresses = _new_keys(ceremony)
    fields = {DEVELOPMENT_FIELD: True} if ceremony.development else {}
    root = Root(expires=lifetimes.expiry("root"), consistent_snapshot=True, unrecognized_fields=fields)
    for role, keys in public.items():
        for key in keys:
            root.add_key(key, role)
    root.roles["root"].threshold = ceremony.threshold
    signed = Metadata(root)
    for name, signer in files.items():
        if ROOT_KEY.fullmatch(name):
            signed.sign(signer, append=True)
    with on_disk("the folder of the keys"):
        _write_keys(folder, files, signed.to_bytes(), addresses)
    return load_signer(folder, lifetimes=lifetimes)


def _new_keys(
    ceremony: Ceremony,
) -> tuple[dict[str, CryptoSigner], dict[str, list[Key]], dict[str, str]]:
    """Key files by name, public keys by role, addresses by role."""
    count = ceremony.root_keys
    names = ["root.pem"] if count == 1 else [f"root-{number}.pem" for number in range(1, count + 1)]
    files = {name: CryptoSigner.generate_ed25519() for name in names}
    public: dict[str, list[Key]] = {"root": [signer.public_key for signer in files.values()]}
    addresses = {}
    for role in ONLINE_ROLES:
        if role in ceremony.addresses:
            addresses[role], key = import_key(ceremony.addresses[role])
        else:
            files[f"{role}.pem"] = CryptoSigner.generate_ed25519()
            key = files[f"{role}.pem"].public_key
        public[role] = [key]
    return files, public, addresses


def load_signer(folder: Path, *, lifetimes: Lifetimes | None = None) -> ReleaseSigner:
    """Read the root metadata and whichever keys of the online roles are at hand.

    Raises:
        TrustError: There is no root metadata, a key is readable by others, or a key is not the one of its role.
    """
    root_data, root = read_root(folder)
    addresses = read_addresses(folder)
    signers: dict[str, Signer] = {}
    for role in ONLINE_ROLES:
        path, key_ids = folder / f"{role}.pem", root.roles[role].keyids
        if role in addresses:
            signers[role] = open_signer(addresses[role], root.keys[key_ids[0]])
        elif path.is_file():
            signers[role] = pem_of_role(path, key_ids, role)
    development = bool(root.unrecognized_fields.get(DEVELOPMENT_FIELD, False))
    return ReleaseSigner(
        root=root_data,
        signers=signers,
        development=development,
        lifetimes=lifetimes or Lifetimes(),
        old_roots=_old_roots(folder),
        retired={role: _retired(folder, role) for role in ONLINE_ROLES},
    )


def fingerprint(root: bytes) -> str:
    """What people compare: SHA-256 of the root metadata, in groups of four."""
    digest = sha256_of(root)
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


def read_addresses(folder: Path) -> dict[str, str]:
    """Role to the address of its key, of those which are no files. Raises TrustError where they cannot be read."""
    path = folder / SIGNERS_FILE
    if not path.is_file():
        return {}
    try:
        return {str(role): str(uri) for role, uri in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise TrustError(f'{SIGNERS_FILE} cannot be read, expected {{"timestamp": "envvar:NAME"}}') from error


def _write_keys(
    folder: Path, signers: Mapping[str, CryptoSigner], root: bytes, addresses: Mapping[str, str]
) -> None:
    """All files or none: half of the keys would be taken for a folder whose root was lost."""
    files = {name: (signer.private_bytes, 0o600) for name, signer in signers.items()}
    if addresses:
        files[SIGNERS_FILE] = (json.dumps(dict(addresses), indent=1, sort_keys=True).encode(), 0o644)
    files[ROOT_FILE] = (root, 0o644)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made: list[Path] = []
    try:
        for name, (data, mode) in files.items():
            write_new(folder / name, data, mode)
            made.append(folder / name)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file which is not there yet; a failed try leaves nothing."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as writer:
            writer.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read_root(folder: Path) -> tuple[bytes, Root]:
    """Newest root metadata of a key folder, as bytes and read. Raises TrustError where there are none."""
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


def _old_roots(folder: Path) -> dict[int, bytes]:
    names = ((OLD_ROOT.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return {int(match[1]): path.read_bytes() for match, path in names if match}


def _retired(folder: Path, role: str) -> tuple[Signer, ...]:
    return tuple(open_file(path) for path in sorted(folder.glob(f"{role}.retired-*.pem")))


def open_file(path: Path) -> Signer:
    """Signer of a key file. Raises TrustError where it cannot be used."""
    uri = f"file:{path}"
    return open_signer(uri, import_key(uri)[1])


def pem_of_role(path: Path, key_ids: list[str], role: str) -> Signer:
    """Signer of a key file, which must be one of a role. Raises TrustError otherwise."""
    signer = open_file(path)
    if signer.public_key.keyid not in key_ids:
        raise TrustError(
            f"{path.name} is not the key that {ROOT_FILE} names for role {role}: bring the right one"
        )
    return signer
