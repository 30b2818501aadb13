"""The data controller's word on a source: who gives it, on which basis, de-identified how; bound to the inventory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synthdata.errors import ConfigError, GateError, TrustError
from synthdata.intake.inventory import Inventory
from synthdata.intake.signatures import Reviewer, Signed, read_signed
from synthdata.storage.disk import disk_sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Attestation(Signed):
    """What the controller states of exactly these files."""

    inventory: str  # digest of the inventory, as `synthdata intake` prints it
    controller: str  # the organisation, no person
    legal_basis: str
    profile: str  # such as PS3.15 basic profile with clean pixel data
    tool: str  # name and version
    inspected: int  # instances that a person looked at
    defects: int  # of those
    date: str  # ISO 8601

    def __post_init__(self) -> None:
        blank = [
            name
            for name in ("controller", "role", "legal_basis", "profile", "tool")
            if not getattr(self, name)
        ]
        if blank or self.inspected < 0 or not 0 <= self.defects <= self.inspected:
            raise GateError(
                f"an attestation lacks {', '.join(blank) or 'sound counts'}: state what was done and looked at"
            )


def require_attestation(path: Path, inventory: Inventory, reviewers: Mapping[str, Reviewer]) -> None:
    """Hold all files unless the controller attested exactly these; notes say what was attested.

    Args:
        path: The signed file.
        inventory: The finished book of files, before cases are built.
        reviewers: Who may sign.

    Raises:
        ConfigError: The file is not there or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(disk_sentence("the attestation (vouching.attestation)", error, "read")) from None
    try:
        attestation = read_signed(Attestation, data, reviewers)
    except TrustError as error:
        _hold(inventory, str(error))
        return
    if attestation.inventory != inventory.digest():
        _hold(inventory, "the attestation is for another inventory: have this one attested")
        return
    whole = attestation.inspected > 0 and not attestation.defects
    upper = f", so at most {3 / attestation.inspected:.1%} at 95 %" if whole else ""  # the rule of three
    inventory.notes.add(
        f"the source is attested by role {attestation.role!r}: {attestation.defects} defects in "
        f"{attestation.inspected} inspected instances{upper}"
    )


def _hold(inventory: Inventory, note: str) -> None:
    inventory.notes.add(note)
    for seen in inventory.files:
        if seen.outcome == "accepted":
            seen.reasons.add("source.not_attested")
