from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines import jobs
from pipelines.demo import main


@dg.asset
def thing() -> None:
    return


def test_runs_that_made_something_which_is_still_the_newest_are_kept() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = (dg.materialize([thing], instance=instance).run_id for _ in range(2))
        later = datetime.now(UTC) + timedelta(days=1)
        assert jobs.old_runs(instance, later) == [first]
        assert jobs.old_runs(instance, later - timedelta(days=30)) == []
        config = dg.RunConfig(ops={"delete_old_runs": jobs.RetentionConfig(keep_days=1)})
        assert jobs.retention.execute_in_process(instance=instance, run_config=config).success
        assert instance.get_run_by_id(first) is not None  # it ended today
        assert instance.get_run_by_id(second) is not None


def test_a_dataset_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "nothing"]) == 2
    assert "expected one of: " in capsys.readouterr().out
