import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("synthdata", "assets", "pipelines")
LONGEST_FILE = 400


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, wherever in the file."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("name", ["dagster", "assets", "pipelines"])
def test_synthdata_knows_nothing_of_its_orchestration(name: str) -> None:
    assert [path.name for path in sources("synthdata") if name in imported(path)] == []


@pytest.mark.parametrize("name", ["pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"])
def test_nothing_is_pickled(name: str) -> None:
    assert [path.name for path in sources(*PACKAGES) if name in imported(path)] == []


def test_no_file_is_too_long_to_be_read_in_one_sitting() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources(*PACKAGES)}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    assert [
        path.name for path in sources(*PACKAGES) if path.stem in {"utils", "helpers", "misc", "common"}
    ] == []


def test_the_wheel_holds_synthdata_alone(tmp_path: Path) -> None:
    build = "import setuptools.build_meta as backend, sys; print(backend.build_wheel(sys.argv[1]))"
    # built from a copy: setuptools leaves a folder `build` behind
    copy = tmp_path / "project"
    for path in [ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE", *tracked_like("synthdata")]:
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for package in ("assets", "pipelines", "tests"):
        (copy / package).mkdir()
        (copy / package / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tops == {"synthdata", f"synthdata-{version}.dist-info"}
    data = {path.relative_to(ROOT).as_posix() for path in tracked_like("synthdata")}
    assert data - set(names) == set()


def tracked_like(package: str) -> list[Path]:
    """Files of a package without what Python leaves behind."""
    return [
        path
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
