"""The default engine: a plain loop in this process, on this process's device."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthdata.generation.engines import Task


class LocalEngine:
    """One process, one device, no dependency."""

    def map(self, task: "Task", todo: Sequence[int]) -> Iterator[int]:
        """Run the indices one after the other; an error stops the loop, what is committed stays."""
        if not todo:
            return
        runner = task.open()
        for index in todo:
            yield runner.run(index)
