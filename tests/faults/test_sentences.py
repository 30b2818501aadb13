"""What the operator reads when a store or a disk fails under a stage: our sentence, and nobody's name."""

import errno
import os

import dagster as dg
import pytest

from assets.stage import working
from assets.watching import LogWatcher
from pipelines.demo import _failure
from synthdata.errors import StoreError
from synthdata.storage.disk import disk_sentence

PATH = "/scans/DOE^JOHN/0001.dcm"
KEY = dg.AssetKey(["heads", "intake", "cases"])


def told(fault: Exception, *, where: str) -> tuple[str, str]:
    """The line of the demo, and all that the event log keeps."""

    class Records(dg.IOManager):
        def handle_output(self, context: dg.OutputContext, obj: object) -> None:
            if where == "records":
                raise StoreError(disk_sentence("object records/a.json", fault)) from fault

        def load_input(self, context: dg.InputContext) -> None: ...

    @dg.asset(key=KEY)
    def stage(context: dg.AssetExecutionContext) -> int:
        with working(context, LogWatcher(), KEY):
            if where == "store":
                raise StoreError(disk_sentence("object shards/a.parquet", fault)) from fault
            if where == "stage":
                raise fault
        return 1

    result = dg.materialize(
        [stage],
        resources={"io_manager": Records()},
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    )
    (event,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE]
    return _failure(event), event.step_failure_data.error.to_string()


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("stage", "a file of heads/intake/cases"),
        ("store", "object shards/a.parquet"),
        ("records", "object records/a.json"),
    ],
)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            errno.ENOSPC,
            "the disk is full at {} (No space left on device), expected room for it: free some space",
        ),
        (
            errno.EACCES,
            "{} cannot be written (Permission denied), expected the right to write there: give it",
        ),
        (errno.EIO, "{} cannot be written (Input/output error), expected a path on a disk at work: check"),
    ],
)
def test_a_fault_of_a_disk_is_told_once_in_a_sentence(where: str, what: str, number: int, words: str) -> None:
    line, _ = told(OSError(number, os.strerror(number)), where=where)
    assert words.format(what) in line
    assert line.count(what) == 1
    assert "Errno" not in line


def test_the_path_of_a_scan_is_told_nowhere() -> None:
    line, log = told(OSError(errno.EACCES, os.strerror(errno.EACCES), PATH), where="stage")
    assert "DOE" not in line
    assert "DOE" not in log
