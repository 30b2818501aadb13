"""Pulling, checking and opening a release as a consumer does, over a folder and over HTTP."""

import errno
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest

import synthdata
from synthdata.errors import ConfigError, IntegrityError, StoreError, TrustError
from synthdata.release.client import check, download, list_releases, pull
from synthdata.release.trust import ReleaseSigner, recall
from synthdata.storage.folder import FolderStore
from tests.release.builders import ellipsoid, tree


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """A plain web server which knows ranges, and can break off in the middle."""

    broken: ClassVar[list[int]] = []  # bytes after which the next answers break off
    ranges: ClassVar[list[str]] = []

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data, start = path.read_bytes(), 0
        if header := self.headers.get("Range"):
            self.ranges.append(header)
            first, _, last = header.removeprefix("bytes=").partition("-")
            start, data = int(first), data[: int(last) + 1] if last else data
        self.send_response(206 if header else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.broken and path.suffix == ".tar" and len(data) - start > 2000:
            self.wfile.write(data[start : start + self.broken.pop()])
            self.close_connection = True
            return
        self.wfile.write(data[start:])


@pytest.fixture
def web(published: FolderStore) -> Iterator[str]:
    RangeHandler.broken, RangeHandler.ranges = [], []
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(RangeHandler, directory=str(published.root))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def released(folder: Path) -> dict[str, str]:
    """The files of a release, without what the client remembers."""
    return {name: digest for name, digest in tree(folder).items() if not name.startswith(".synthdata/")}


def test_a_pulled_release_is_the_built_one_and_checks(built, published: FolderStore, tmp_path: Path) -> None:
    pulled = pull("ellipsoids", None, str(published.root), tmp_path / "got")
    assert pulled.complete
    assert pulled.moved == pulled.files
    assert released(tmp_path / "got") == tree(built[0])
    result = check(tmp_path / "got")
    assert result.ok
    assert result.pinned
    assert result.files == result.listed == len(built[1].files)
    assert any("development keys" in note for note in result.notes)


def test_a_second_pull_moves_nothing(published: FolderStore, tmp_path: Path) -> None:
    pull("ellipsoids", "1.0.0", published.url, tmp_path / "got")
    assert pull("ellipsoids", "1.0.0", published.url, tmp_path / "got").moved == 0


def test_pull_over_http_resumes_at_the_byte_where_it_broke_off(web: str, built, tmp_path: Path) -> None:
    RangeHandler.broken = [1500, 1000, 500]
    pulled = pull("ellipsoids", None, web, tmp_path / "got")
    assert pulled.complete
    assert RangeHandler.broken == []
    assert {"bytes=1500-", "bytes=1000-", "bytes=500-"} & set(RangeHandler.ranges)
    assert released(tmp_path / "got") == tree(built[0])


def test_a_server_without_ranges_is_read_from_the_start(
    published: FolderStore, built, tmp_path: Path
) -> None:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(published.root))
    http.server.SimpleHTTPRequestHandler.log_message = lambda *_: None  # type: ignore[method-assign]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        pull("ellipsoids", None, url, tmp_path / "got")
        name = "data/cases-00000.parquet"
        whole = (tmp_path / "got" / name).read_bytes()
        (tmp_path / "got" / name).unlink()
        (tmp_path / "got" / f"{name}.part").write_bytes(whole[:777])
        pull("ellipsoids", None, url, tmp_path / "got")
        server.shutdown()
        thread.join()
    assert released(tmp_path / "got") == tree(built[0])


def test_a_killed_pull_goes_on_and_leaves_no_wrong_name(web: str, built, tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from pathlib import Path; from synthdata.release.client import pull\n"
        "at = int(sys.argv[3])\n"
        "def progress(done, total, message=''):\n"
        "    if done * 100 >= total * at: os.kill(os.getpid(), 9)\n"
        "pull('ellipsoids', None, sys.argv[1], Path(sys.argv[2]), progress=progress)\n"
    )
    want = tree(built[0])
    for share in (1, 30, 80):
        command = [sys.executable, "-c", program, web, str(tmp_path / "got"), str(share)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        found = {
            name: digest for name, digest in released(tmp_path / "got").items() if not name.endswith(".part")
        }
        assert all(want[name] == digest for name, digest in found.items())
        assert not check(tmp_path / "got").ok
    assert pull("ellipsoids", None, web, tmp_path / "got").complete
    assert released(tmp_path / "got") == want


def test_a_wrong_part_of_an_earlier_try_is_thrown_away(published: FolderStore, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    pull("ellipsoids", None, published.url, folder)
    name = "dicom/cases-00000.tar"
    (folder / name).rename(folder / f"{name}.part")
    with (folder / f"{name}.part").open("r+b") as part:
        part.seek(600)
        part.write(b"XX")
        part.truncate(5000)
    assert pull("ellipsoids", None, published.url, folder).moved == 1
    assert check(folder).ok


def test_formats_and_conditions_bring_a_part_that_checks(
    published: FolderStore, made, private, signer, tmp_path, monkeypatch
) -> None:
    from dataclasses import replace

    from synthdata.release import publish, shards
    from tests.release.builders import spec_of

    monkeypatch.setattr(shards, "SHARD_CASES", 2)
    manifest = replace(made, spec=spec_of(version="1.1.0")).build(private, tmp_path / "two")
    publish(tmp_path / "two", manifest, published, signer=signer)
    folder = tmp_path / "got"
    pulled = pull(
        "ellipsoids", None, published.url, folder, formats=["dicom"], where="age >= 32 AND age < 34"
    )
    assert not pulled.complete
    assert [path.name for path in sorted((folder / "dicom").iterdir())] == ["selected-00000.tar"]
    assert not (folder / "data").exists()
    result = check(folder)
    assert result.ok
    assert any("a part of the release" in note for note in result.notes)
    with pytest.raises(TrustError, match="has no Parquet shards"):
        next(synthdata.open_release(folder).cases())


def test_an_opened_release_streams_cases(published: FolderStore, tmp_path: Path) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    opened = synthdata.open_release(tmp_path / "got")
    cases = list(opened.cases())
    assert np.array_equal(cases[4].image, ellipsoid(4).image)
    assert opened.dataset().count_rows() == opened.index().num_rows == 6
    assert opened.case_set.labels == {"organ": 1, "lesion": 3}


def test_cases_are_verified_where_that_is_asked_for(published: FolderStore, tmp_path: Path) -> None:
    pulled = pull("ellipsoids", None, published.url, tmp_path / "got")
    release, shard = synthdata.open_release(pulled.folder), pulled.folder / "data" / "cases-00000.parquet"
    assert [case.case_id for case in release.cases(verify=True)] == [case.case_id for case in release.cases()]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"cases-00000\.parquet"):
        next(release.cases(verify=True))


def test_an_opened_release_is_a_torch_dataset_and_lazy_dicom(published: FolderStore, tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    pull("ellipsoids", None, published.url, tmp_path / "got")
    opened = synthdata.open_release(tmp_path / "got")
    cases = opened.torch()
    assert len(cases) == 6
    assert cases[-1]["case_id"] == "SYN-000005"
    assert np.array_equal(cases[3]["image"].numpy(), ellipsoid(3).image)
    batch = next(iter(DataLoader(cases, batch_size=4)))
    assert tuple(batch["image"].shape) == (4, 2, 4, 10, 8)
    assert batch["record"]["lesion_count"].tolist() == [0, 1, 0, 1]
    with pytest.raises(IndexError):
        cases[6]
    name, dataset = next(opened.dicom())
    assert name == "SYN-000000/T1w/0000.dcm"
    assert np.array_equal(dataset.pixel_array, ellipsoid(0).image[0, 0])


def test_shards_open_without_our_code(published: FolderStore, tmp_path: Path) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    table = pq.read_table(tmp_path / "got" / "data" / "cases-00000.parquet")
    meta = table.schema.field("image").metadata
    image = np.frombuffer(table["image"][2].as_py(), meta[b"dtype"].decode()).reshape(
        json.loads(meta[b"shape"])
    )
    assert np.array_equal(image, ellipsoid(2).image)


def test_an_empty_name_of_a_format_is_said(published: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="formats has an empty name, expected some of parquet"):
        pull("ellipsoids", None, published.url, tmp_path / "got", formats=[""])


def test_a_clock_that_is_a_year_behind_is_told(published: FolderStore, monkeypatch) -> None:
    told: list[str] = []
    list_releases(published.url, tell=told.append)
    assert not [words for words in told if "behind" in words]

    class Behind(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - timedelta(days=365)

    monkeypatch.setattr("synthdata.release.client.trusted.datetime", Behind)
    list_releases(published.url, tell=told.append)
    assert [words for words in told if "is the clock of this machine behind?" in words]


def test_a_folder_with_other_files_is_refused(published: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds other files"):
        pull("ellipsoids", None, published.url, tmp_path / "got")


def test_a_full_disk_is_a_sentence_and_the_next_pull_goes_on(
    published: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = download._write_all, [5]

    def full(writer: int, chunk: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(writer, chunk)

    monkeypatch.setattr(download, "_write_all", full)
    with pytest.raises(StoreError, match="the disk is full at"):
        pull("ellipsoids", None, published.url, tmp_path / "got")
    monkeypatch.setattr(download, "_write_all", real)
    assert pull("ellipsoids", None, published.url, tmp_path / "got").complete


def test_too_little_space_is_said_before_anything_is_fetched(
    published: FolderStore, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(total=100, used=99, free=1))
    with pytest.raises(
        StoreError, match=r"has 0\.0 MB left, .* 16\.8 MB to spare, that is 17\.1 MB more: free some"
    ):
        pull("ellipsoids", None, published.url, tmp_path / "got")


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("heads", None, "has no dataset 'heads', it has ellipsoids"),
        ("ellipsoids", "3.0.0", "has no version 3.0.0, it has 1.0.0"),
        ("ellipsoids", "1", "1 stands for 1.0.0 of ellipsoids: write the version in full"),
    ],
)
def test_what_is_not_there_is_said(
    published: FolderStore, tmp_path: Path, name: str, version: str | None, words: str
) -> None:
    with pytest.raises(TrustError, match=words):
        pull(name, version, published.url, tmp_path / "got")
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("weight > 3", "names column 'weight'"), ("age >", "expected a number"), ("age > 3 age", "expected AND"),
        ("(age > 3", r"expected '\)'"), ("age > 900", "no case meets"), ("; drop table", "expected a column"),
        ("age = 'x'", "compares column 'age' with a 'text' at character 6, expected a number"),
        ("age in (3, true)", "with true or false at character 11, expected a number"),
        ("sex > 3", "column 'sex' with a number at character 6, expected a 'text'"),
        ("shape_zyx = 3", "expected IS NULL or IS NOT NULL alone"), ("age = 1e999", "no case meets"),
        ("age = 99999999999999999999999", "no case meets"), ("lesion_count = 1.5", "no case meets"),
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_read_is_shown(
    published: FolderStore, tmp_path: Path, where: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        pull("ellipsoids", None, published.url, tmp_path / "got", where=where)


@pytest.mark.parametrize(
    ("where", "ages"),
    [
        ("age > 32 and lesion_count > 0", [33, 35]),
        ("NOT (sex = 'F') OR age = 30", [30, 31, 33, 35]),
        ("age between 31 and 32", [31, 32]),
        ("sex in ('M') and age <> 31", [33, 35]),
        ("age is null", []),
        ("age is not null and age <= -1 or age >= 35.0", [35]),
    ],
)
def test_conditions_select_the_cases_that_sql_would(built, where: str, ages: list[int]) -> None:
    from synthdata.release.client.where import case_filter

    table = pq.read_table(built[0] / "index.parquet")
    assert table.filter(case_filter(where, table.schema))["age"].to_pylist() == ages


def test_a_recalled_version_is_refused_and_known_later_without_the_store(
    published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    pull("ellipsoids", "1.0.0", published.url, tmp_path / "got")
    recall(published, signer, "ellipsoids", "1.0.0", "a mask was on the wrong side")
    assert list_releases(published.url).releases[0].recalled == "a mask was on the wrong side"
    with pytest.raises(TrustError, match="wrong side"):
        pull("ellipsoids", "1.0.0", published.url, tmp_path / "again")
    with pytest.raises(TrustError, match="all versions of ellipsoids were recalled"):
        pull("ellipsoids", None, published.url, tmp_path / "again")
    result = check(tmp_path / "got")  # offline, after the listing above
    assert not result.ok
    assert result.recalled == "a mask was on the wrong side"


def test_a_store_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthdata.release.client.remote.FIRST_PAUSE_S", 0.001)
    with pytest.raises(StoreError, match="cannot be reached"):
        list_releases("http://127.0.0.1:1")
    with pytest.raises(StoreError, match="is not a folder"):
        list_releases(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no signed releases"):
        list_releases(str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="scheme 'ftp'"):
        list_releases("ftp://example.org")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synthdata.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_commands_list_pull_and_check(published: FolderStore, tmp_path: Path) -> None:
    listed = run("releases", "--from", published.url, "--json")
    assert listed.returncode == 0
    assert "trusting its root" in listed.stderr
    assert json.loads(listed.stdout)["releases"][0]["cases"] == 6
    assert (
        run("pull", "ellipsoids@1.0.0", "--from", published.url, "--to", str(tmp_path / "got")).returncode
        == 0
    )
    assert run("check", str(tmp_path / "got")).returncode == 0
    (tmp_path / "got" / "datasheet.md").write_text("better")
    wrong = run("check", str(tmp_path / "got"), "--json")
    assert wrong.returncode == 1
    assert "datasheet.md is not the file that was released" in json.loads(wrong.stdout)["problems"][0]


def test_errors_are_one_sentence_and_usage_errors_exit_2(tmp_path: Path) -> None:
    failed = run("releases", "--from", str(tmp_path / "nowhere"))
    assert failed.returncode == 1
    assert failed.stderr.startswith("synthdata: store ")
    assert failed.stderr.count("\n") == 1
    assert run("pull", "x").returncode == 2
    assert "Traceback" in run("--debug", "releases", "--from", str(tmp_path / "nowhere")).stderr


def test_help_loads_no_heavy_package() -> None:
    program = (
        "import sys; sys.argv = ['synthdata', '--help']\n"
        "from synthdata.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pyarrow', 'pydicom', 'boto3', 'tuf', 'torch', 'yaml', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_the_command_line_and_the_client_load_where_the_system_has_no_locks_of_unix() -> None:
    program = "import sys; sys.modules['fcntl'] = None\nimport synthdata.cli, synthdata.release.client\n"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_a_consumer_loads_none_of_what_only_producers_need(published: FolderStore, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nimport synthdata\n"
        "from synthdata.release.client import check, pull\n"
        f"out = Path({str(tmp_path / 'out')!r})\n"
        f"pull('ellipsoids', None, {str(published.root)!r}, out, where='age > 31')\n"
        "check(out)\n"
        "opened = synthdata.open_release(out)\n"
        "assert list(opened.cases()) and opened.dataset().count_rows() and list(opened.dicom())\n"
        "producers = {'torch', 'monai', 'dagster', 'ray', 'great_expectations', 'highdicom', 'scipy', 'nibabel',\n"
        "             'matplotlib', 'yaml', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(producers)) or 0)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
