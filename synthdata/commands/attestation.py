"""Command `attest`: the data controller signs what was done to exactly the files of an inventory."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import typer

from synthdata.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Facts:
    """What the controller states."""

    controller: str
    role: str
    legal_basis: str
    profile: str
    tool: str
    inspected: int
    defects: int


def attest(report: Path, out: Path, key: Path, facts: Facts) -> None:
    """Write the signed file."""
    from synthdata.intake.attestation import Attestation
    from synthdata.intake.signatures import load_signing_key, public_key_of, sign
    from synthdata.records import IntakeReport, from_json

    try:
        inventory = from_json(IntakeReport, report.read_bytes()).inventory
    except OSError as error:
        raise ConfigError(f"the report cannot be read ({error.strerror}): check the path") from None
    attestation = Attestation(
        inventory=inventory,
        controller=facts.controller,
        role=facts.role,
        legal_basis=facts.legal_basis,
        profile=facts.profile,
        tool=facts.tool,
        inspected=facts.inspected,
        defects=facts.defects,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
    )
    signing = load_signing_key(key)
    try:
        out.write_bytes(sign(attestation, signing))
    except OSError as error:
        raise ConfigError(f"the attestation cannot be written ({error.strerror}): check the folder") from None
    typer.echo(
        f"Attested inventory {inventory[:12]} as {facts.role!r} with the key {public_key_of(signing)}."
    )
