"""Runs whose process was killed: their slots in the pools are given back, or the next run would wait for ever.

Under the daemon run monitoring does this; a run in a terminal has no daemon.
"""

import os
import socket
import subprocess

import dagster as dg

PROCESS_TAG = "synthdata/process"
OPEN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]


def process_mark(pid: int | None = None) -> str:
    """Names a process of this machine so that another one with the same number is not taken for it."""
    number = os.getpid() if pid is None else pid
    asked = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["ps", "-o", "lstart=", "-p", str(number)],  # noqa: S607 - where it lies differs
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return f"{socket.gethostname()}/{number}/{asked.stdout.strip()}"


def close_orphans(instance: dg.DagsterInstance) -> int:
    """Mark runs of dead processes of this machine as failed and free their slots; how many there were."""
    closed = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=OPEN)):
        host, _, rest = run.tags.get(PROCESS_TAG, "").partition("/")
        number, _, _ = rest.partition("/")
        if host != socket.gethostname() or not number.isdigit():
            continue
        if process_mark(int(number)) == run.tags[PROCESS_TAG]:
            continue
        instance.report_run_failed(run, "the process of this run was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        closed += 1
    return closed
