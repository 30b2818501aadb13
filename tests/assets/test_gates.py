"""Two levels: a blocking check stops what comes after it in its run, and the release refuses by itself in any other."""

import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assets import checks
from assets.admission import check_that_it_may_go_out, check_that_verdict_holds
from assets.release import choose_version, package_stage, published
from assets.validation import validation_stage
from assets.watching import LogWatcher
from pipelines.resources.records import RecordIOManager
from pipelines.resources.signing import KeysFolder
from pipelines.resources.workplace import WorkplaceResource
from synthdata.errors import GateError, TrustError
from synthdata.privacy.waivers import Waiver, public_key_of, sign_waiver
from synthdata.records import ExpectationsReport, FileEntry, ReleaseManifest, Verdict, digest_of, to_json
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


def waive(folder: Path, verdict: Verdict, *gates: str) -> KeysFolder:
    """A signed waiver in the store, and keys with the operator's allow list."""
    officer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    reason = "The study that asked for this release does not train segmenters."
    waiver = Waiver(
        dataset=verdict.dataset, verdict=digest_of(verdict), gates=gates, role="steward", reason=reason,
        date="2026-11-22",
    )  # fmt: skip
    sign_waiver(FolderStore(folder / "private"), waiver, officer)
    entry = {"role": "steward", "public_key": public_key_of(officer), "gates": ["utility", "privacy"]}
    (folder / "signatories.json").write_text(json.dumps([entry]))
    return KeysFolder(folder=str(folder / "keys"), allow_list=str(folder / "signatories.json"))


def test_a_waived_verdict_may_go_out_and_only_with_the_allow_list(tmp_path: Path) -> None:
    keys_folder, private = waive(tmp_path, FAIL, "utility"), FolderStore(tmp_path / "private")
    check_that_it_may_go_out(FAIL, private, keys_folder.signatories())
    with pytest.raises(GateError, match="the verdict is FAIL"):
        check_that_it_may_go_out(FAIL, private, KeysFolder(folder=str(tmp_path)).signatories())
    other = replace(FAIL, synthetic="6" * 64)
    with pytest.raises(GateError, match="the verdict is FAIL"):
        check_that_it_may_go_out(other, private, keys_folder.signatories())


def test_a_failed_privacy_gate_does_not_go_out_whoever_signs(tmp_path: Path) -> None:
    verdict = replace(PASS, outcome="FAIL", gates=PASS.gates | {"privacy": "FAIL"})
    keys_folder = waive(tmp_path, verdict, "privacy")
    with pytest.raises(GateError, match="cannot be waived"):
        check_that_it_may_go_out(verdict, FolderStore(tmp_path / "private"), keys_folder.signatories())


@pytest.mark.parametrize(
    "text", ["{}x", "[{}]", '[{"role": "a", "public_key": "00", "gates": []}]', "[3]", "3"]
)
def test_an_allow_list_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(TrustError, match="allow list"):
        KeysFolder(folder=str(tmp_path), allow_list=str(tmp_path / "list.json")).signatories()


def test_a_waived_release_is_published_by_its_evidence_alone(spec: DatasetSpec, tmp_path: Path) -> None:
    """The manifest's word WAIVED gets as far as `publish`, which wants the files."""
    said = replace(manifest(FAIL), outcome="WAIVED")
    (sentence,) = failures(publish_alone(spec, said, FAIL, tmp_path)).values()
    assert "is not built on this machine" in sentence


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


def test_the_check_of_the_suites_names_the_first_page_of_data_docs(spec: DatasetSpec, tmp_path: Path) -> None:
    page = "datasets/tiny-head/reports/5/data_docs/index.html"
    report = ExpectationsReport(
        dataset="tiny-head",
        synthetic="5" * 64,
        suites={"cases": True},
        failed=(),
        evaluated=3,
        figures={"data_docs": page},
    )

    @dg.asset(key=validation_stage(spec, "expectations").key)
    def given() -> dg.MaterializeResult[ExpectationsReport]:
        return dg.MaterializeResult(value=report)

    result = dg.materialize(
        [given, checks.suites_pass(spec)],
        resources={"io_manager": RecordIOManager(url=str(tmp_path / "private"))},
        instance=dg.DagsterInstance.ephemeral(),
    )
    (found,) = result.get_asset_check_evaluations()
    assert found.passed
    assert found.metadata["data_docs"].value == page
