"""Run one dataset from its scans to its release, in this process: `python -m pipelines.demo [--dataset NAME]`.

Exit code: 0 released, 1 a gate or a stage refused, 2 wrong usage, 130 stopped with Ctrl-C.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # threads which wait for each other must not burn the other core

import dagster as dg
from dagster_shared.error import SerializableErrorInfo
from rich.console import Console
from rich.markup import escape

from assets.references import Publication
from assets.release import published_stage
from assets.stage import STOPPED
from assets.translation import translation_stage
from assets.validation import validation_stage
from pipelines.graph import build_definitions
from pipelines.held_back import show_held_back
from pipelines.jobs import DEMO_DATASET
from pipelines.naming import job_name
from pipelines.orphans import PROCESS_TAG, close_orphans, process_mark
from pipelines.places import ROOT, VAR, releases_url, spec_folders
from pipelines.resources.records import latest_record
from pipelines.terminal import TerminalWatcher
from synthdata import errors
from synthdata.errors import SynthDataError
from synthdata.records import Verdict
from synthdata.records.translation import TranslationReport
from synthdata.spec import DatasetSpec, load_specs
from synthdata.storage import ObjectStore
from synthdata.storage.disk import on_disk

STEP_FAILURE = dg.DagsterEventType.STEP_FAILURE
OPEN_FIRST = ("datasheet.html", "gallery/index.html", "reports/report.html")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo", description="From scans to a signed release."
    )
    parser.add_argument(
        "--dataset", default=DEMO_DATASET, help="name of a dataset spec (default: %(default)s)"
    )
    parser.add_argument(
        "--version", default="", help="version of the release (default: the spec's, or the next one)"
    )
    options = parser.parse_args(arguments)
    console = Console()
    try:
        specs = load_specs(spec_folders())
        if options.dataset not in specs:
            known = ", ".join(sorted(specs)) or "none"
            console.print(f"there is no dataset spec {escape(options.dataset)}, expected one of: {known}")
            return 2
        return run(specs[options.dataset], console, version=options.version)
    except SynthDataError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        return _stopped(console)


def run(spec: DatasetSpec, console: Console, *, version: str = "") -> int:
    """Materialise the whole graph of one dataset and say what came out.

    Args:
        spec: The dataset.
        console: Where to.
        version: Of the release; empty for the spec's version, or the next major one where that is taken.

    Returns:
        The exit code.
    """
    started = time.monotonic()
    prepare_home()
    console.print(f"[bold]{escape(spec.title)}[/] ({spec.name}): from scans to a signed release")
    with TerminalWatcher(console) as watcher, dg.DagsterInstance.get() as instance:
        close_orphans(instance)
        definitions = build_definitions([spec], watcher=watcher)
        name = "demo" if spec.name == DEMO_DATASET else job_name(spec, "all")
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config=_run_config(spec, version),
            tags={PROCESS_TAG: process_mark()},
        )
    resources = definitions.resources or {}
    private, releases = resources["private"], resources["releases"]
    minutes, seconds = divmod(time.monotonic() - started, 60)
    console.print(f"\n{minutes:.0f} min {seconds:.0f} s in all")
    show_held_back(spec, result, private, console)
    if not result.success:
        return _explain(result, console)
    if spec.translates_only:
        _show_translation(spec, private, console)
        return 0
    _show_verdict(spec, private, console)
    _show_release(spec, private, releases, console)
    return 0


def prepare_home() -> None:
    """Let runs be seen in the web interface later: the same home and event database as `make dev`."""
    home = Path(os.environ.get("DAGSTER_HOME") or ROOT)  # an empty variable counts as unset
    os.environ["DAGSTER_HOME"] = str(home)
    state = Path(os.environ.setdefault("SYNTHDATA_STATE_DIR", str(VAR / "dagster")))
    for folder in (home, state):
        with on_disk(f"folder {folder.name} of the runs"):
            folder.mkdir(parents=True, exist_ok=True)


def _run_config(spec: DatasetSpec, version: str) -> dict[str, object]:
    config: dict[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if version:
        step = dg.AssetKey([spec.name, "release", "package"]).to_python_identifier()
        config["ops"] = {step: {"config": {"version": version}}}
    return config


def _explain(result: dg.ExecuteInProcessResult, console: Console) -> int:
    """Say which gate or stage refused, and why."""
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    for check in failed:
        asset = "/".join(check.asset_key.path[1:])
        console.print(
            f"[red]blocked[/] {asset}: {check.check_name.replace('_', ' ')}: [bold]no[/]", highlight=False
        )
        if check.description:
            console.print(f"  {escape(check.description)}")
    found = [check.metadata.get("reasons") for check in failed]
    for text in sorted({str(item.value) for item in found if isinstance(item, dg.MarkdownMetadataValue)}):
        console.print(escape(text), highlight=False)
    sentences = [_failure(event) for event in result.all_events if event.event_type is STEP_FAILURE]
    if any(STOPPED in sentence for sentence in sentences):
        return _stopped(console)
    for sentence in filter(None, sentences):
        console.print(f"[red]stopped[/] {escape(sentence)}", highlight=False)
    console.print("no release was finished; the report lies in the private store, `make dev` shows the run")
    return 1


def _failure(event: dg.DagsterEvent) -> str:
    """The step and why it failed; empty for a failed check, which is told by itself."""
    data = event.step_failure_data
    error, known = data.error, data.user_failure_data
    if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
        return ""
    words = [str(known.description) if known is not None else ""]
    if known is None or ": " not in words[0]:  # a sentence of ours needs no second one
        words.append(_cause(error))
    return f"{event.step_key}: " + " ".join(filter(None, words))


def _cause(error: SerializableErrorInfo | None) -> str:
    """The sentence of our own error, or else what the first cause says."""
    root = ""
    while error is not None:
        root = error.message.strip()
        if hasattr(errors, error.cls_name or ""):
            return root.removeprefix(f"{errors.__name__}.")
        error = error.cause
    return root


def _show_verdict(spec: DatasetSpec, private: ObjectStore, console: Console) -> None:
    verdict = latest_record(private, validation_stage(spec, "verdict").key.to_user_string(), Verdict)
    console.print(f"verdict [bold green]{verdict.outcome}[/]")
    for reason in verdict.reasons:
        console.print(f"  {escape(reason)}", highlight=False)


def _show_translation(spec: DatasetSpec, private: ObjectStore, console: Console) -> None:
    report = latest_record(private, translation_stage(spec).key.to_user_string(), TranslationReport)
    console.print(f"translation [bold green]{report.outcome}[/]; no cases are drawn, so nothing is released")
    for metric, methods in report.values.items():
        told = ", ".join(f"{method} {value}" for method, value in methods.items())
        console.print(f"  {metric}: {told}", highlight=False)


def _show_release(spec: DatasetSpec, private: ObjectStore, releases: ObjectStore, console: Console) -> None:
    made = latest_record(private, published_stage(spec).key.to_user_string(), Publication)
    place = f"{releases.url.rstrip('/')}/{made.prefix}"
    if urlsplit(releases_url()).scheme != "s3":
        place = unquote(urlsplit(place).path)
    console.print(
        f"release [bold]{spec.name} {made.version}[/]: {made.files} files, {made.size_bytes / 1e6:.1f} MB"
    )
    console.print(f"  {escape(place)}", soft_wrap=True)
    console.print("worth opening:")
    for path in OPEN_FIRST:
        if releases.size(made.prefix + path) is not None:
            console.print(f"  {escape(place)}{path}", soft_wrap=True, highlight=False)
    console.print(
        f"pull it as others do: synthdata pull {spec.name}@{made.version} --from {escape(releases_url())} --to DIR"
    )


def _stopped(console: Console) -> int:
    console.print("\nstopped; the next run goes on where this one was")
    return 130


if __name__ == "__main__":
    sys.exit(main())
