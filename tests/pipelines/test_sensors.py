import contextlib
import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from assets.ingestion import scans_stage
from assets.inventory import look_at_source
from pipelines import sensors
from pipelines.alerts import alert
from pipelines.resources.workplace import WorkplaceResource
from pipelines.sensors import failed_check_names, failed_checks, failed_runs, new_scans
from synthdata.intake import remote
from synthdata.spec import DatasetSpec, Source
from tests.tiny import House


@pytest.fixture
def spec(tmp_path: Path) -> DatasetSpec:
    (tmp_path / "scans").mkdir()
    tiny = House(root=tmp_path).write_spec()
    return replace(tiny, source=Source(kind="folder", uri=str(tmp_path / "scans")))


def look(
    spec: DatasetSpec, cursor: str | None, instance: dg.DagsterInstance | None = None
) -> tuple[str, list[str], str | None]:
    """What the sensor says and starts, and where its cursor is afterwards."""
    folders = WorkplaceResource(sources_folder="unused", staging_folder="unused")
    with contextlib.ExitStack() as stack:
        own = instance or stack.enter_context(dg.DagsterInstance.ephemeral())
        context = dg.build_sensor_context(cursor=cursor, resources={"folders": folders}, instance=own)
        return said(spec, context, cursor)


def said(
    spec: DatasetSpec, context: dg.SensorEvaluationContext, cursor: str | None
) -> tuple[str, list[str], str | None]:
    result = new_scans(spec)(context)
    if isinstance(result, dg.SkipReason):
        return str(result.skip_message), [], cursor
    runs = [str(request.run_key) for request in result.run_requests or ()]
    reason = result.skip_reason.skip_message if result.skip_reason else ""
    return str(reason), runs, result.cursor


def test_new_scans_are_taken_in_once_and_only_when_none_arrive_any_more(
    spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "STILL_SECONDS", 0.0)
    (tmp_path / "scans" / "1.dcm").write_bytes(b"1")
    says, runs, cursor = look(spec, None)
    assert ("waiting until it is still" in says, runs) == (True, [])
    (tmp_path / "scans" / "2.dcm").write_bytes(b"2")  # the scanner is still writing
    _, runs, cursor = look(spec, cursor)
    assert runs == []
    _, first, cursor = look(spec, cursor)
    assert len(first) == 1
    says, runs, cursor = look(spec, cursor)
    assert (says, runs) == ("nothing new", [])
    (tmp_path / "scans" / "3.dcm").write_bytes(b"3")
    _, _, cursor = look(spec, cursor)
    _, second, _ = look(spec, cursor)
    assert len(second) == 1
    assert second != first


def test_a_look_shortly_after_the_last_change_starts_nothing(
    spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scans" / "1.dcm").write_bytes(b"1")
    _, _, cursor = look(spec, None)
    says, runs, cursor = look(spec, cursor)
    assert ("a moment ago" in says, runs) == (True, [])
    monkeypatch.setattr(sensors.time, "time", lambda: json.loads(cursor)["since"] + sensors.STILL_SECONDS + 1)
    _, runs, _ = look(spec, cursor)
    assert len(runs) == 1


def test_a_source_that_is_down_starts_nothing_and_moves_no_cursor(spec: DatasetSpec, tmp_path: Path) -> None:
    says, runs, cursor = look(spec, '{"seen": "a", "taken": "a"}')
    assert "is empty" in says
    assert (runs, cursor) == ([], '{"seen": "a", "taken": "a"}')
    (tmp_path / "scans").rmdir()
    says, runs, _ = look(spec, None)
    assert ("is not there" in says, runs) == (True, [])


def test_a_variable_that_is_not_set_and_a_cursor_of_another_version_crash_nothing(
    spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scans" / "1.dcm").write_bytes(b"1")
    nowhere = replace(spec, source=Source(kind="folder", uri="${NOT_SET_ANYWHERE}"))
    says, runs, cursor = look(nowhere, "{}")
    assert ("NOT_SET_ANYWHERE" in says, runs, cursor) == (True, [], "{}")
    for odd in ("no json", "[1]"):
        says, runs, _ = look(spec, odd)
        assert ("waiting until it is still" in says, runs) == (True, [])


def test_a_changed_clinical_table_beside_the_scans_of_a_server_is_seen(
    spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "look", lambda _address: "the same")
    source = Source(kind="dicomweb", uri="https://pacs.example.org/dicom-web", clinical="clinical.csv")
    far = replace(spec, source=source)
    folder = tmp_path / far.name / "scans"
    folder.mkdir(parents=True)
    digests = [look_at_source(far, tmp_path)]
    for text in ("patient,age", "patient,age,sex"):
        (folder / "clinical.csv").write_text(text)
        digests += [look_at_source(far, tmp_path), look_at_source(far, tmp_path)]
    assert len(set(digests)) == 3


def test_a_source_that_returns_to_what_it_was_is_taken_in_again(
    spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster starts no second run of one key."""
    monkeypatch.setattr(sensors, "STILL_SECONDS", 0.0)
    clock = iter(range(10**9, 2 * 10**9, 10**4))
    monkeypatch.setattr(sensors.time, "time", lambda: float(next(clock)))
    looks, cursor, keys = iter("aabbaa"), None, []
    monkeypatch.setattr(sensors, "look_at_source", lambda *_: next(looks))
    for _ in range(6):
        _, runs, cursor = look(spec, cursor)
        keys += runs
    assert len(set(keys)) == 3


@pytest.mark.parametrize("what", ["failed", "left out", "whole", "canceled", "running"])
def test_a_refresh_that_was_not_whole_is_tried_again_later_and_later(
    spec: DatasetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(sensors, "STILL_SECONDS", 0.0)
    now = [1e9]
    monkeypatch.setattr(sensors.time, "time", lambda: now[0])
    (tmp_path / "scans" / "1.dcm").write_bytes(b"1")
    stage = scans_stage(spec)

    @dg.asset(key=stage.key)
    def scans() -> dg.MaterializeResult[None]:
        if what == "failed":
            raise ValueError
        return dg.MaterializeResult(metadata={"not_fetched_whole": int(what == "left out")})

    with dg.DagsterInstance.ephemeral() as instance:
        _, _, cursor = look(spec, None, instance)
        _, (key,), cursor = look(spec, cursor, instance)
        tags = {"dagster/run_key": key}
        result = dg.materialize([scans], instance=instance, tags=tags, raise_on_error=False)
        if what in {"canceled", "running"}:
            run = instance.get_run_by_id(result.run_id)
            status = dg.DagsterRunStatus.CANCELED if what == "canceled" else dg.DagsterRunStatus.STARTED
            instance.delete_run(result.run_id)
            instance.add_run(run.with_status(status))
        says, runs, cursor = look(spec, cursor, instance)
        assert runs == []
        assert ("tried again 1 hours" in says) is (what in {"failed", "left out"})
        now[0] += 3601
        _, runs, cursor = look(spec, cursor, instance)
        assert len(runs) == (what in {"failed", "left out"})
        if not runs:
            return
        assert runs != [key]
        dg.materialize([scans], instance=instance, tags={"dagster/run_key": runs[0]}, raise_on_error=False)
        now[0] += 3601
        says, runs, cursor = look(spec, cursor, instance)
        assert ("tried again 2 hours" in says, runs) == (True, [])


@dg.asset
def brittle() -> None:
    raise ValueError("a value of a header: DOE^JANE")


@dg.asset
def doubtful() -> None:
    return


@dg.asset_check(asset=doubtful)
def promise_holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False)


def alerts(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]


def test_a_failed_run_raises_an_alert_without_the_message_of_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHDATA_ALERTS", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([brittle], instance=instance, raise_on_error=False)
        event = next(e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_FAILURE)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        failed_runs(context)
    (line,) = alerts(tmp_path)
    assert (line["kind"], line["names"], line["run"]) == ("run_failed", ["brittle"], result.run_id)
    assert "DOE" not in (tmp_path / "alerts.jsonl").read_text()


def test_a_failed_check_which_leaves_its_run_green_raises_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHDATA_ALERTS", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([doubtful, promise_holds], instance=instance)
        assert result.success
        assert failed_check_names(instance, result.run_id) == ["doubtful:promise_holds"]
        event = next(e for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_SUCCESS)
        sensor = failed_checks(dg.DagsterRunStatus.SUCCESS)
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        )
        sensor(context)
    (line,) = alerts(tmp_path)
    assert (line["kind"], line["names"]) == ("check_failed", ["doubtful:promise_holds"])


def test_alerts_are_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHDATA_ALERTS", str(tmp_path))
    for run in "ab":
        alert("run_failed", job="demo", run=run, names=[])
    assert [line["run"] for line in alerts(tmp_path)] == ["a", "b"]
