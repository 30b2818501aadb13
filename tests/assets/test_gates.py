"""Two levels: a blocking check stops what comes after it in its run, and the release refuses by itself in any other."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from assets import checks
from assets.release import check_that_verdict_holds, choose_version, package_stage, published
from assets.validation import validation_stage
from assets.watching import LogWatcher
from pipelines.resources.records import RecordIOManager
from pipelines.resources.signing import KeysFolder
from pipelines.resources.workplace import WorkplaceResource
from synthdata.errors import GateError
from synthdata.records import FileEntry, ReleaseManifest, Verdict, digest_of, to_json
from synthdata.spec import DatasetSpec
from synthdata.storage import keys
from synthdata.storage.folder import FolderStore
from tests.tiny import House, failed_checks, failures, made

PASS = Verdict(
    dataset="tiny-head",
    synthetic="5" * 64,
    training_set="7" * 64,
    outcome="PASS",
    gates={"fidelity": "PASS", "utility": "PASS", "privacy": "PASS", "expectations": "PASS"},
    reasons=("all gates passed",),
    reports={},
    thresholds="0" * 64,
)
FAIL = replace(
    PASS,
    outcome="FAIL",
    gates=PASS.gates | {"utility": "FAIL"},
    reasons=("utility is 0.2, asked for 0.8",),
)


@pytest.fixture
def spec(tmp_path: Path) -> DatasetSpec:
    return House(root=tmp_path).write_spec()


def manifest(verdict: Verdict, version: str = "1.0.0") -> ReleaseManifest:
    file = FileEntry(path="data/a.parquet", sha256="a" * 64, size_bytes=3, media_type="x", role="cases")
    return ReleaseManifest(
        dataset="tiny-head",
        version=version,
        created="2026-11-22",
        licence="CC0-1.0",
        cases=1,
        channels=("T1w",),
        labels={},
        files=(file,),
        verdict=digest_of(verdict),
        outcome="PASS",
        provenance={},
        development_keys=True,
    )


def run_gates(spec: DatasetSpec, verdict: Verdict, folder: Path) -> dg.ExecuteInProcessResult:
    """The real gates on a verdict that a stand-in gives, and something that wants to go on."""

    @dg.asset(key=validation_stage(spec, "verdict").key)
    def given() -> dg.MaterializeResult[Verdict]:
        return dg.MaterializeResult(value=verdict)

    @dg.asset(
        key=package_stage(spec).key, ins={"verdict": dg.AssetIn(key=validation_stage(spec, "verdict").key)}
    )
    def wants_to_go_on(verdict: Verdict) -> dg.MaterializeResult[Verdict]:
        return dg.MaterializeResult(value=verdict)

    return dg.materialize(
        [given, wants_to_go_on, checks.gates(spec)],
        resources={"io_manager": RecordIOManager(url=str(folder / "private"))},
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    )


def test_a_failed_gate_stops_what_comes_after_the_verdict(spec: DatasetSpec, tmp_path: Path) -> None:
    result = run_gates(spec, FAIL, tmp_path)
    assert not result.success
    assert failed_checks(result) == {"utility_reaches_its_gate", "verdict_passes"}
    assert made(result) == {"validation/verdict"}


def test_a_gate_that_is_missing_from_the_verdict_stops_too(spec: DatasetSpec, tmp_path: Path) -> None:
    gates = {name: outcome for name, outcome in PASS.gates.items() if name != "privacy"}
    result = run_gates(spec, replace(PASS, gates=gates), tmp_path)
    assert failed_checks(result) == {"privacy_reaches_its_gate"}
    assert made(result) == {"validation/verdict"}


def test_passed_gates_let_the_run_go_on(spec: DatasetSpec, tmp_path: Path) -> None:
    result = run_gates(spec, PASS, tmp_path)
    assert result.success
    assert made(result) == {"validation/verdict", "release/package"}


def publish_alone(
    spec: DatasetSpec, built: ReleaseManifest, verdict: Verdict, folder: Path
) -> dg.ExecuteInProcessResult:
    """A click on release/published in a later run, with records of earlier runs in the store."""
    records = RecordIOManager(url=str(folder / "private"))
    for stage, record in ((package_stage(spec), built), (validation_stage(spec, "verdict"), verdict)):
        records.handle_output(dg.build_output_context(asset_key=stage.key), record)
    upstream = [dg.AssetSpec(package_stage(spec).key), dg.AssetSpec(validation_stage(spec, "verdict").key)]
    return dg.materialize(
        [*upstream, published(spec)],
        selection=[published(spec).key],
        resources={
            "io_manager": records,
            "releases": FolderStore(folder / "releases"),
            "keys_folder": KeysFolder(folder=str(folder / "keys")),
            "folders": WorkplaceResource(sources_folder=str(folder), staging_folder=str(folder / "staging")),
            "watcher": LogWatcher(),
        },
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    )


@pytest.mark.parametrize(
    ("built_on", "newest", "words"),
    [
        (PASS, FAIL, "GateError: the newest verdict is FAIL, expected PASS. utility is 0.2, asked for 0.8"),
        (replace(PASS, synthetic="6" * 64), PASS, "was built on another verdict than the newest one"),
        (PASS, PASS, "is not built on this machine"),
    ],
)
def test_publishing_in_a_run_of_its_own_refuses_by_itself(
    spec: DatasetSpec, tmp_path: Path, built_on: Verdict, newest: Verdict, words: str
) -> None:
    result = publish_alone(spec, manifest(built_on), newest, tmp_path)
    assert not result.success
    (sentence,) = failures(result).values()
    assert words in sentence
    assert list((tmp_path / "releases").rglob("*.json")) == []


def test_the_verdict_that_a_release_was_built_on_holds() -> None:
    check_that_verdict_holds(manifest(PASS), PASS)
    with pytest.raises(GateError, match="expected PASS"):
        check_that_verdict_holds(manifest(PASS), FAIL)


def test_a_taken_version_is_followed_by_the_next_major_one(
    spec: DatasetSpec, store: FolderStore, releases: FolderStore
) -> None:
    parents = (PASS,)
    assert choose_version(spec, "", parents, store, releases).release.version == "1.0.0"
    built = manifest(PASS)
    releases.write(keys.manifest(spec.name, "1.0.0"), to_json(built))
    assert choose_version(spec, "", parents, store, releases).release.version == "2.0.0"
    assert choose_version(spec, "1.1.0", parents, store, releases).release.version == "1.1.0"
    package_stage(spec).keep(store, built, parents)
    assert choose_version(spec, "", parents, store, releases).release.version == "1.0.0"
    assert choose_version(spec, "", (FAIL,), store, releases).release.version == "2.0.0"
