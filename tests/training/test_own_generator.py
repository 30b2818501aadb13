"""The example of docs/generators.md works as it is written there."""

import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from synthdata import models
from synthdata.errors import ConfigError
from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine
from synthdata.records.parquet import read_cases
from synthdata.storage import open_store
from synthdata.training import train
from tests.builders import ball_set, ball_spec

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "own-generator"
METADATA = "Metadata-Version: 2.1\nName: own-generator\nVersion: 0.1.0\n"


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example as pip would leave it: the module, and metadata with the entry point of its pyproject."""
    shutil.copy(EXAMPLE / "own_generator.py", tmp_path)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    folder = tmp_path / "own_generator-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    lines = [
        f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items())
        for group, points in project["entry-points"].items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_generator", None)


@pytest.mark.usefixtures("_installed")
def test_a_family_of_another_package_is_trained_and_draws_cases(tmp_path: Path) -> None:
    private = open_store(str(tmp_path / "private"))
    spec, training_set = ball_spec(family="mixture", preset="plain", seen=64), ball_set(private)
    checkpoint = train(spec, training_set, private)
    plan = plan_samples(spec, checkpoint, training_set, watermark_key=None)
    drawn = generate(plan, checkpoint, training_set, private, engine=LocalEngine(), watermark_key=None)
    assert len(list(read_cases(private, drawn))) == 10
    assert b"mixture, plain" in private.read((checkpoint.previews or {})["card"])


def test_a_name_that_nobody_offers_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="expected one of flow, gan, plain-flow, translation, vae"):
        models.family_of("mixture")


def test_an_entry_point_that_is_no_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="odd", value="json:dumps", group=models.ENTRY_POINTS)
    monkeypatch.setattr(models, "entry_points", lambda **_: [point])
    with pytest.raises(ConfigError, match="expected a Family"):
        models.family_of("odd")
