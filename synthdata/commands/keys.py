"""Commands `keys`: the keys that sign releases."""

from pathlib import Path

import typer

from synthdata.commands.terminal import print_table


def init(folder: Path, *, development: bool) -> None:
    """Make the keys of a release store."""
    from synthdata.release.trust.keys import fingerprint, init_keys

    signer = init_keys(folder, development=development)
    kind = "development keys, which nobody should trust" if development else "keys"
    typer.echo(f"Made {kind} in {folder}. Root of trust: {fingerprint(signer.root)}")
    typer.echo("Give root.json to users, who pin it with --root.")
    if not development:
        typer.echo(
            "Move root.pem to a place without network, and keep a copy of it: it cannot be made again."
        )


def status(folder: Path) -> None:
    """Show which keys are at hand."""
    from synthdata.release.trust.keys import key_status

    rows = [
        (
            key.role,
            key.key_id[:16],
            "yes" if key.at_hand else "no",
            key.expires,
            "yes" if key.development else "no",
        )
        for key in key_status(folder)
    ]
    print_table(("ROLE", "KEY", "AT HAND", "EXPIRES", "DEVELOPMENT"), rows)


def timestamp(folder: Path, url: str) -> None:
    """Sign the timestamp of a store again."""
    from synthdata.release.trust.keys import load_signer
    from synthdata.release.trust.repository import resign_timestamp
    from synthdata.storage import open_store

    until = resign_timestamp(open_store(url, create=False), load_signer(folder))
    typer.echo(f"Signed again; readers accept the metadata until {until:%Y-%m-%d}.")
