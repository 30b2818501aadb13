import subprocess
import sys
from pathlib import Path

import dagster as dg

from pipelines.orphans import PROCESS_TAG, close_orphans, process_mark


def open_run(instance: dg.DagsterInstance, mark: str) -> str:
    @dg.job
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing, tags={PROCESS_TAG: mark}, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def test_the_run_of_a_killed_process_is_closed_and_its_slot_freed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = process_mark(child.pid)
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        dead, alive = open_run(instance, mark), open_run(instance, process_mark())
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
        assert instance.event_log_storage.claim_concurrency_slot("gpu", dead, "step").is_claimed
        assert close_orphans(instance) == 0  # it still lives
        child.kill()
        child.communicate()
        assert close_orphans(instance) == 1
        assert instance.get_run_by_id(dead).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(alive).status == dg.DagsterRunStatus.STARTED
        assert instance.event_log_storage.claim_concurrency_slot("gpu", alive, "step").is_claimed
