"""One of several processes that train a generator together; `torchrun` starts it for `pipelines.resources.trainer`."""

import contextlib
import json
import logging
import os
import sys
import time

from dagster_pipes import PipesContext, open_dagster_pipes

from assets.memo import read_record
from pipelines.places import private_url, spec_folders
from pipelines.resources.trainer import JOB
from synthdata.errors import SynthDataError
from synthdata.progress import Progress, silent
from synthdata.records import TrainingSet
from synthdata.spec import load_specs
from synthdata.storage import open_store

LINE_SECONDS = 30.0


def main() -> None:
    """Train as the environment says; the first process tells Dagster how far it is."""
    from synthdata.training import train
    from synthdata.training.ranks import join_ranks, leave_ranks

    job = json.loads(os.environ[JOB])
    private = open_store(private_url(), private=True)
    with contextlib.ExitStack() as stack:
        try:
            spec = load_specs(spec_folders())[job["dataset"]]
            prepared = read_record(private, TrainingSet, job["training_set"])
            ranks = join_ranks()
            told: Progress = silent
            if ranks.first and "DAGSTER_PIPES_CONTEXT" in os.environ:
                told = logged(stack.enter_context(open_dagster_pipes()))
            train(spec, prepared, private, progress=told)
        except SynthDataError as error:
            logging.getLogger(__name__).error("%s: %s", type(error).__name__, error)  # noqa: TRY400 - one sentence
            sys.exit(1)
        leave_ranks(ranks)


def logged(pipes: PipesContext) -> Progress:
    """Progress as lines in the log of the step."""
    last = 0.0

    def progress(done: int, total: int, message: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS or done == total:
            last = now
            pipes.log.info("%d/%d %s", done, total, message)

    return progress


if __name__ == "__main__":
    main()
