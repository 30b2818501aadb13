import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from pipelines import sensors
from pipelines.alerts import alert
from pipelines.resources.workplace import WorkplaceResource
from pipelines.sensors import failed_check_names, failed_checks, failed_runs, new_scans
from synthdata.spec import DatasetSpec, Source
from tests.tiny import House


@pytest.fixture
def spec(tmp_path: Path) -> DatasetSpec:
    (tmp_path / "scans").mkdir()
    tiny = House(root=tmp_path).write_spec()
    return replace(tiny, source=Source(kind="folder", uri=str(tmp_path / "scans")))


def look(spec: DatasetSpec, cursor: str | None) -> tuple[str, list[str], str | None]:
    """What the sensor says and starts, and where its cursor is afterwards."""
    folders = WorkplaceResource(sources_folder="unused", staging_folder="unused")
    context = dg.build_sensor_context(cursor=cursor, resources={"folders": folders})
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
