"""The main job on a tiny phantom: scans in, a release out that the real client accepts; then again; with a shut gate.

One house serves all tests of this file, in order: what comes second is what a data engineer does second.
"""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from assets.references import Publication
from assets.release import published_stage
from pipelines.resources.records import latest_record
from synthdata.records import CaseSet, Checkpoint
from synthdata.release import client
from tests.tiny import IMPOSSIBLE_GATES, House, failed_checks, failures, made

pytestmark = pytest.mark.slow
SIZES = {"patients": 160, "seen": 1600, "cases": 320}  # fewer cases match too few patients for any test


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(root=tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def first(house: House) -> dg.ExecuteInProcessResult:
    return house.run(house.write_spec(**SIZES))


def work_done_before(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    found = set()
    for event in events:
        data = event.materialization
        if data.metadata["work_was_done_before"].value:
            found.add("/".join(data.asset_key.path[1:]))
    return found


def test_scans_become_a_release_that_the_real_client_accepts(
    house: House, first: dg.ExecuteInProcessResult, tmp_path: Path
) -> None:
    assert first.success, failures(first)
    assert failed_checks(first) == set()
    assert len(made(first)) == 14
    pulled = client.pull("tiny-head", None, str(house.root / "releases"), tmp_path / "release")
    assert (pulled.version, pulled.complete) == ("1.0.0", True)
    checked = client.check(tmp_path / "release")
    assert checked.problems == ()
    opened = client.open_release(tmp_path / "release")
    assert opened is not None


def test_what_the_viewers_see_holds_no_path_and_no_patient(
    house: House, first: dg.ExecuteInProcessResult
) -> None:
    written = str([event.materialization for event in first.get_asset_materialization_events()])
    pseudonyms = {case for case in written.split("'") if case.startswith("PHANTOM")}
    assert pseudonyms == set()
    assert str(house.root) not in written


def test_a_second_run_finds_everything_done(house: House, first: dg.ExecuteInProcessResult) -> None:
    assert first.success
    again = house.run(house.write_spec(**SIZES))
    assert again.success, failures(again)
    slow = {
        "intake/report",
        "preparation/training_set",
        "model/checkpoint",
        "generation/cases",
        "release/package",
    }
    reports = {f"validation/{name}" for name in ("fidelity", "utility", "privacy", "expectations", "report")}
    assert slow | reports <= work_done_before(again)
    assert latest_publication(house).version == "1.0.0"


def test_more_cases_are_a_new_major_version_of_the_same_generator(
    house: House, first: dg.ExecuteInProcessResult
) -> None:
    assert first.success
    spec = house.write_spec(**(SIZES | {"cases": 328}))
    more = house.run(spec)
    assert more.success, failures(more)
    assert {"preparation/training_set", "model/checkpoint"} <= work_done_before(more)
    assert "generation/cases" not in work_done_before(more)
    assert latest_publication(house).version == "2.0.0"


def test_a_shut_gate_stops_before_the_package_but_leaves_the_report(
    house: House, first: dg.ExecuteInProcessResult
) -> None:
    assert first.success
    published_before = sorted(house.releases.keys("datasets/"))
    shut = house.run(house.write_spec(**SIZES, gates=IMPOSSIBLE_GATES))
    assert not shut.success
    assert failed_checks(shut) == {"utility_reaches_its_gate", "verdict_passes"}
    assert "validation/report" in made(shut)
    assert {"release/package", "release/published"} & made(shut) == set()
    assert sorted(house.releases.keys("datasets/")) == published_before


def test_later_runs_of_package_or_publication_refuse_by_themselves(
    house: House, first: dg.ExecuteInProcessResult
) -> None:
    """After the run above: no check runs here, the newest verdict is FAIL."""
    assert first.success
    spec = house.write_spec(**SIZES, gates=IMPOSSIBLE_GATES)
    for name in ("package", "published"):
        key = replace(published_stage(spec), name=name).key
        alone = house.run(spec, dg.AssetSelection.assets(key).without_checks())
        assert not alone.success
        (sentence,) = failures(alone).values()
        assert sentence.startswith("GateError: ")
        assert "FAIL, expected PASS" in sentence


def latest_publication(house: House) -> Publication:
    return latest_record(house.private, "tiny-head/release/published", Publication)


def test_the_records_of_the_chain_are_in_the_private_store(
    house: House, first: dg.ExecuteInProcessResult
) -> None:
    assert first.success
    checkpoint = latest_record(house.private, "tiny-head/model/checkpoint", Checkpoint)
    assert house.private.size(checkpoint.key) == checkpoint.size_bytes
    assert latest_record(house.private, "tiny-head/generation/cases", CaseSet).origin == "synthetic"
