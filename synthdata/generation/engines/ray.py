"""Shards on the actors of a Ray cluster: weights stay loaded, a bounded number of shards is in flight."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from synthdata.errors import GenerationError, MissingExtraError

if TYPE_CHECKING:
    from synthdata.generation.engines import Task

WAIT_SECONDS = 30.0
SHARD_RETRIES = 3


class RayEngine:
    """Ray Core actors under a bounded `ray.wait`."""

    def __init__(self, *, address: str = "local", workers: int = 2, gpus_per_worker: float = 0) -> None:
        """Choose a cluster.

        Args:
            address: `local` starts Ray on this machine; `auto` or `ray://...` joins a cluster.
            workers: Actors.
            gpus_per_worker: GPUs that each actor holds, 0 for CPU.
        """
        self.address, self.workers, self.gpus = address, workers, gpus_per_worker

    def map(self, task: "Task", todo: Sequence[int]) -> Iterator[int]:
        """Yield results as shards are committed; a worker that dies is started anew, its shard too."""
        if not todo:
            return
        try:
            import ray
        except ImportError:
            raise MissingExtraError.of("the Ray engine", "ray") from None
        started = not ray.is_initialized()
        if started:
            ray.init(address=self.address, include_dashboard=False, log_to_driver=False)
        try:
            yield from self._map(ray, task, list(todo))
        finally:
            if started:
                ray.shutdown()

    def _map(self, ray: Any, task: "Task", todo: list[int]) -> Iterator[int]:
        remote = ray.remote(num_cpus=1, num_gpus=self.gpus, max_restarts=-1, max_task_retries=SHARD_RETRIES)(
            _Actor
        )
        actors = [remote.remote(task) for _ in range(min(self.workers, len(todo)))]
        flying = {}
        for actor in actors:
            if todo:
                flying[actor.run.remote(todo.pop(0))] = actor
        failed: list[str] = []
        while flying:
            ready, _ = ray.wait(list(flying), num_returns=1, timeout=WAIT_SECONDS)
            for reference in ready:
                actor = flying.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayError as error:
                    failed.append(type(error).__name__)
                else:
                    yield result
                if todo:
                    flying[actor.run.remote(todo.pop(0))] = actor
        if failed:
            raise GenerationError(
                f"{len(failed)} shards failed on the Ray cluster ({', '.join(sorted(set(failed)))}): "
                "run the stage again, committed shards are kept"
            )


class _Actor:
    """Holds one opened task."""

    def __init__(self, task: "Task") -> None:
        self.runner = task.open()

    def run(self, index: int) -> int:
        return self.runner.run(index)
