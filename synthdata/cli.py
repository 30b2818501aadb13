# ruff: noqa: FBT002 - options of commands are keywords on the command line
"""The command line: `synthdata`. Commands load what they need when they are called, so that help is quick."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from synthdata.commands.intake import intake
from synthdata.commands.phantom import phantom
from synthdata.errors import SynthDataError

# paths are `readable=False`: what may not be read is told by a sentence of ours, and by exit code 1
FAILED = 1
INTERRUPTED = 130
STORE_HELP = "Store: a folder, file://, s3://bucket/prefix, http(s)://, or a file of `release links`."
ROOT_HELP = "Root of trust to pin (root.json of the publisher)."

Store = Annotated[str, typer.Option("--from", metavar="URL", help=STORE_HELP, show_default=False)]
Root = Annotated[Path | None, typer.Option("--root", help=ROOT_HELP, readable=False)]
Anonymous = Annotated[
    bool, typer.Option("--anonymous", help="Read S3 without a signature, although credentials are at hand.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
KeyFolder = Annotated[Path, typer.Argument(help="Folder of the keys.", show_default=False, readable=False)]

app = typer.Typer(
    name="synthdata",
    help="Synthetic medical imaging datasets: list, pull, check and verify releases; make and check sources.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
PrivateStore = Annotated[
    str, typer.Option("--private", metavar="URL", help="Private store.", envvar="SYNTHDATA_PRIVATE")
]
Dataset = Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)]
quarantine_app = typer.Typer(
    help="Files that intake holds back: counts, reasons, review.", no_args_is_help=True, rich_markup_mode=None
)
keys_app = typer.Typer(help="Keys that sign releases.", no_args_is_help=True, rich_markup_mode=None)
release_app = typer.Typer(help="Published releases.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(keys_app, name="keys")
app.add_typer(release_app, name="release")
app.add_typer(quarantine_app, name="quarantine")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of all commands."""
    if debug:
        os.environ["SYNTHDATA_DEBUG"] = "1"


@app.command()
def releases(url: Store, root: Root = None, anonymous: Anonymous = False, as_json: Json = False) -> None:
    """List the datasets, versions and recalls of a store."""
    from synthdata.commands import releases as command

    command.releases(url, root=root, anonymous=anonymous, as_json=as_json)


@app.command()
def pull(  # noqa: PLR0913, PLR0917 - options of a command
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Release.", show_default=False)],
    url: Store,
    to: Annotated[
        Path,
        typer.Option(
            "--to", help="Folder: new, empty, or of an earlier try.", show_default=False, readable=False
        ),
    ],
    formats: Annotated[
        str | None, typer.Option(help="Comma-separated: parquet, dicom, nifti, fhir; or index.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Only such cases: 'age > 60 and lesion_count > 0'.")
    ] = None,
    sample: Annotated[str | None, typer.Option(help="1% of the cases, or a number of them.")] = None,
    root: Root = None,
    anonymous: Anonymous = False,
    as_json: Json = False,
) -> None:
    """Download a release, or a part of it; verifies while it downloads, and goes on after a break."""
    from synthdata.commands import pull as command

    part = command.Part(formats=formats, where=where, sample=sample)
    command.pull(name, url, to, part, root=root, anonymous=anonymous, as_json=as_json)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A pulled release.", show_default=False, readable=False)],
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Verify a downloaded release offline."""
    from synthdata.commands import check as command

    command.check(folder, root=root, as_json=as_json)


@app.command()
def verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Images.", show_default=False, readable=False)
    ],
    registry: Annotated[Path | None, typer.Option(help="Folder of a pulled release.", readable=False)] = None,
    key: Annotated[
        Path | None, typer.Option(help="File with the secret key of the watermark.", readable=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Is this image synthetic? Says what each layer of marks tells."""
    from synthdata.commands import verify as command

    command.verify(files, registry=registry, key=key, json=as_json)


@keys_app.command("init")
def keys_init(
    folder: KeyFolder,
    production: Annotated[
        bool, typer.Option("--production", help="Real keys; without it, development keys that say so.")
    ] = False,
    root_keys: Annotated[int, typer.Option(help="Keys of the root, for as many people.")] = 1,
    threshold: Annotated[int, typer.Option(help="Root keys that must sign a new root.")] = 1,
    signer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=ADDRESS", help="A key that is no file: timestamp=envvar:NAME, targets=awskms:ID."
        ),
    ] = None,
) -> None:
    """Make the keys of a release store, and the root of trust that users pin."""
    from synthdata.commands import keys as command

    command.init(
        folder, development=not production, root_keys=root_keys, threshold=threshold, signers=signer or []
    )


@keys_app.command("rotate")
def keys_rotate(
    folder: KeyFolder,
    role: Annotated[
        str | None,
        typer.Argument(
            help="root, targets, snapshot or timestamp; none renews the root.", show_default=False
        ),
    ] = None,
    signer: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the new key, where it is no file.")
    ] = None,
) -> None:
    """Give a role a new key, by a new root; or renew the root before it expires."""
    from synthdata.commands import keys as command

    command.rotate(folder, role, signer)


@keys_app.command("sign")
def keys_sign(
    folder: KeyFolder,
    key: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Root key: file:PATH, hsm:NUMBER; else all in the folder."),
    ] = None,
) -> None:
    """Sign the draft of a new root with a further root key."""
    from synthdata.commands import keys as command

    command.sign(folder, key)


@keys_app.command("status")
def keys_status(
    folder: KeyFolder,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="Look at the store's signatures, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which keys are at hand and what ends when; exit 1 when something ends soon."""
    from synthdata.commands import keys as command

    command.status(folder, store, as_json=as_json)


@keys_app.command("timestamp")
def keys_timestamp(
    folder: KeyFolder, store: Annotated[str, typer.Option("--store", metavar="URL", show_default=False)]
) -> None:
    """Sign the timestamp of a store again, as a schedule should."""
    from synthdata.commands import keys as command

    command.timestamp(folder, store)


@release_app.command("recall")
def release_recall(
    name: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Release.", show_default=False)],
    store: Annotated[str, typer.Option("--store", metavar="URL", show_default=False)],
    keys: Annotated[
        Path, typer.Option("--keys", help="Folder of the keys.", show_default=False, readable=False)
    ],
    reason: Annotated[str, typer.Option("--reason", help="A sentence for users.", show_default=False)],
    delete_files: Annotated[
        bool,
        typer.Option("--delete-files", help="Delete its files; the signed manifest stays as a tombstone."),
    ] = False,
) -> None:
    """Withdraw a version; every later pull and check says so."""
    from synthdata.commands import recall as command

    command.recall(name, store, keys, reason, delete_files=delete_files)


@release_app.command("links")
def release_links(
    name: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Release.", show_default=False)],
    store: Annotated[
        str, typer.Option("--store", metavar="URL", help="s3://bucket/prefix", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write, *.json.", show_default=False)],
    hours: Annotated[float, typer.Option(help="How long the links can be used.")] = 24.0,
    root: Root = None,
) -> None:
    """Write presigned links to one release in S3, for somebody without credentials: `pull --from FILE`."""
    from synthdata.commands import links as command

    command.links(name, store, out, hours=hours, root=root)


@quarantine_app.command("list")
def quarantine_list(store: PrivateStore) -> None:
    """Count the files that intake holds back, by dataset and reason."""
    from synthdata.commands import quarantine as command

    command.listing(store)


@quarantine_app.command("show")
def quarantine_show(dataset: Dataset, store: PrivateStore) -> None:
    """List the held files of a dataset by digest, with their reasons; never a value of theirs."""
    from synthdata.commands import quarantine as command

    command.show(dataset, store)


@quarantine_app.command("fetch")
def quarantine_fetch(
    dataset: Dataset,
    digest: Annotated[str, typer.Argument(help="First digits of the file's digest.", show_default=False)],
    store: PrivateStore,
    to: Annotated[Path, typer.Option("--to", help="A new file.", show_default=False, readable=False)],
) -> None:
    """Write one held file for a person who reviews it."""
    from synthdata.commands import quarantine as command

    command.fetch(dataset, digest, store, to)


@quarantine_app.command("approve")
def quarantine_approve(
    dataset: Dataset,
    digests: Annotated[list[str], typer.Argument(help="First digits of digests.", show_default=False)],
    store: PrivateStore,
    key: Annotated[Path, typer.Option(help="Ed25519 key of the reviewer, PEM.", readable=False)],
    role: Annotated[str, typer.Option(help="Role of the reviewer, as the list of reviewers has it.")],
    because: Annotated[str, typer.Option(help="Why they may pass: a sentence without values.")],
    reason: Annotated[
        list[str] | None, typer.Option(help="Reason that was reviewed; default: those they are held for.")
    ] = None,
) -> None:
    """Sign that held files were reviewed and may be taken in by the next run."""
    from synthdata.commands import quarantine as command

    command.approve(dataset, store, digests, key=key, role=role, because=because, codes=reason or ())


@quarantine_app.command("withdraw")
def quarantine_withdraw(
    dataset: Dataset,
    record: Annotated[str, typer.Argument(help="First digits of the approval's record.", show_default=False)],
    store: PrivateStore,
) -> None:
    """Remove an approval, also one that is not trusted; the next run holds its files again."""
    from synthdata.commands import quarantine as command

    command.withdraw(dataset, store, record)


@app.command()
def attest(  # noqa: PLR0913, PLR0917 - options of a command
    report: Annotated[Path, typer.Argument(help="Report of `synthdata intake --report`.", readable=False)],
    out: Annotated[Path, typer.Option("--out", help="Signed file to write.", readable=False)],
    key: Annotated[Path, typer.Option(help="Ed25519 key of the controller, PEM.", readable=False)],
    controller: Annotated[str, typer.Option(help="Organisation that is responsible.")],
    role: Annotated[str, typer.Option(help="Role of who signs.")],
    legal_basis: Annotated[str, typer.Option(help="Legal basis of the use.")],
    profile: Annotated[str, typer.Option(help="De-identification profile, such as of PS3.15.")],
    tool: Annotated[str, typer.Option(help="Tool that de-identified, with its version.")],
    inspected: Annotated[int, typer.Option(help="Instances that a person looked at.")],
    defects: Annotated[int, typer.Option(help="Of those, with a defect.")] = 0,
) -> None:
    """Sign the data controller's attestation of exactly the files of a report."""
    from synthdata.commands import attestation as command

    facts = command.Facts(controller, role, legal_basis, profile, tool, inspected, defects)
    command.attest(report, out, key, facts)


app.command()(phantom)
app.command()(intake)


def _refuse(sentence: str) -> NoReturn:
    """Tell why on stderr, and on stdout where JSON was asked for; exit 1."""
    if "--json" in sys.argv[1:]:
        typer.echo(json.dumps({"error": sentence}))
    typer.echo(f"synthdata: {sentence}", err=True)
    sys.exit(FAILED)


def main() -> None:
    """Run the command line: an error of ours is one sentence and exit 1, a usage error is exit 2."""
    try:
        app()
    except SynthDataError as error:
        if os.environ.get("SYNTHDATA_DEBUG"):
            raise
        _refuse(str(error))
    except MemoryError:
        if os.environ.get("SYNTHDATA_DEBUG"):
            raise
        _refuse(
            "the memory of this machine is full, expected room for what was asked for: ask for a part of it"
        )
    except KeyboardInterrupt:
        typer.echo("synthdata: interrupted; the same command goes on where it was", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `synthdata releases | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
