"""Which keys vouch for a store, which of them are at hand, and when what they have signed ends."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.metadata import Root

from synthdata.release.trust.keys import (
    DEVELOPMENT_FIELD,
    ROLES,
    Lifetimes,
    load_signer,
    read_addresses,
    read_root,
)
from synthdata.release.trust.repository import signed_ends
from synthdata.release.trust.rotation import DRAFT, root_signers
from synthdata.storage.protocol import ObjectStore

WARN_DAYS = {"root": 90, "targets": 30, "snapshot": 14, "timestamp": 7}


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyStatus:
    """One key of one role."""

    role: str
    key_id: str
    at_hand: bool
    where: str  # file, or the address of its signer
    threshold: int  # keys of the role that must sign
    expires: str  # date: of the root metadata, and of the store's other metadata where a store was asked
    days_left: int | None
    warning: str  # a sentence; empty where all is well
    development: bool


def key_status(
    folder: Path, releases: ObjectStore | None = None, *, now: datetime | None = None
) -> tuple[KeyStatus, ...]:
    """Look at the keys that the root metadata name.

    Args:
        folder: The key folder.
        releases: Release store whose signed metadata are looked at, too; nothing is changed in it.
        now: What the clock shows; that of this machine where it is not given.

    Raises:
        TrustError: The folder holds no root metadata, or a key is not the one of its role.
    """
    now = now or datetime.now(UTC)
    signer, (_, root) = load_signer(folder), read_root(folder)
    ends = {"root": root.expires} | (signed_ends(releases, signer) if releases is not None else {})
    at_hand = {item.public_key.keyid for item in (*signer.signers.values(), *root_signers(folder, root))}
    addresses = read_addresses(folder)
    return tuple(
        KeyStatus(
            role=role,
            key_id=key_id,
            at_hand=key_id in at_hand,
            where=addresses.get(role, "file" if key_id in at_hand else ""),
            threshold=root.roles[role].threshold,
            expires=f"{ends[role]:%Y-%m-%d}" if role in ends else "",
            days_left=(ends[role] - now).days if role in ends else None,
            warning=_warning(role, ends[role], signer.lifetimes, now) if role in ends else "",
            development=bool(root.unrecognized_fields.get(DEVELOPMENT_FIELD, False)),
        )
        for role in ROLES
        for key_id in root.roles[role].keyids
    )


def draft_waits(folder: Path) -> bool:
    """A new root waits for signatures."""
    return (folder / DRAFT).exists()


def _warning(role: str, end: datetime, lifetimes: Lifetimes, now: datetime) -> str:
    left, longest = (end - now).days, getattr(lifetimes, role)
    if left > longest:
        return (
            f"the {role} metadata end in {left} days, and are signed for {longest}: the clock of this machine is "
            "behind, or that of who signed them was ahead; set it, and sign again"
        )
    how = {
        Root.type: "renew it with `synthdata keys rotate FOLDER`",
        "timestamp": "sign again with `synthdata keys timestamp`, and see why the job `timestamp` does not run",
    }.get(role, "sign again with `synthdata keys timestamp`, with the keys of targets and snapshot at hand")
    if end <= now:
        return f"the {role} metadata expired on {end:%Y-%m-%d}, and readers refuse the store: {how}"
    return f"the {role} metadata end in {left} days: {how}" if left < WARN_DAYS[role] else ""
