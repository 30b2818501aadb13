"""What the demo says before it trains: a mistake in a spec, and what of the scans was held back."""

import io
import shutil
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from pipelines.demo import _explain
from pipelines.held_back import show_held_back
from synthdata.phantom import write_cohort
from synthdata.spec import load_spec
from tests.faults.processes import started
from tests.tiny import House

PHANTOM = "source: {kind: phantom, clinical: clinical.csv, phantom: {patients: 24, seed: 3}}"


@pytest.mark.parametrize("name", ["tiny-head", "phantom-head"], ids=["its own", "another one"])
def test_a_mistake_in_a_spec_is_a_sentence_with_its_line(tmp_path: Path, name: str) -> None:
    house = House(root=tmp_path)
    house.write_spec()
    path = tmp_path / "specs" / "tiny-head.yaml"
    path.write_text(path.read_text().replace("grid:", "grids:"))
    with started("-m", "pipelines.demo", "--dataset", name, environment=house.environment) as demo:
        assert demo.end() == 1
        words = " ".join(demo.said().split())
    assert words.startswith("tiny-head.yaml:")
    assert "unknown key 'grids', expected one of name, title" in words
    assert "Traceback" not in words


def told(house: House, scans: Path) -> str:
    """Take a folder in and prepare it; what the demo says of it."""
    house.write_spec()
    path = house.root / "specs" / "tiny-head.yaml"
    source = f"source: {{kind: folder, uri: {scans}, clinical: clinical.csv}}"
    text = path.read_text().replace("{licence: CC0-1.0}", "{licence: CC0-1.0, source_licence: CC0-1.0}")
    assert PHANTOM in text
    path.write_text(text.replace(PHANTOM, source))
    spec = load_spec(path)
    groups = dg.AssetSelection.groups("sources", "intake", "preparation")
    result = house.run(spec, groups & dg.AssetSelection.key_prefixes([spec.name]))
    console = Console(file=io.StringIO(), width=300)
    show_held_back(spec, result, house.private, console)
    if not result.success:
        assert _explain(result, console) == 1
    return console.file.getvalue()


def test_files_and_cases_that_were_left_out_are_told_with_what_to_do(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_cohort(scans, patients=10, seed=3, channels=("XR",))
    image = next((scans / "PH-000003" / "XR").glob("*.dcm"))
    image.write_bytes(image.read_bytes()[:2000])
    rows = (scans / "clinical.csv").read_text().splitlines(keepends=True)
    (scans / "clinical.csv").write_text("".join(row for row in rows if "PH-000005" not in row))
    words = told(House(root=tmp_path / "house"), scans)
    assert "intake accepted 17 of 21 files, 8 patients" in words
    assert "1 file.truncated: The file ends before its data does: transfer it again." in words
    assert "2 clinical.no_row: The clinical table has no row for this patient: add it." in words
    assert "PH-" not in words


def test_one_patient_under_two_ids_is_told(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_cohort(scans, patients=10, seed=3, channels=("XR",))
    second_id(scans, "PH-000003", "PH-000099")
    words = told(House(root=tmp_path / "house"), scans)
    assert "1 near_duplicate: Two patients have images which are alike beyond anatomy" in words
    assert "find out whether one person has two ids" in words
    assert "PH-" not in words


def test_a_source_without_usable_scans_says_why(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_cohort(scans, patients=4, seed=3, channels=("XR",))
    for folder in scans.glob("*/SEG"):
        shutil.rmtree(folder)
    words = told(House(root=tmp_path / "house"), scans)
    assert (
        "4 mask.missing: The spec has labels, and the case has no mask: send a DICOM SEG, an RTSTRUCT or a label map."
        in words
    )
    assert (
        "1 of 5 files were accepted, of 0 patients, expected cases of at least 3 patients: mend what" in words
    )
    assert "no release was finished" in words


def second_id(scans: Path, old: str, new: str) -> None:
    """The same scans again, as another archive would send them: another id, other instances."""
    shutil.copytree(scans / old, scans / new)
    for path in (scans / new).rglob("*.dcm"):
        data = path.read_bytes()
        assert old.encode() in data
        path.write_bytes(data.replace(old.encode(), new.encode()).replace(b"2.25.", b"2.26."))
    rows = (scans / "clinical.csv").read_text().splitlines(keepends=True)
    rows += [row.replace(old, new) for row in rows if old in row]
    (scans / "clinical.csv").write_text("".join(rows))
