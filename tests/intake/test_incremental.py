"""A second intake of the same archive reads nothing; ten new studies cost ten; a kill loses and doubles nothing."""

import gc
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from synthdata.errors import SourceError
from synthdata.intake import case_shards, inspect, inventory, listing, survey, take_in, units
from synthdata.intake.reasons import REASONS
from synthdata.intake.text_engine import TextEngine, text_engine
from synthdata.processes import Crew
from synthdata.records import digest_of
from synthdata.records.parquet import read_cases
from synthdata.records.shard_file import StagedShard
from synthdata.storage.folder import FolderStore


@pytest.fixture(autouse=True)
def _settled(monkeypatch) -> None:
    """Files that were written a moment ago count as settled, so that no test has to wait for the clock."""
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """Every file whose bytes were read."""
    paths: list[Path] = []
    original = inventory.read_file
    monkeypatch.setattr(inventory, "read_file", lambda path: (paths.append(path), original(path))[1])
    return paths


def study(build, folder: Path, patient: int, **changes) -> list[Path]:
    grid = build.grid(shape_zyx=(3, 8, 6))
    return build.write(folder, build.series(f"PAT-{patient}", grid, seed=patient, **changes), f"{patient}-")


def take(build, scans, store, **changes):
    return take_in(build.spec(**changes), scans, store, pseudonym_key=build.key)


def case_ids(store, report) -> list[str]:
    return [case.case_id for case in read_cases(store, report.cases)]


def shards_of(store) -> set[str]:
    return {key for key in store.keys("") if "/shards/" in key}


def test_a_second_run_over_the_same_archive_reads_nothing(build, scans, private, reads) -> None:
    for patient in range(3):
        study(build, scans, patient)
    (scans / "notes.txt").write_text("no image")
    first = take(build, scans, private)
    reads.clear()
    assert digest_of(take(build, scans, private)) == digest_of(first)
    assert reads == []


def test_a_second_run_over_the_same_archive_loads_no_model(build, scans, private, monkeypatch) -> None:
    study(build, scans, 1)
    first = take(build, scans, private)
    text_engine.cache_clear()
    monkeypatch.setattr(TextEngine, "_session", lambda _, model: pytest.fail(f"{model} was loaded"))
    assert digest_of(take(build, scans, private)) == digest_of(first)


def test_new_studies_cost_what_they_are_and_give_what_one_whole_run_gives(
    build, scans, private, tmp_path, reads, monkeypatch
) -> None:
    monkeypatch.setattr(units, "SHARD_CASES", 8)
    for patient in range(24):
        study(build, scans, patient)
    held = study(build, scans, 24)
    held[1].unlink()  # a missing slice: held back, and remembered so
    study(build, scans, 25, patient_name="Zacharias^Anna")
    first = take(build, scans, private)
    before = shards_of(private)
    new = [path for patient in (40, 41) for path in study(build, scans, patient)]
    reads.clear()
    second = take(build, scans, private)
    # each new file once to judge it and once for its pixels; files in quarantine are stored already
    assert sorted(reads) == sorted(new * 2)
    assert second.cases.cases == first.cases.cases + 2
    assert (
        len(shards_of(private) - before) <= 4
    )  # of each new case: its shard, and the other half of a parted one
    assert set(first.cases.shards) & set(second.cases.shards)
    whole = take(build, scans, FolderStore(tmp_path / "another"))
    assert digest_of(second) == digest_of(whole)
    assert len(set(case_ids(private, second))) == second.cases.cases


def test_a_changed_file_of_the_same_size_and_time_is_seen(build, scans, private) -> None:
    path = study(build, scans, 1)[0]
    study(build, scans, 2)
    first = take(build, scans, private)
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    second = take(build, scans, private)
    assert second.inventory != first.inventory
    assert second.cases.shards != first.cases.shards


def test_a_file_written_a_moment_ago_is_read_again(build, scans, private, reads, monkeypatch) -> None:
    paths = study(build, scans, 1)
    monkeypatch.setattr(listing, "RACY_NS", 2_000_000_000)
    take(build, scans, private)
    reads.clear()
    take(build, scans, private)  # one more change within the clock's step would leave the same stamp
    assert sorted(reads) == sorted(paths)


def test_a_touched_file_is_read_and_nothing_is_built_again(build, scans, private, reads) -> None:
    path = study(build, scans, 1)[0]
    first = take(build, scans, private)
    path.touch()
    reads.clear()
    assert digest_of(take(build, scans, private)) == digest_of(first)
    assert reads == [path]


def test_a_study_that_was_removed_is_gone(build, scans, private, reads) -> None:
    for patient in range(3):
        study(build, scans, patient)
    first = take(build, scans, private)
    for path in scans.glob("1-*"):
        path.unlink()
    reads.clear()
    second = take(build, scans, private)
    assert (first.cases.cases, second.cases.cases, second.seen) == (3, 2, 6)
    assert reads == []


def test_one_more_slice_changes_its_case_alone(build, scans, private, reads) -> None:
    for patient in range(2):
        study(build, scans, patient)
    last = scans / "1-0002.dcm"
    aside = shutil.move(last, scans.parent / "aside.dcm")
    first = take(build, scans, private)
    shutil.move(aside, last)
    reads.clear()
    second = take(build, scans, private)
    assert [
        sorted({case.image.shape[1] for case in read_cases(private, one.cases)}) for one in (first, second)
    ] == [
        [2, 3],
        [3],
    ]
    assert all(path.name.startswith("1-") for path in reads)


@pytest.mark.parametrize("fatal", [1, 3, 5])
def test_a_kill_while_cases_are_built_loses_and_doubles_nothing(
    build, scans, private, tmp_path, monkeypatch, fatal
) -> None:
    monkeypatch.setattr(units, "SHARD_CASES", 2)
    for patient in range(6):
        study(build, scans, patient)
    original, calls = StagedShard.commit, []

    def commit(shard):
        calls.append(shard)
        if len(calls) == fatal:
            raise KeyboardInterrupt
        return original(shard)

    with monkeypatch.context() as patch:
        patch.setattr(StagedShard, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            take(build, scans, private)
    assert not list(private.root.rglob(".partial-*"))
    report = take(build, scans, private)
    whole = take(build, scans, FolderStore(tmp_path / "another"))
    assert digest_of(report) == digest_of(whole)
    assert len(set(case_ids(private, report))) == 6


def test_processes_which_share_the_building_give_what_one_gives(
    build, scans, private, tmp_path, monkeypatch
) -> None:
    for patient in range(9):
        study(build, scans, patient)
    fractions = build.series("PAT-9", build.grid(shape_zyx=(3, 8, 6)), seed=9)
    for dataset in fractions:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "0.37", "0", "US"
    build.write(scans, fractions, "9-")  # of another type of voxels
    (study(build, scans, 10)[0]).write_bytes(b"cut")
    wrong = build.series("PAT-11", build.grid(shape_zyx=(3, 8, 6)), seed=11, name="T2w")
    build.write(scans, wrong, "11-")  # held back once it is built
    monkeypatch.setattr(units, "SHARD_CASES", 4)
    alone = FolderStore(tmp_path / "alone")
    whole = take(build, scans, alone)
    monkeypatch.setattr(case_shards, "BYTES_PER_WORKER", 1)
    monkeypatch.setenv("SYNTHDATA_WORKERS", "2")
    monkeypatch.setattr(survey, "FILES_PER_WORKER", 1)
    monkeypatch.setattr(survey, "BATCH_FILES", 4)
    steps, share = list[int](), Crew.in_order
    monkeypatch.setattr(
        Crew, "in_order", lambda *args, **more: (steps.append(more["workers"]), share(*args, **more))[1]
    )
    shared = take(build, scans, private)
    assert steps == [2, 2]
    assert digest_of(shared) == digest_of(whole)
    assert shards_of(private) == shards_of(alone)
    assert {"file.not_an_image", "case.missing_channel"} <= {reason.code for reason in shared.reasons}
    study(build, scans, 12)
    assert digest_of(take(build, scans, private)) == digest_of(take(build, scans, alone))


def test_a_harmed_shard_is_built_again(build, scans, private) -> None:
    study(build, scans, 1)
    first = take(build, scans, private)
    (ref,) = first.cases.shards
    private.delete(ref.key)
    assert digest_of(take(build, scans, private)) == digest_of(first)
    private.write(ref.key, b"x" * ref.size_bytes)
    study(build, scans, 2)
    assert len(case_ids(private, take(build, scans, private))) == 2


def test_another_key_or_rule_begins_anew_and_leaves_no_old_cursor(build, scans, private, reads) -> None:
    study(build, scans, 1)
    study(build, scans, 2, name="T2w")
    assert take(build, scans, private).cases.cases == 1
    old = set(private.keys("datasets/intake-test/cursor/"))
    reads.clear()
    both = build.spec().channels[0]
    wider = type(both)(name="T1w", modality="MR", series="w$")
    assert take(build, scans, private, channels=(wider,)).cases.cases == 2
    assert reads
    assert old.isdisjoint(private.keys("datasets/intake-test/cursor/"))


def test_the_cursor_names_no_file_and_no_patient(build, scans, private) -> None:
    build.write(scans / "DOE_JANE", build.series("PAT-1"))
    take(build, scans, private)
    from synthdata.intake.memory import Memory

    for part in ("files", "cases"):
        (prefix,) = {key.rpartition("/")[0] for key in private.keys("") if f"/{part}/" in key}
        rows = Memory(private, f"{prefix}/")._rows
        assert rows
        assert "DOE" not in json.dumps(rows)
        assert "PAT-1" not in json.dumps(rows)


def test_a_damaged_cursor_costs_time_alone(build, scans, private) -> None:
    study(build, scans, 1)
    first = take(build, scans, private)
    for key in list(private.keys("datasets/intake-test/cursor/")):
        private.write(key, b"harmed")
    assert digest_of(take(build, scans, private)) == digest_of(first)


def test_a_named_pipe_and_a_link_loop_stop_nobody(build, scans, private) -> None:
    study(build, scans, 1)
    os.mkfifo(scans / "pipe.dcm")
    (scans / "loop").symlink_to(scans)
    (scans / "nowhere.dcm").symlink_to(scans / "gone.dcm")
    (scans / "there.dcm").symlink_to(scans / "back.dcm")
    (scans / "back.dcm").symlink_to(scans / "there.dcm")
    report = take(build, scans, private)
    assert (report.accepted, report.seen) == (3, 7)
    assert {reason.code for reason in report.reasons} == {"file.not_regular", "file.link"}
    assert any("1 link to a folder was not followed" in note for note in report.notes)
    assert any("1 link to a folder was not followed" in note for note in inspect(scans).notes)


def test_a_file_that_grows_while_it_is_read_is_refused_and_taken_next_time(
    build, scans, private, monkeypatch
) -> None:
    paths = study(build, scans, 1)
    original = os.fstat
    grown, looks = paths[0].stat().st_ino, list[int]()

    def fstat(handle):
        found = original(handle)
        looks.append(found.st_ino)
        if looks.count(grown) == 2 and found.st_ino == grown:  # the first look asks whether it is an archive
            with paths[0].open("ab") as writer:  # between the first look and the end of reading
                writer.write(b"\0" * 4)
        return found

    data = paths[0].read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(inventory.os, "fstat", fstat)
        report = take(build, scans, private)
    assert "file.changed" in {reason.code for reason in report.reasons}
    paths[0].write_bytes(data)
    assert take(build, scans, private).accepted == 3


def test_an_unchanged_archive_of_many_files_takes_moments(build, scans, private) -> None:
    data = build.write(scans, build.series("PAT-1"))[0].read_bytes()
    for index in range(2000):
        (scans / f"copy{index}.dcm").write_bytes(data)
    started = time.monotonic()
    first = take(build, scans, private)
    once = time.monotonic() - started
    started = time.monotonic()
    assert digest_of(take(build, scans, private)) == digest_of(first)
    assert time.monotonic() - started < once / 4


def test_no_reason_is_without_its_sentence() -> None:
    assert REASONS["file.not_regular"].outcome == "refused"


def test_an_emptied_folder_is_told_and_not_taken_for_a_removal(build, scans, private) -> None:
    study(build, scans, 1)
    take(build, scans, private)
    for path in scans.iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="is empty"):
        take(build, scans, private)


def test_a_file_from_the_future_is_read_once(build, scans, private, reads, monkeypatch) -> None:
    """Copied from a machine whose clock was ahead; its inode has the time of this one."""
    monkeypatch.setattr(listing, "RACY_NS", 1)
    for path in study(build, scans, 1):
        os.utime(path, (time.time() + 10**8,) * 2)
    time.sleep(0.01)
    take(build, scans, private)
    reads.clear()
    take(build, scans, private)
    assert reads == []


@pytest.mark.parametrize("name", ["1-0000.dcm", "1-0001.dcm", "1-0002.dcm"])
@pytest.mark.parametrize("why", ["file.unreadable", "file.changed"])
def test_a_series_of_which_a_file_cannot_be_read_is_held_and_the_others_are_taken(
    build, scans, private, monkeypatch, name, why
) -> None:
    """Two slices of three are a volume, too: only the unread file tells that it is not whole."""
    for patient in range(4):
        study(build, scans, patient)
    original = inventory.read_file

    def read_file(path: Path) -> tuple[bytes, object, str]:
        return (b"", None, why) if path.name == name else original(path)

    with monkeypatch.context() as patch:
        patch.setattr(inventory, "read_file", read_file)
        report = take(build, scans, private)
        looked = inspect(scans)
    codes = {reason.code: reason.files for reason in report.reasons}
    neighbours = 2 if name == "1-0001.dcm" else 5  # of two series, where it lies between them
    assert codes == {why: 1, "case.companion": neighbours}
    assert {reason.code: reason.files for reason in looked.reasons} == codes
    assert any("could not be read do not tell their series" in note for note in report.notes)
    assert take(build, scans, private).cases.cases == 4


def test_what_stays_is_searched_for_rubbish_again_once_the_run_has_ended(build, scans, private) -> None:
    study(build, scans, 1)
    gc.unfreeze()
    take(build, scans, private)
    study(build, scans, 2)
    take(build, scans, private)
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
    with pytest.raises(SourceError):
        take(build, scans / "nowhere", private)
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
