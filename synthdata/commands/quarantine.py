"""Commands `quarantine`: what is held back and why, and the signed approval of a reviewer. No value is shown."""

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path

import typer

from synthdata.commands.terminal import print_table, size
from synthdata.errors import ConfigError, GateError
from synthdata.storage import open_store

SHORT = 12  # digits of a digest that are shown


def listing(url: str) -> None:
    """Count the held files of each dataset, by reason."""
    from synthdata.intake.quarantine import datasets_with_quarantine, held_files, reason_counts
    from synthdata.storage import keys

    store, rows = open_store(url, create=False), []
    for dataset in datasets_with_quarantine(store):
        files = held_files(store, dataset)
        approvals = len(list(store.keys(keys.approval(dataset))))
        sealed = sum(held.sealed for held in files)
        rows.append((dataset, str(len(files)), f"{sealed} sealed", f"{approvals} approvals", ""))
        rows += [("", str(count), "", "", code) for code, count in sorted(reason_counts(files).items())]
    if not rows:
        typer.echo("Nothing is held back.")
        return
    print_table(("DATASET", "FILES", "AT REST", "SIGNED", "REASON"), rows)


def show(dataset: str, url: str) -> None:
    """List the held files of a dataset by digest, with their reasons and what they mean, and what was signed."""
    from synthdata.intake.approvals import kept_approvals
    from synthdata.intake.quarantine import held_files
    from synthdata.intake.reasons import REASONS
    from synthdata.intake.signatures import reviewers_of_environment

    store = open_store(url, create=False)
    files = held_files(store, dataset)
    if not files:
        raise ConfigError("the quarantine of that dataset is empty or not there: see `quarantine list`")
    print_table(
        ("FILE", "SIZE", "SEALED", "REASONS"),
        [
            (
                held.sha256[:SHORT],
                size(held.size_bytes),
                "yes" if held.sealed else "no",
                " ".join(held.reasons),
            )
            for held in files
        ],
    )
    for code in sorted({code for held in files for code in held.reasons}):
        typer.echo(f"{code}: {REASONS[code].explanation}")
    approvals = kept_approvals(store, dataset, reviewers_of_environment())
    if approvals:
        print_table(
            ("APPROVAL", "FILES", "ROLE", "TRUSTED"),
            [
                (
                    one.digest[:SHORT],
                    str(one.files),
                    one.role,
                    "yes" if one.trusted else "no: mend or withdraw",
                )
                for one in approvals
            ],
        )


def fetch(dataset: str, digest: str, url: str, to: Path) -> None:
    """Write one held file, opened, for a person who reviews it."""
    from synthdata.intake.quarantine import held_files, read_held
    from synthdata.intake.sealing import seal_of_environment

    store = open_store(url, create=False)
    (held,) = _chosen([held.sha256 for held in held_files(store, dataset)], [digest])
    data = read_held(store, dataset, held, seal_of_environment())
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writer:
            writer.write(data)
    except OSError as error:
        raise ConfigError(f"the file cannot be written ({error.strerror}): name a new one") from None
    typer.echo("Written. It may hold what identifies a person: remove it once it is reviewed.")


def approve(
    dataset: str,
    url: str,
    digests: Sequence[str],
    *,
    key: Path,
    role: str,
    because: str,
    codes: Sequence[str],
) -> None:
    """Sign that held files were reviewed and may be taken in."""
    from synthdata.intake.approvals import Approval, keep_approval
    from synthdata.intake.quarantine import held_files
    from synthdata.intake.reasons import REASONS
    from synthdata.intake.signatures import load_signing_key, public_key_of

    store = open_store(url, create=False)
    files = {held.sha256: held for held in held_files(store, dataset)}
    chosen = _chosen(list(files), digests)
    present = {code for sha256 in chosen for code in files[sha256].reasons}
    reviewed = set(codes) or {code for code in present if REASONS[code].outcome == "quarantined"}
    signing = load_signing_key(key)
    approval = Approval(
        dataset=dataset,
        files=tuple(chosen),
        reasons=tuple(sorted(reviewed)),
        role=role,
        because=because,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
    )
    signed = keep_approval(store, approval, signing)
    typer.echo(
        f"Approved {len(chosen)} files for {len(reviewed)} reasons as {role!r}, record {signed[:SHORT]}. "
        f"Intake honours it where its list of reviewers has the key {public_key_of(signing)}."
    )


def withdraw(dataset: str, url: str, record: str) -> None:
    """Remove an approval, by the first digits of its record."""
    from synthdata.intake.approvals import kept_approvals, withdraw_approval

    store = open_store(url, create=False)
    found = [
        one.digest for one in kept_approvals(store, dataset, {}) if one.digest.startswith(record.lower())
    ]
    if len(found) != 1 or not record:
        raise GateError(
            f"the record {record!r} names {len(found)} approvals, expected one: see `quarantine show`"
        )
    withdraw_approval(store, dataset, found[0])
    typer.echo("Withdrawn. The next intake holds its files again.")


def _chosen(held: Sequence[str], digests: Sequence[str]) -> list[str]:
    """Whole digests of those that were named by their first digits."""
    chosen = []
    for digest in digests:
        found = [sha256 for sha256 in held if sha256.startswith(digest.lower())]
        if len(found) != 1 or not digest:
            raise GateError(
                f"the digest {digest!r} names {len(found)} held files, expected one: see `quarantine show`"
            )
        chosen += found
    return chosen
