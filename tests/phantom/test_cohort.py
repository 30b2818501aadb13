import csv
import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from typer import Typer
from typer.testing import CliRunner

from synthdata.commands.phantom import phantom
from synthdata.errors import ConfigError, SourceError
from synthdata.phantom import cohort, draw_patient, render, volume_grid, write_cohort
from synthdata.phantom.patient import Patient

SMALL = {"shape_zyx": (8, 12, 10), "spacing_mm": (18.0, 18.0, 17.0)}


class KilledError(Exception):
    """Stands for a kill between two patients."""


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def small(folder: Path, patients: int = 3, **changes: object) -> dict[str, str]:
    write_cohort(folder, patients=patients, **({"seed": 1} | SMALL | changes))  # type: ignore[arg-type]
    return digests(folder)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    assert small(tmp_path / "a") == small(tmp_path / "b")
    assert small(tmp_path / "a") != small(tmp_path / "c", seed=2)


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    before = small(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert small(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_more_patients_leave_the_first_ones_as_they_are(tmp_path: Path) -> None:
    few = small(tmp_path, patients=2)
    more = small(tmp_path, patients=4)
    assert {name: more[name] for name in few if name != "clinical.csv"} == {
        name: few[name] for name in few if name != "clinical.csv"
    }
    assert len({name.split("/")[0] for name in more}) == 5


def test_a_killed_run_is_taken_up(tmp_path: Path) -> None:
    def stop(done: int, total: int, message: str = "") -> None:
        if done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        small(tmp_path / "killed", progress=stop)
    torn = tmp_path / "killed" / ".PH-000002.partial" / "T1w"
    torn.mkdir(parents=True)
    (torn / "0001.dcm").write_bytes(b"cut")
    assert not (tmp_path / "killed" / "clinical.csv").exists()
    assert small(tmp_path / "killed") == small(tmp_path / "whole")


@pytest.mark.parametrize("changes", [{"seed": 2}, {"channels": ("CT",)}, {"spacing_mm": (17.0, 18.0, 17.0)}])
def test_another_cohort_is_not_mixed_into_a_folder(tmp_path: Path, changes: dict[str, object]) -> None:
    before = small(tmp_path)
    with pytest.raises(SourceError, match="choose an empty folder"):
        small(tmp_path, **changes)
    assert digests(tmp_path) == before


def test_a_folder_with_other_files_or_more_patients_is_refused(tmp_path: Path) -> None:
    small(tmp_path, patients=3)
    with pytest.raises(SourceError, match="holds 1 entries"):
        small(tmp_path, patients=2)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SourceError, match="holds 1 entries"):
        small(tmp_path, patients=3)


def test_cores_which_share_a_cohort_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = small(tmp_path / "alone", patients=5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(cohort, "PATIENTS_PER_WORKER", 1)
    told: list[int] = []
    assert small(tmp_path / "shared", patients=5, progress=lambda done, *_: told.append(done)) == alone
    assert told == [1, 2, 3, 4, 5]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".PH-000001.partial").write_text("in the way")
    with pytest.raises(SourceError, match="could not be written") as error:
        small(tmp_path / "full", patients=3)
    assert str(tmp_path) not in str(error.value)


def test_a_folder_which_cannot_be_made_is_refused_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SourceError, match="could not be written") as error:
        small(tmp_path / "file" / "below")
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize(
    "changes", [{"patients": 0}, {"seed": -1}, {"channels": ("XR",)}, {"shape_zyx": (1, 12, 10)}]
)
def test_settings_which_cannot_work_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        small(tmp_path, **changes)  # type: ignore[arg-type]


def test_the_files_hold_what_was_rendered(tmp_path: Path) -> None:
    small(tmp_path, patients=1, channels=("T2w", "CT"))
    grid = volume_grid((8, 12, 10), (18.0, 18.0, 17.0))
    want = render(draw_patient(1, 0), ("T2w", "CT"), grid)
    for channel in ("T2w", "CT"):
        files = [dcmread(path) for path in sorted((tmp_path / "PH-000000" / channel).glob("*.dcm"))]
        assert np.array_equal(np.stack([one.pixel_array for one in files]), want.images[channel])
        assert {one.SeriesDescription for one in files} == {channel}
        assert len({one.SOPInstanceUID for one in files}) == 8
        place = np.array(files[-1].ImagePositionPatient, float)
        assert place == pytest.approx((grid.affine @ [7, 0, 0, 1])[:3], abs=1e-6)


def test_the_clinical_table_has_a_row_per_patient(tmp_path: Path) -> None:
    small(tmp_path, patients=3)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "clinical.csv").read_text())))
    assert [row["patient"] for row in rows] == ["PH-000000", "PH-000001", "PH-000002"]
    for row in rows:
        one = dcmread(next((tmp_path / row["patient"] / "CT").glob("*.dcm")))
        assert (one.PatientID, one.PatientSex) == (row["patient"], row["sex"])
        assert one.PatientAge == f"{int(row['age']):03d}Y"


def test_the_command_writes_a_cohort_and_refuses_a_wrong_shape(tmp_path: Path) -> None:
    app = Typer()
    app.command("phantom")(phantom)
    arguments = [str(tmp_path / "out"), "--patients", "1", "--seed", "4", "--channels", "CT"]
    done = CliRunner().invoke(app, [*arguments, "--shape", "8,12,10", "--spacing", "18,18,17"])
    assert done.exit_code == 0
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 9
    wrong = CliRunner().invoke(app, [*arguments, "--shape", "8,12"])
    assert wrong.exit_code == 2
    assert "three numbers" in wrong.output


def test_names_are_numbers_and_never_those_of_people() -> None:
    patient: Patient = draw_patient(9, 123)
    assert patient.patient_id == "PH-000123"
