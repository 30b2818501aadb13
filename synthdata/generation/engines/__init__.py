"""Where shards are drawn: this process, or the actors of a Ray cluster. Same task, same bytes."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from synthdata.generation.engines.local import LocalEngine


class Runner(Protocol):
    """A task whose weights are loaded."""

    def run(self, index: int) -> int:
        """Do the work of one index, commit it, and tell how many cases it holds."""
        ...


class Task(Protocol):
    """What an engine can send to a process."""

    def open(self) -> Runner:
        """Load what is needed, once per process."""
        ...


class Engine(Protocol):
    """Runs a task for indices; the order does not matter, and commits are the task's."""

    def map(self, task: Task, todo: Sequence[int]) -> Iterator[int]:
        """Yield the result of each index as it is done. Raises GenerationError when indices failed."""
        ...


__all__ = ["Engine", "LocalEngine", "Runner", "Task"]
