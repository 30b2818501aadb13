"""Commands `keys`: the keys that sign releases."""

from collections.abc import Sequence
from pathlib import Path

import typer

from synthdata.commands.terminal import print_json, print_table, say
from synthdata.errors import ConfigError


def init(folder: Path, *, development: bool, root_keys: int, threshold: int, signers: Sequence[str]) -> None:
    """Make the keys of a release store."""
    from synthdata.release.trust.keys import Ceremony, fingerprint, init_keys

    addresses = {}
    for text in signers:
        role, equals, address = text.partition("=")
        if not equals or not address:
            raise ConfigError(f"--signer is {text!r}, expected ROLE=ADDRESS, such as timestamp=envvar:NAME")
        addresses[role] = address
    ceremony = Ceremony(
        development=development, root_keys=root_keys, threshold=threshold, addresses=addresses
    )
    signer = init_keys(folder, ceremony=ceremony)
    kind = "development keys, which nobody should trust" if development else "keys"
    typer.echo(f"Made {kind} in {folder}. Root of trust: {fingerprint(signer.root)}")
    typer.echo("Give root.json to users, who pin it with --root.")
    if not development:
        typer.echo(
            "Move root*.pem to places without network, and keep a copy of each: they cannot be made again."
        )


def rotate(folder: Path, role: str | None, address: str | None) -> None:
    """Make the next root metadata."""
    from synthdata.release.trust.rotation import rotate as rotate_keys

    plain = address.removeprefix(f"{role}=") if address else None  # as `keys init` writes it
    made = rotate_keys(folder, role, address=plain)
    what = f"gives {role} a new key" if role else "renews the root"
    _tell(f"Root {made.version} {what} and ends on {made.expires}.", made.missing)


def sign(folder: Path, address: str | None) -> None:
    """Add a signature to the draft of the next root."""
    from synthdata.release.trust.rotation import sign_draft

    made = sign_draft(folder, address)
    _tell(f"Root {made.version} was signed.", made.missing)


def _tell(words: str, missing: int) -> None:
    typer.echo(words)
    if missing:
        typer.echo(f"It needs {missing} more signatures of root keys: `synthdata keys sign` where they are.")
    else:
        typer.echo(
            "It is in force here. A store gets it at the next publishing, recall or `synthdata keys timestamp`."
        )


def status(folder: Path, url: str | None, *, as_json: bool) -> None:
    """Show which keys are at hand, and when what they sign ends; exit 1 when something ends soon."""
    from synthdata.release.trust.status import draft_waits, key_status
    from synthdata.storage import open_store

    found = key_status(folder, open_store(url, create=False) if url else None)
    if as_json:
        print_json(found)
    else:
        rows = [
            (
                key.role,
                key.key_id[:16],
                str(key.threshold),
                "yes" if key.at_hand else "no",
                key.where,
                key.expires if key.days_left is None else f"{key.expires} ({key.days_left} days)",
                "yes" if key.development else "no",
            )
            for key in found
        ]
        print_table(("ROLE", "KEY", "THRESHOLD", "AT HAND", "WHERE", "ENDS", "DEVELOPMENT"), rows)
    warnings = sorted({key.warning for key in found if key.warning})
    for words in warnings:
        say(f"Warning: {words}.")
    if draft_waits(folder):
        say("A new root waits for signatures: `synthdata keys sign`.")
    if warnings:
        raise typer.Exit(1)


def timestamp(folder: Path, url: str) -> None:
    """Sign the timestamp of a store again."""
    from synthdata.release.trust.keys import load_signer
    from synthdata.release.trust.repository import resign_timestamp, signed_ends
    from synthdata.storage import open_store

    store, signer = open_store(url, create=False), load_signer(folder)
    before = signed_ends(store, signer).get("timestamp")
    until = resign_timestamp(store, signer)
    typer.echo(f"Signed again; readers accept the metadata until {until:%Y-%m-%d}.")
    if before is not None and until.date() < before.date():
        say(
            f"Warning: they were accepted until {before:%Y-%m-%d} before. The clock of this machine is behind, or that "
            "of who signed last was ahead: compare it, and sign again."
        )
