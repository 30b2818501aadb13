"""New root metadata: other keys for a role, another threshold, a later end; signed by the old and the new root keys.

The next root is written as a draft. It takes its place when enough root keys have signed it, which may be done on other
machines: copy the draft there, `synthdata keys sign`, copy it back. A store learns of it at the next publishing,
timestamp or recall: what it holds is signed again first, with the old keys too where they are at hand, so that no
reader stands before a closed door.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from synthdata.errors import ConfigError, TrustError
from synthdata.release.trust.keys import (
    ONLINE_ROLES,
    ROLES,
    ROOT_FILE,
    ROOT_KEY,
    SIGNERS_FILE,
    Lifetimes,
    open_file,
    read_addresses,
    read_root,
    write_new,
)
from synthdata.release.trust.signers import import_key, open_signer, sign_with
from synthdata.storage.disk import on_disk, write_whole

DRAFT = "root.draft.json"
NEXT = ".next"  # in the name of a key that waits for its root
NEXT_SIGNERS = "signers.next.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """The next root, and how far it is."""

    version: int
    missing: int  # signatures of root keys that are wanted still; 0: it is in force
    expires: str  # date


def rotate(
    folder: Path, role: str | None, *, address: str | None = None, lifetimes: Lifetimes | None = None
) -> Rotation:
    """Make the next root metadata.

    Args:
        folder: The key folder.
        role: Gets a new key; None: all keys stay, and the root ends later.
        address: Of the new key of an online role, where it is no file.
        lifetimes: How long the root is believed.

    Raises:
        ConfigError: There is no such role, or the root's keys are asked for by address.
        TrustError: A draft waits for signatures, or a key cannot be used.
        StoreError: The folder cannot be written.
    """
    if role is not None and role not in ROLES:
        raise ConfigError(f"the role is {role!r}, expected {', '.join(ROLES)}, or none to renew the root")
    if address is not None and role not in ONLINE_ROLES:
        raise ConfigError(f"a signer is given for {role}, expected one for {', '.join(ONLINE_ROLES)}")
    if (folder / DRAFT).exists():
        raise TrustError(
            f"{DRAFT} waits for signatures: sign it with `synthdata keys sign`, or remove it and begin again"
        )
    _, root = read_root(folder)
    old_signers = root_signers(folder, root)
    root.version += 1
    root.expires = (lifetimes or Lifetimes()).expiry("root")
    with on_disk("the folder of the keys"):
        new_signers = _new_keys(folder, root, role, address) if role is not None else []
        draft = Metadata(root)
        for signer in {item.public_key.keyid: item for item in (*old_signers, *new_signers)}.values():
            sign_with(draft, signer, Root.type)
        write_whole(folder / DRAFT, draft.to_bytes())
        return settle_draft(folder)


def sign_draft(folder: Path, address: str | None = None) -> Rotation:
    """Add a signature to the draft of the next root, and put it in force where there are enough.

    Args:
        folder: Holds the draft and the root before it.
        address: Of a root key, such as `file:/media/usb/root-2.pem` or `hsm:2`; None: all root keys in the folder.

    Raises:
        TrustError: There is no draft, or the key is none of a root's.
    """
    draft, root = _draft(folder), read_root(folder)[1]
    wanted = set(root.roles["root"].keyids) | set(draft.signed.roles["root"].keyids)
    if address is None:
        signers = [*root_signers(folder, root), *root_signers(folder, draft.signed)]
    else:
        uri, key = import_key(address)
        signers = [open_signer(uri, key)]
    signers = [signer for signer in signers if signer.public_key.keyid in wanted]
    if not signers:
        raise TrustError("no key at hand is a root key of the old or the new root: name one with --key")
    for signer in signers:
        sign_with(draft, signer, Root.type)
    with on_disk("the folder of the keys"):
        write_whole(folder / DRAFT, draft.to_bytes())
        return settle_draft(folder)


def settle_draft(folder: Path) -> Rotation:
    """Put the draft in force when the old and the new root keys have signed it in sufficient number."""
    draft, (old_data, old) = _draft(folder), read_root(folder)
    missing = max(_missing(old, draft), _missing(draft.signed, draft))
    if not missing:
        kept = folder / f"{old.version}.root.json"
        if not kept.exists():
            write_new(kept, old_data, 0o644)
        (folder / DRAFT).replace(folder / ROOT_FILE)
        _install(folder)
    return Rotation(version=draft.signed.version, missing=missing, expires=f"{draft.signed.expires:%Y-%m-%d}")


def root_signers(folder: Path, root: Root) -> list[Signer]:
    """Root keys in the folder which a root names; others are left alone."""
    found = [open_file(path) for path in (*_root_files(folder), *sorted(folder.glob(f"root*{NEXT}.pem")))]
    return [signer for signer in found if signer.public_key.keyid in root.roles["root"].keyids]


def _draft(folder: Path) -> Metadata[Root]:
    try:
        draft = Metadata[Root].from_bytes((folder / DRAFT).read_bytes())
    except FileNotFoundError:
        raise TrustError(f"the key folder has no {DRAFT}: make one with `synthdata keys rotate`") from None
    except (DeserializationError, OSError) as error:
        raise TrustError(f"{DRAFT} cannot be read: remove it and rotate again") from error
    if draft.signed.version != read_root(folder)[1].version + 1:
        raise TrustError(f"{DRAFT} does not follow {ROOT_FILE}: remove it and rotate again")
    return draft


def _missing(root: Root, draft: Metadata[Root]) -> int:
    try:
        result = root.get_verification_result(Root.type, draft.signed_bytes, draft.signatures)
    except (RepositoryError, UnsignedMetadataError) as error:
        raise TrustError(f"{DRAFT} has signatures which cannot be read: rotate again") from error
    return max(0, result.threshold - len(result.signed))


def _new_keys(folder: Path, root: Root, role: str, address: str | None) -> list[Signer]:
    """Name new keys of a role in the root, and keep them aside until it is in force. Returns the new root signers."""
    key_ids, names = list(root.roles[role].keyids), [f"{role}.pem"]
    if role == "root":  # only the keys at hand are replaced; others hold theirs
        at_hand = {path.name: open_file(path).public_key.keyid for path in _root_files(folder)}
        names = [name for name, key_id in at_hand.items() if key_id in key_ids]
        key_ids = [at_hand[name] for name in names]
        if not names:
            raise TrustError("no root key is in the folder: bring one to replace it")
    threshold, addresses = root.roles[role].threshold, read_addresses(folder)
    for key_id in key_ids:
        root.revoke_key(key_id, role)
    addresses.pop(role, None)
    made: list[Signer] = []
    if address is not None:
        addresses[role], key = import_key(address)
        root.add_key(key, role)
    else:
        for name in names:
            signer = CryptoSigner.generate_ed25519()
            write_new(folder / f"{Path(name).stem}{NEXT}.pem", signer.private_bytes, 0o600)
            root.add_key(signer.public_key, role)
            made.append(signer)
    root.roles[role].threshold = threshold
    write_whole(folder / NEXT_SIGNERS, json.dumps(addresses, indent=1, sort_keys=True).encode())
    return made if role == "root" else []


def _install(folder: Path) -> None:
    """Give the new keys the names under which they are looked for; the old ones stay, to sign along once."""
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for path in sorted(folder.glob(f"*{NEXT}.pem")):
        place = path.with_name(path.name.replace(NEXT, ""))
        if place.exists():
            place.rename(place.with_name(f"{place.stem}.retired-{now}.pem"))
        path.rename(place)
    if (folder / NEXT_SIGNERS).exists():
        (folder / NEXT_SIGNERS).replace(folder / SIGNERS_FILE)
    for role in read_addresses(folder):
        if (folder / f"{role}.pem").exists():
            (folder / f"{role}.pem").rename(folder / f"{role}.retired-{now}.pem")


def _root_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("root*.pem")) if ROOT_KEY.fullmatch(path.name)]
