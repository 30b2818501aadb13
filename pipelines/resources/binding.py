"""The resources of this installation, from environment variables; every default lies under `var/`."""

import os

from assets.watching import LogWatcher, Watcher
from pipelines.places import VAR, address, private_url, releases_url
from pipelines.resources.engine import EngineResource
from pipelines.resources.records import RecordIOManager
from pipelines.resources.signing import KeysFolder
from pipelines.resources.stores import LazyStore
from pipelines.resources.trainer import TrainerResource
from pipelines.resources.workplace import WorkplaceResource
from synthdata.errors import ConfigError


def default_resources(watcher: Watcher | None = None) -> dict[str, object]:
    """Resources by the names that the assets ask for.

    Args:
        watcher: Shows progress; None writes it to the log of the run.

    Raises:
        ConfigError: `SYNTHDATA_ENGINE` names no engine, or a number is none.
    """
    return {
        "private": LazyStore(private_url(), private=True),
        "releases": LazyStore(releases_url()),
        "io_manager": RecordIOManager(url=private_url()),
        "engine": _engine(),
        "trainer": TrainerResource(processes=_processes()),
        "keys_folder": KeysFolder(
            folder=address("SYNTHDATA_KEYS", VAR / "keys"),
            make_development_keys=os.environ.get("SYNTHDATA_DEVELOPMENT_KEYS", "yes") != "no",
            allow_list=os.environ.get("SYNTHDATA_WAIVERS", ""),
        ),
        "folders": WorkplaceResource(
            sources_folder=address("SYNTHDATA_SOURCES", VAR / "sources"),
            staging_folder=address("SYNTHDATA_STAGING", VAR / "staging"),
        ),
        "watcher": watcher or LogWatcher(),
    }


def _processes() -> int:
    text = os.environ.get("SYNTHDATA_TRAINING_PROCESSES", "1")
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(
            f"SYNTHDATA_TRAINING_PROCESSES is {text!r}, expected a number of processes from 1 on"
        )
    return int(text)


def _engine() -> EngineResource:
    kind = os.environ.get("SYNTHDATA_ENGINE", "local")
    if kind == "local":
        return EngineResource(kind="local")
    if kind != "ray":
        raise ConfigError(f"SYNTHDATA_ENGINE is {kind!r}, expected local or ray")
    try:
        workers = int(os.environ.get("SYNTHDATA_RAY_WORKERS", "2"))
        gpus = float(os.environ.get("SYNTHDATA_RAY_GPUS_PER_WORKER", "0"))
    except ValueError:
        raise ConfigError(
            "SYNTHDATA_RAY_WORKERS or SYNTHDATA_RAY_GPUS_PER_WORKER is no number: expected such as 2 and 0.5"
        ) from None
    return EngineResource(
        kind="ray",
        address=os.environ.get("SYNTHDATA_RAY_ADDRESS", "local"),
        workers=workers,
        gpus_per_worker=gpus,
    )
