"""Runs one stage of the tiny dataset in a process that a test may kill: `driver.py <root of the house> <stage>`.

Checkpoints are written after every step, so that a kill at any moment meets one.
"""

import sys
from pathlib import Path

import dagster as dg

import synthdata.training.run as training_run
from synthdata.spec import load_spec
from tests.tiny import House, failures


def main() -> None:
    house, stage = House(root=Path(sys.argv[1])), sys.argv[2]
    training_run.SAVE_SECONDS = 0.0
    spec = load_spec(house.root / "specs" / "tiny-head.yaml")
    groups = {
        "prepare": ("sources", "intake", "preparation"),
        "train": ("model",),
        "generate": ("generation",),
    }[stage]
    selection = dg.AssetSelection.groups(*groups) & dg.AssetSelection.key_prefixes([spec.name])
    result = house.run(spec, selection)
    if not result.success:
        sys.exit(f"failed: {failures(result)}")


if __name__ == "__main__":
    main()
