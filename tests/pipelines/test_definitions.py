import os
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

from pipelines.definitions import defs
from pipelines.graph import build_definitions
from pipelines.places import ROOT
from tests.tiny import House

ASSETS = {
    "source/scans": "sources",
    "intake/report": "intake",
    "preparation/training_set": "preparation",
    "model/checkpoint": "model",
    "generation/plan": "generation",
    "generation/cases": "generation",
    "validation/expectations": "validation",
    "validation/fidelity": "validation",
    "validation/utility": "validation",
    "validation/privacy": "validation",
    "validation/verdict": "validation",
    "validation/report": "validation",
    "release/package": "release",
    "release/published": "release",
}
CHECKS = {  # and whether a failure blocks
    "intake/report:files_add_up_and_cases_are_accepted": True,
    "preparation/training_set:no_patient_is_in_two_groups": True,
    "model/checkpoint:checkpoint_loads_and_is_finite": True,
    "generation/cases:every_planned_case_is_there_once": True,
    "validation/expectations:all_suites_pass": False,
    "validation/verdict:fidelity_reaches_its_gate": True,
    "validation/verdict:utility_reaches_its_gate": True,
    "validation/verdict:privacy_reaches_its_gate": True,
    "validation/verdict:expectations_reaches_its_gate": True,
    "validation/verdict:verdict_passes": True,
    "release/published:release_can_be_pulled_and_verified": True,
}
PARENTS = {  # what a change upstream reaches
    "intake/report": {"source/scans"},
    "preparation/training_set": {"intake/report"},
    "model/checkpoint": {"preparation/training_set"},
    "generation/plan": {"model/checkpoint", "preparation/training_set"},
    "generation/cases": {"generation/plan", "model/checkpoint", "preparation/training_set"},
    "release/published": {"release/package", "validation/verdict"},
}
HEAVY = ("torch", "monai", "great_expectations", "ray", "scipy", "matplotlib", "pandas", "pyarrow", "tuf")
LOAD = f"""
import sys, time
import pipelines.definitions
print([name for name in {HEAVY!r} if name in sys.modules], time.process_time())
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions([House(root=tmp_path_factory.mktemp("house")).write_spec()])


def short(key: dg.AssetKey) -> str:
    return "/".join(key.path[1:])


def test_a_spec_becomes_this_graph(tiny: dg.Definitions) -> None:
    graph = tiny.resolve_asset_graph()
    nodes = {short(key): graph.get(key) for key in graph.get_all_asset_keys()}
    assert {name: node.group_name for name, node in nodes.items()} == ASSETS
    assert {name: {short(key) for key in nodes[name].parent_keys} for name in PARENTS} == PARENTS
    checks = {f"{short(key.asset_key)}:{key.name}": graph.get(key).blocking for key in graph.asset_check_keys}
    assert checks == CHECKS


def test_a_spec_gets_these_jobs(tiny: dg.Definitions) -> None:
    names = {job.name for job in tiny.resolve_all_job_defs() if not job.name.startswith("__")}
    parts = {f"tiny_head__{part}" for part in ("refresh", "train", "release", "all")}
    assert names == parts | {"timestamp", "retention"}


def test_the_parts_of_the_chain_add_up_to_the_whole(tiny: dg.Definitions) -> None:
    selected = [
        tiny.resolve_job_def(f"tiny_head__{part}").asset_layer.selected_asset_keys
        for part in ("refresh", "train", "release")
    ]
    assert sum(len(keys) for keys in selected) == len(ASSETS)
    assert set().union(*selected) == tiny.resolve_job_def("tiny_head__all").asset_layer.selected_asset_keys


def test_a_dataset_that_only_translates_ends_at_the_report_of_its_translator() -> None:
    graph = defs.resolve_asset_graph()
    keys = {short(key) for key in graph.get_all_asset_keys() if key.path[0] == "multicontrast-mr"}
    learnt = {"source/scans", "intake/report", "preparation/training_set", "model/checkpoint"}
    assert keys == learnt | {"validation/translation"}
    names = {job.name for job in defs.resolve_all_job_defs() if job.name.startswith("multicontrast_mr__")}
    assert names == {f"multicontrast_mr__{part}" for part in ("refresh", "train", "all")}
    train = defs.resolve_job_def("multicontrast_mr__train").asset_layer.selected_asset_keys
    assert {short(key) for key in train} == {"model/checkpoint", "validation/translation"}


def test_every_asset_of_a_shipped_spec_is_described(tiny: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners, key
        assert node.kinds, key
        assert node.description, key
        assert node.code_version, key


def test_training_and_generation_share_the_pool_of_the_gpu(tiny: dg.Definitions) -> None:
    graph = tiny.resolve_asset_graph()
    pools = {short(key): graph.get(key).pools for key in graph.get_all_asset_keys()}
    assert pools["model/checkpoint"] == pools["generation/cases"] == {"gpu"}
    assert pools["intake/report"] == set()


def test_the_shipped_specs_can_be_loaded_and_the_demo_is_one_of_them() -> None:
    dg.Definitions.validate_loadable(defs)
    assert {"demo", "hippocampus_mr__all"} <= {job.name for job in defs.resolve_all_job_defs()}


def test_nothing_runs_by_itself_on_a_new_install() -> None:
    stopped = {dg.DefaultScheduleStatus.STOPPED, dg.DefaultSensorStatus.STOPPED}
    triggers = [*(defs.schedules or ()), *(defs.sensors or ())]
    assert len(triggers) > 4
    assert {trigger.default_status for trigger in triggers} <= stopped


def test_training_is_automated_by_the_clock_alone_and_a_release_not_at_all(tiny: dg.Definitions) -> None:
    graph = tiny.resolve_asset_graph()
    conditions = {short(key): graph.get(key).automation_condition for key in graph.get_all_asset_keys()}
    automated = {name for name, condition in conditions.items() if condition is not None}
    assert automated == {"intake/report", "preparation/training_set", "model/checkpoint"}
    assert "0 2 * * 6" in str(conditions["model/checkpoint"])


def test_loading_is_light_and_fast() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy, seconds = done.stdout.rsplit("]", 1)
    assert heavy == "["
    assert float(seconds) <= 4.0  # of this process: the other core may be busy


def test_workspace_and_pyproject_name_one_code_location() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    module = entry["python_module"]
    assert module["location_name"] == project["code_location_name"] == "synthdata"
    assert module["module_name"] == project["code_location_target_module"] == "pipelines.definitions"


def test_the_shipped_instance_keeps_its_state_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHDATA_STATE_DIR", str(tmp_path))
    with dg.DagsterInstance.from_config(str(ROOT)) as instance:
        assert not instance.telemetry_enabled
        assert (
            not instance.run_retries_enabled
            or not instance.get_settings("run_retries")["retry_on_asset_or_op_failure"]
        )
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 300
        assert instance.get_settings("concurrency")["pools"]["default_limit"] == 1
    assert any(tmp_path.iterdir())


def test_the_code_location_is_valid_as_the_web_server_loads_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    settings = {"SYNTHDATA_STATE_DIR": str(tmp_path), "DAGSTER_HOME": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Validation successful for code location synthdata" in done.stdout + done.stderr
