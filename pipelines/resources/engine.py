"""Where shards are drawn: in this process, or on a Ray cluster."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from synthdata.generation.engines import Engine, Task


class EngineResource(dg.ConfigurableResource[None]):
    """An `Engine` by name; neither torch nor Ray is loaded before shards are drawn."""

    kind: Literal["local", "ray"] = Field(
        default="local", description="local: this process; ray: a Ray cluster."
    )
    address: str = Field(default="local", description="Of the Ray cluster: local, auto or ray://host:port.")
    workers: int = Field(default=2, ge=1, description="Ray actors.")
    gpus_per_worker: float = Field(default=0, ge=0, description="GPUs that each actor holds.")

    def engine(self) -> "Engine":
        """The engine."""
        if self.kind == "ray":
            from synthdata.generation.engines.ray import RayEngine

            return RayEngine(address=self.address, workers=self.workers, gpus_per_worker=self.gpus_per_worker)
        from synthdata.generation.engines.local import LocalEngine

        return LocalEngine()

    def map(self, task: "Task", todo: Sequence[int]) -> Iterator[int]:
        """Yield the result of each index as it is done."""
        return self.engine().map(task, todo)
