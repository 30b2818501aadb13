"""Nothing that was planted in the scans comes out: not in logs, events, the database, reports, records or listings."""

import base64
import logging
import secrets
import shutil
from pathlib import Path

import dagster as dg
from typer.testing import CliRunner

from assets.ingestion import intake_report, scans
from assets.watching import LogWatcher
from pipelines.resources.records import RecordIOManager
from pipelines.resources.workplace import WorkplaceResource
from synthdata.cli import app
from synthdata.errors import StoreError
from synthdata.phantom import write_cohort
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore
from tests.intake.planter import TOKENS as FIRST_TOKENS
from tests.intake.planter_people import FOURTH_TOKENS
from tests.intake.test_planted import PLANTS

TOKENS = tuple(token.lower() for token in (*FIRST_TOKENS, *FOURTH_TOKENS))
MOST_SEALED = 20
LEAST_TELLING = 8  # letters of base 64


def written(token: str) -> set[bytes]:
    """A token as bytes: plain, in UTF-16, hexadecimal, and in base 64 wherever it begins."""
    plain = token.encode()
    by_place = {base64.b64encode(b" " * place + plain)[4 if place else 0 : -4].lower() for place in range(3)}
    told = {form for form in by_place if len(form) >= LEAST_TELLING}  # less stands by chance in packed bytes
    return told | {plain, token.encode("utf-16-le"), token.encode("utf-16-be"), plain.hex().encode()}


def plant_all(folder: Path) -> None:
    """A folder with one planted file of each kind, and one clean patient."""
    write_cohort(folder / "clean", patients=1, seed=3, channels=("T1w",))
    carrier = next(path for path in sorted(folder.rglob("*.dcm")) if path.parent.name == "T1w")
    for number, plant in enumerate(PLANTS.values()):
        target = folder / str(number) / "0001.dcm"
        target.parent.mkdir()
        shutil.copy(carrier, target)
        plant(target)


def tokens_below(folder: Path) -> set[str]:
    """Tokens in the names and bytes of all files below a folder."""
    found = set()
    for path in folder.rglob("*"):
        text = str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b"")
        lower = text.lower()
        found |= {token for token in TOKENS if any(form in lower for form in written(token))}
    return found


def materialised(tmp_path: Path, private: FolderStore) -> dg.ExecuteInProcessResult:
    """A run of the assets of intake over the planted source, failed or not."""
    spec = DatasetSpec(
        name="planted",
        title="Planted",
        source=Source(kind="folder", uri=str(tmp_path / "source")),
        channels=(Channel(name="T1w", modality="MR"),),
        grid=GridSpec(shape_zyx=(24, 40, 32), spacing_mm=(6.0, 5.5, 5.5)),
        sampling=Sampling(cases=1),
        release=Release(licence="CC0-1.0"),
    )
    (tmp_path / "home").mkdir()
    folders = WorkplaceResource(sources_folder=str(tmp_path), staging_folder=str(tmp_path / "staging"))
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        return dg.materialize(
            [scans(spec), intake_report(spec)],
            resources={
                "io_manager": RecordIOManager(url=str(tmp_path / "private")),
                "private": private,
                "folders": folders,
                "watcher": LogWatcher(),
            },
            instance=instance,
            raise_on_error=False,
        )


class FullStore(FolderStore):
    """A store whose disk is full after some sealed files."""

    def create(self, key: str, data: bytes) -> bool:
        if key.endswith(".sealed") and len(list(self.keys("datasets/planted/quarantine/"))) >= MOST_SEALED:
            raise StoreError("the store is full: make room")
        return super().create(key, data)


def test_planted_tokens_appear_nowhere(tmp_path, monkeypatch, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    plant_all(tmp_path / "source")
    caplog.clear()  # Pillow tells what it writes, and the planter writes EXIF
    (tmp_path / "key").write_bytes(secrets.token_bytes(32))
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("SYNTHDATA_QUARANTINE_KEY", str(tmp_path / "key"))
    private = tmp_path / "private"
    result = materialised(tmp_path, FolderStore(private))
    assert result.success
    report = result.output_for_node("planted__intake__report")
    assert report.quarantined + report.refused >= len(PLANTS)
    shown = [
        CliRunner().invoke(app, ["quarantine", *words, "--private", str(private)])
        for words in (("list",), ("show", "planted"))
    ]
    inspected = CliRunner().invoke(
        app, ["intake", str(tmp_path / "source"), "--report", str(tmp_path / "home" / "report.json")]
    )
    out, err = capfd.readouterr()
    told = " ".join([out, err, caplog.text, inspected.output, *(one.output for one in shown)])
    assert "deid.person_name" in shown[0].output
    assert {
        record.name
        for record in caplog.records
        if any(token in record.getMessage().lower() for token in TOKENS)
    } == set()
    assert {token for token in TOKENS if token in told.lower()} == set()
    assert tokens_below(tmp_path / "home") == set()
    assert tokens_below(private) == set()


def test_a_run_that_fails_half_way_leaves_no_planted_token(tmp_path, monkeypatch, caplog, capfd) -> None:
    plant_all(tmp_path / "source")
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    (tmp_path / "key").write_bytes(secrets.token_bytes(32))
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("SYNTHDATA_QUARANTINE_KEY", str(tmp_path / "key"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "staging"))
    result = materialised(tmp_path, FullStore(tmp_path / "private"))
    told = " ".join([*capfd.readouterr(), caplog.text]).lower()
    assert not result.success
    assert "the store is full" in told
    assert {token for token in TOKENS if token in told} == set()
    for place in ("home", "private", "staging"):
        assert tokens_below(tmp_path / place) == set()
