"""A dataset small enough for a test, and a house of its own: stores, keys and folders below one temporary folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipelines.graph import build_definitions
from synthdata.spec import DatasetSpec, load_spec
from synthdata.storage import keys
from synthdata.storage.folder import FolderStore

# wider than the shipped gates where 200 steps of training, 160 patients and 32 pixels cannot reach them
SPEC = """
name: tiny-head
title: Tiny projections of heads for tests
source: {{kind: phantom, clinical: clinical.csv, phantom: {{patients: {patients}, seed: 3}}}}
channels:
  - {{name: XR, modality: DX, series: "^XR$", percentiles: [0.5, 99.8]}}
labels: {{cranial_cavity: 1, skull: 2}}
clinical:
  - {{name: age, kind: integer, unit: a, minimum: 20, maximum: 89}}
  - {{name: sex, kind: category, values: [F, M]}}
  - {{name: intracranial_volume_ml, kind: number, unit: mL, minimum: 500, maximum: 2500, role: outcome}}
body_part: HEAD
grid: {{shape_zyx: [1, 32, 32], spacing_mm: [1.0, 5.5, 5.5]}}
generator: {{preset: tiny, seen: {seen}, batch: 8, augment: 0}}
gates: {gates}
sampling: {{cases: {cases}, steps: 2, shard_size: 8}}
release: {{licence: CC0-1.0}}
"""
WIDE_GATES = "{fidelity_score: 2.0, copies: 0.2, canary_recall: 0.1, utility_steps: 150, utility_seeds: 1}"
IMPOSSIBLE_GATES = WIDE_GATES.replace("{", "{utility_ratio: 1000.0, ")


@dataclass(frozen=True, kw_only=True)
class House:
    """Stores and folders below one root, and the environment which names them."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        names = ("private", "releases", "keys", "sources", "staging", "alerts")
        return {f"SYNTHDATA_{name.upper()}": str(self.root / name) for name in names} | {
            "SYNTHDATA_DATASETS": str(self.root / "specs"),
            "SYNTHDATA_STATE_DIR": str(self.root / "dagster"),
            "DAGSTER_HOME": str(self.root / "home"),
            "SYNTHDATA_CONFIG": str(self.root / "config"),
        }

    @property
    def private(self) -> FolderStore:
        return FolderStore(self.root / "private")

    @property
    def releases(self) -> FolderStore:
        return FolderStore(self.root / "releases")

    def write_spec(
        self, *, patients: int = 24, seen: int = 160, cases: int = 12, gates: str = WIDE_GATES
    ) -> DatasetSpec:
        path = self.root / "specs" / "tiny-head.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        for number, key in enumerate((keys.PSEUDONYM_KEY, keys.SPLIT_KEY, keys.WATERMARK_KEY)):
            self.private.create(
                key, bytes([number]) * 32
            )  # secrets decide the split: the same one in each run
        path.write_text(SPEC.format(patients=patients, seen=seen, cases=cases, gates=gates), encoding="utf-8")
        return load_spec(path)

    def run(
        self, spec: DatasetSpec, selection: dg.AssetSelection | None = None, **options: object
    ) -> dg.ExecuteInProcessResult:
        """Materialise a part of the graph with the real resources, in this process."""
        with _environment(self.environment):
            definitions = build_definitions([spec])
            chosen = dg.AssetSelection.key_prefixes([spec.name]) if selection is None else selection
            job = dg.define_asset_job("test_job", selection=chosen)
            definitions = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
            with dg.DagsterInstance.ephemeral() as instance:
                return definitions.resolve_job_def("test_job").execute_in_process(
                    instance=instance,
                    raise_on_error=False,
                    run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}, **options},
                )


class _environment:  # noqa: N801 - reads like a function
    """Variables for the length of a block."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Step to the sentence with which it failed."""
    found = {}
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            data = event.step_failure_data
            known = data.user_failure_data
            found[str(event.step_key)] = str(
                known.description if known else data.error.message if data.error else ""
            )
    return found


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    """Names of the checks which failed."""
    return {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    """Assets which were materialised, without the dataset's name."""
    events = result.get_asset_materialization_events()
    return {"/".join(event.asset_key.path[1:]) for event in events if event.asset_key}
