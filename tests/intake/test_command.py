"""`synthdata intake` tells counts and reasons, and its exit code."""

import pytest
import typer

from synthdata.commands.intake import intake
from synthdata.errors import ConfigError
from synthdata.records import IntakeReport, from_json


def test_clean_scans_exit_zero_and_the_report_can_be_read(build, scans, tmp_path, capsys) -> None:
    build.write(scans, build.series("PAT-1"))
    intake(str(scans), tmp_path / "report.json")
    assert from_json(IntakeReport, (tmp_path / "report.json").read_bytes()).accepted == 5
    assert "quarantined" in capsys.readouterr().out


def test_held_scans_exit_one_and_name_the_reason_and_nobody(build, scans, capsys) -> None:
    datasets = build.series("PAT-1")
    datasets[0].PatientName = "Zacharias^Anna"
    build.write(scans, datasets)
    with pytest.raises(typer.Exit) as caught:
        intake(str(scans))
    out = capsys.readouterr().out
    assert caught.value.exit_code == 1
    assert "deid.person_name" in out
    assert "Zacharias" not in out
    assert "PAT-1" not in out


def test_a_report_which_cannot_be_written_is_a_sentence(build, scans, tmp_path) -> None:
    build.write(scans, build.series("PAT-1"))
    with pytest.raises(ConfigError, match="cannot be written"):
        intake(str(scans), tmp_path / "no" / "report.json")
