"""Where a generator is trained: in this process, or by several that `torchrun` starts through Dagster Pipes."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from assets.memo import write_record
from synthdata.errors import TrainingError
from synthdata.progress import Progress
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore

if TYPE_CHECKING:
    from synthdata.records import Checkpoint, TrainingSet

JOB = "SYNTHDATA_TRAINING_JOB"  # tells the processes what to train
ROOT = Path(__file__).parents[2]


class TrainerResource(dg.ConfigurableResource[None]):
    """Trains in one process, or in one per GPU of this machine; on a machine without GPUs they share its cores."""

    processes: int = Field(default=1, ge=1, description="Processes that train together, such as one per GPU.")

    def train(
        self,
        context: dg.AssetExecutionContext,
        spec: DatasetSpec,
        prepared: "TrainingSet",
        private: ObjectStore,
        progress: Progress,
    ) -> "Checkpoint":
        """The finished checkpoint.

        Raises:
            TrainingError: The training cannot go on, in this process or in one of several.
        """
        from synthdata.training import train

        if self.processes > 1:
            self._together(context, spec, prepared, private)
        return train(spec, prepared, private, progress=progress)  # finds what several have finished

    def _together(
        self,
        context: dg.AssetExecutionContext,
        spec: DatasetSpec,
        prepared: "TrainingSet",
        private: ObjectStore,
    ) -> None:
        job = {"dataset": spec.name, "training_set": write_record(private, prepared)}
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [*launcher, "--nproc-per-node", str(self.processes), "-m", "pipelines.ranks"]
        try:
            dg.PipesSubprocessClient(cwd=str(ROOT)).run(
                command=command, context=context, env={JOB: json.dumps(job)}
            )
        except dg.DagsterError as error:
            raise TrainingError(
                f"one of {self.processes} training processes ended with an error: its sentence is in the log of the "
                "step; run it again to go on from the last checkpoint"
            ) from error
