"""Whatever happens to the files: each has one outcome, and the result does not depend on their order."""

import hashlib
import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthdata.errors import SourceError
from synthdata.intake import inspect, survey, take_in
from synthdata.records import digest_of
from synthdata.storage.folder import FolderStore

damages = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(["cut", "flip", "fill", "swap"]),
        st.floats(0, 1),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def damage(path: Path, kind: str, where: float, byte: int) -> None:
    data = bytearray(path.read_bytes())
    at = int(where * len(data))
    if kind == "cut":
        data = data[:at]
    elif kind == "flip" and data:
        data[min(at, len(data) - 1)] ^= byte
    elif kind == "fill":
        data[at : at + 16] = bytes([byte]) * 16
    else:
        data = data[at:] + data[:at]
    path.write_bytes(data)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=damages)
def test_no_file_is_lost_whatever_is_damaged(build, study, tmp_path, damages) -> None:
    if not any(study.iterdir()):
        build.write(study, build.series("PAT-1"), "a")
        build.write(study, build.series("PAT-2", seed=1), "b")
    folder, store = tmp_path / "scans", FolderStore(tmp_path / "store")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(study, folder)
    paths = sorted(folder.iterdir())
    for index, kind, where, byte in damages:
        damage(paths[index], kind, where, byte)
    for call in (inspect, lambda path: take_in(build.spec(), path, store, pseudonym_key=build.key)):
        try:
            report = call(folder)
        except SourceError:
            continue  # nothing in the folder is an image any more
        assert report.seen == len(paths)
        assert report.accepted + report.quarantined + report.refused == report.seen
        assert "PAT-" not in str(report)


def test_cores_which_share_the_files_book_what_one_alone_books(build, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "scans"
    for patient in range(4):
        build.write(folder, build.series(f"PAT-{patient}", seed=patient), f"{patient}-")
    shutil.copy(folder / "0-0000.dcm", folder / "copy.dcm")
    (folder / "notes.txt").write_text("no image")
    damage(folder / "2-0001.dcm", "cut", 0.99, 0)
    reports = []
    for cores in (1, 2):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        monkeypatch.setattr(survey, "FILES_PER_WORKER", 1)
        monkeypatch.setattr(survey, "BATCH_FILES", 4)
        store = FolderStore(tmp_path / f"store{cores}")
        report = take_in(build.spec(), folder, store, pseudonym_key=build.key)
        stored = sorted(
            (key, hashlib.sha256(store.read(key)).hexdigest())
            for key in store.keys("")
            if "/cursor/" not in key
        )
        reports.append((digest_of(report), stored))
    assert reports[0] == reports[1]
    assert {"file.duplicate", "file.not_an_image", "file.truncated"} <= {one.code for one in report.reasons}
    assert report.accepted + report.quarantined + report.refused == report.seen == 22


def test_order_and_names_of_files_do_not_matter_and_a_second_run_gives_the_same_report(
    build, tmp_path
) -> None:
    datasets = [item for patient in range(4) for item in build.series(f"PAT-{patient}", seed=patient)]
    del datasets[7]  # a missing slice, so that there are reasons to compare
    digests = set()
    for run in range(3):
        shuffled = list(datasets)
        random.Random(run).shuffle(shuffled)
        folder = tmp_path / f"scans{run}"
        for index, dataset in enumerate(shuffled):
            build.write(folder / str(index % 3), [dataset], f"{index}-")
        store = FolderStore(tmp_path / f"store{run}")
        first = take_in(build.spec(), folder, store, pseudonym_key=build.key)
        digests |= {
            digest_of(first),
            digest_of(take_in(build.spec(), folder, store, pseudonym_key=build.key)),
        }
    assert len(digests) == 1


def test_pseudonyms_depend_on_the_key(build, scans, private) -> None:
    build.write(scans, build.series("PAT-1"))
    reports = [take_in(build.spec(), scans, private, pseudonym_key=key * 16) for key in (b"a", b"b")]
    assert reports[0].cases.shards != reports[1].cases.shards
