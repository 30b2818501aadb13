"""The disk is told of files before their turn, each once, and nothing that is wrong with one of them is told there."""

import os
from pathlib import Path

import pytest

from synthdata.intake import reading_ahead
from synthdata.intake.reading_ahead import read_ahead


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_each_file_is_announced_once_and_before_its_turn(monkeypatch, count) -> None:
    monkeypatch.setattr(reading_ahead, "FILES_AHEAD", 3)
    told: list[Path] = []
    monkeypatch.setattr(reading_ahead, "_announce", told.append)
    paths = [Path(str(number)) for number in range(count)]
    for place, path in enumerate(read_ahead(paths, lambda path: path)):
        assert path == paths[place]
        assert told == paths[: place + 4]
    assert told == paths


def test_files_that_cannot_be_opened_are_left_to_the_reader(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"bytes")
    paths = [tmp_path / name for name in ("nothing", "pipe", "loop", "file", "")]
    assert list(read_ahead(paths, lambda path: path)) == paths
