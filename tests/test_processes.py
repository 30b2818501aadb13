import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from synthdata import processes
from synthdata.errors import ConfigError, WorkerError
from synthdata.processes import Crew, in_order, in_parts, workers_for

SCRIPT = """
import sys, time
from tests.test_processes import linger
from synthdata.processes import in_order
print("script", flush=True)
for number in in_order(linger, [0.01] * 2 + [60.0] * 2, workers=2):
    print(number, flush=True)
"""  # without a guard, as people write them
CREW = """
import os, sys, threading
from itertools import islice
from tests.test_processes import linger
from synthdata.processes import Crew
if THREAD:
    threading.Thread(target=linger, args=(60.0,), daemon=True).start()
print("script", flush=True)
with Crew() as crew:
    results = crew.in_order(linger, [0.05] * 400 + [60.0] * 4, workers=3)
    found = set()
    while len(found) < 3:
        found.add(next(results))
    print(*(found - {os.getpid()}), sep="\\n", flush=True)
    for number in results:
        pass
"""  # a thread of its own makes it start others from new


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise ConfigError(f"the number is {number}, expected none")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_elsewhere(home: int) -> int:
    time.sleep(0.1)
    return die(home) if os.getpid() != home else home


def interrupt(home: int) -> int:
    time.sleep(0.05)
    if os.getpid() == home:
        raise KeyboardInterrupt
    return home


def refuse_odd(number: int) -> int:
    return refuse(number) if number % 2 else number


def loaded(name: str) -> bool:
    return name in sys.modules


def linger(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_pieces(workers: int) -> None:
    numbers = list(range(20))
    assert list(in_order(square, numbers, workers=workers)) == [square(number) for number in numbers]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_type_and_sentence(workers: int) -> None:
    with pytest.raises(ConfigError, match="the number is 3, expected none"):
        list(in_order(refuse, [3, 4], workers=workers))


def test_a_killed_process_is_told_in_a_sentence() -> None:
    with pytest.raises(WorkerError, match="run it again"):
        list(in_order(die, [1, 2], workers=2))


def test_a_crew_takes_the_pieces_of_all_steps_in_their_order() -> None:
    numbers = list(range(300))
    with Crew() as crew:
        for workers in (1, 2, 3):
            found = list(crew.in_order(square, numbers, workers=workers))
            assert found == [square(number) for number in numbers]


@pytest.mark.parametrize("which", [1, 2])
def test_a_crew_without_others_does_the_work_alone_and_says_so(monkeypatch, caplog, which: int) -> None:
    start, calls, before = BaseProcess.start, [], set(multiprocessing.active_children())

    def refuse_to_start(process: BaseProcess) -> None:
        calls.append(process)
        if len(calls) >= which:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(processes, "_start_method", lambda: "fork")
    monkeypatch.setattr(BaseProcess, "start", refuse_to_start)
    with Crew() as crew:
        for _ in range(2):
            assert list(crew.in_order(square, [1, 2, 3], workers=3)) == [1, 4, 9]
        assert set(multiprocessing.active_children()) <= before  # one that had started is ended
    assert [record.getMessage() for record in caplog.records] == [
        "no process can be started to share the work (BlockingIOError): this one does it alone, more slowly"
    ]


def test_a_process_that_starts_from_new_is_worth_more_work_than_a_copy(monkeypatch) -> None:
    monkeypatch.setenv("SYNTHDATA_WORKERS", "2")
    for start, found in (("fork", [1, 2, 2]), ("spawn", [1, 1, 2])):
        monkeypatch.setattr(processes, "_start_method", lambda start=start: start)
        assert [Crew().workers_for(pieces, least=10) for pieces in (19, 20, 200)] == found


def test_this_process_works_beside_the_others_of_a_crew() -> None:
    with Crew() as crew:
        for _ in range(2):
            assert os.getpid() in set(crew.in_order(linger, [0.01] * 10, workers=2))
        at_work = set(crew.in_order(linger, [0.1] * 60, workers=2))
        assert len(at_work) == 2
        assert set(crew.in_order(linger, [0.1] * 10, workers=2)) == at_work  # no other ones
    assert not multiprocessing.active_children()


def test_an_error_in_a_crew_comes_in_its_turn_and_ends_the_step() -> None:
    with Crew() as crew:
        results = crew.in_order(refuse_odd, [0, 2, 4, 5, 6], workers=2)
        assert [next(results), next(results), next(results)] == [0, 2, 4]
        with pytest.raises(ConfigError, match="the number is 5, expected none"):
            next(results)
        assert list(crew.in_order(square, [1, 2], workers=2)) == [1, 4]


def test_a_killed_process_of_a_crew_is_told_in_a_sentence() -> None:
    with Crew() as crew, pytest.raises(WorkerError, match="run it again"):
        list(crew.in_order(die_elsewhere, [os.getpid()] * 200, workers=2))


def test_ctrl_c_ends_a_crew_whose_own_piece_it_breaks_off() -> None:
    with Crew() as crew, pytest.raises(KeyboardInterrupt):
        list(crew.in_order(interrupt, [os.getpid()] * 100, workers=2))


def test_work_of_a_crew_which_nobody_waits_for_is_left_out() -> None:
    start = time.monotonic()
    with Crew() as crew, closing(crew.in_order(linger, [0.01] * 2 + [1.0] * 100, workers=2)) as results:
        next(results)
    assert time.monotonic() - start < 20


def test_new_processes_load_neither_torch_nor_dagster() -> None:
    assert list(in_order(loaded, ["torch", "dagster", "synthdata"], workers=2)) == [False, False, True]


def test_work_which_nobody_waits_for_is_left_out() -> None:
    start = time.monotonic()
    with closing(in_order(linger, [0.01] * 2 + [1.0] * 100, workers=2)) as results:
        next(results)
    assert time.monotonic() - start < 20


def test_little_work_stays_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert [workers_for(pieces, least=10) for pieces in (0, 19, 20, 35, 1000)] == [1, 1, 2, 3, 4]


def test_a_setting_says_how_many_processes_share_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setenv("SYNTHDATA_WORKERS", "1")
    assert workers_for(1000, least=10) == 1
    monkeypatch.setenv("SYNTHDATA_WORKERS", "8")
    assert [workers_for(pieces, least=10) for pieces in (20, 1000)] == [2, 8]
    monkeypatch.setenv("SYNTHDATA_WORKERS", "all")
    with pytest.raises(ConfigError, match="expected a whole number"):
        workers_for(1000, least=10)


def test_parts_hold_all_pieces_in_order() -> None:
    assert in_parts([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert in_parts([], 2) == []


@pytest.fixture(params=[SCRIPT, f"THREAD = 0{CREW}", f"THREAD = 1{CREW}"], ids=["pool", "copies", "new"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "script.py").write_text(request.param)
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield run
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    run.communicate()


def first_lines(run: subprocess.Popen[str]) -> list[str]:
    assert run.stdout is not None
    return [run.stdout.readline().strip() for _ in range(3)]


def gone(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_run_leaves_no_process_behind(script: subprocess.Popen[str]) -> None:
    lines = first_lines(script)
    assert lines[0] == "script"
    assert "script" not in lines[1:]  # the main script ran once
    script.kill()
    assert all(gone(int(pid)) for pid in lines[1:])


def test_processes_leave_ctrl_c_to_the_run(script: subprocess.Popen[str]) -> None:
    pids = {int(line) for line in first_lines(script)[1:]}
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    assert not any(gone(pid, seconds=0.1) for pid in pids)
