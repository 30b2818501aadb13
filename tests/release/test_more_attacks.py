"""Attacks that need the publisher's own key, a hostile target folder, or another state of the store meanwhile."""

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthdata.errors import MissingObjectError, RecordError, SynthDataError, TrustError
from synthdata.records import FileEntry, ReleaseManifest, from_json, to_json
from synthdata.records.pages import array_of
from synthdata.release.client import check, list_releases, open_release, pull
from synthdata.release.client import pulling as pulling_module
from synthdata.release.client.paths import check_paths
from synthdata.release.trust import ReleaseSigner, recall
from synthdata.release.trust.contents import SignedRelease
from synthdata.release.trust.repository import transact
from synthdata.storage.commit import sha256_of
from synthdata.storage.folder import FolderStore

RELEASE = "datasets/ellipsoids/1.0.0"


def entry(path: str, data: bytes = b"x", role: str = "document") -> FileEntry:
    return FileEntry(
        path=path, sha256=sha256_of(data), size_bytes=len(data), media_type="text/plain", role=role
    )


def sign(published: FolderStore, signer: ReleaseSigner, data: bytes, version: str = "6.6.6") -> None:
    """Publish a manifest of any content, signed as it is."""
    published.write(f"datasets/ellipsoids/{version}/manifest.json", data)
    release = SignedRelease(
        dataset="ellipsoids", version=version, title="t", created="2026-01-01", licence="CC-BY-4.0", cases=1,
        size_bytes=1, outcome="PASS", development_keys=True, manifest_sha256=sha256_of(data), manifest_bytes=len(data),
    )  # fmt: skip
    transact(published, signer, lambda contents: contents.adding(release))


def command(*words: str, config: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    environment = os.environ | {"SYNTHDATA_CONFIG": str(config)}
    return subprocess.run(
        [sys.executable, "-m", "synthdata.cli", *words],
        check=False, capture_output=True, text=True, env=environment, timeout=timeout,
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        (b'"cases":6', b'"cases":7,"cases":6'),
        (b'"size_bytes":', b'"size_bytes":1,"size_bytes":'),
        (b'"cases":6', b'"cases":NaN'),
        (b'"cases":6', b'"cases":-Infinity'),
        (b'"cases":6', b'"cases":1e999'),
        (b'"cases":6', b'"cases":' + b"9" * 5000),
        (b'"cases":6', b'"cases":' + b"[" * 100_000),
        (b'"cases":6', b'"cases":-6'),
        (b'"cases":6', b'"cases":true'),
        (b'"labels":{', b'"labels":{"\\ud800":9,'),
        (b'"version":"6.6.6"', b'"version":"6.6.6","x":1'),
    ],
    ids=range(11),
)
def test_a_signed_manifest_that_two_readers_would_read_differently_is_refused(
    built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    data = to_json(replace(built[1], version="6.6.6"))
    assert change[0] in data
    sign(published, signer, data.replace(*change, 1))
    got = command(
        "pull", "ellipsoids@6.6.6", "--from", published.url, "--to", str(tmp_path / "got"), "--json",
        config=tmp_path / "other",
    )  # fmt: skip
    last = got.stderr.strip().splitlines()[-1]
    assert got.returncode == 1
    assert last.startswith("synthdata: ")
    assert "Traceback" not in got.stderr
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}', b"NaN", b'{"x":[1e999]}', b"[" * 100_000, b'{"a":"\\ud800"}', b'{"a":"\xed\xa0\x80"}',
        '{"a":"\ud800"}'.encode("utf-16-le", "surrogatepass"), '{"a":1}'.encode("utf-16"), b'\xef\xbb\xbf{"a":1}',
    ],
    ids=["twice", "NaN", "infinity", "depth", "escape", "half", "half UTF-16", "UTF-16", "mark"],
)  # fmt: skip
def test_json_that_is_not_plain_is_no_record(data: bytes) -> None:
    with pytest.raises(RecordError, match="is not JSON"):
        from_json(ReleaseManifest, data)


@pytest.mark.parametrize(
    "paths",
    [
        ("data", "data/x"), ("data/x", "data"), ("Data", "data/x"), ("a", "a.part/b"), ("dir./x",), ("con/x",),
        ("a.part/x",), ("manifest.json/x",), ("e\u0301",), ("\u00e9",), ("\u212aelvin",), ("a\u202etxt",),
        ("COM1",),
        ("lpt9.txt",), ("x:y",), ("//server/share",), ("\\\\?\\C:\\x",), (".hidden",), ("a/.ssh/x",), ("-rf",),
    ],
)  # fmt: skip
def test_paths_that_some_disk_would_take_for_others_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(TrustError):
        check_paths([entry(path) for path in paths])


def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.write_bytes(b"mine")
    return path


FIRST = "data/cases-00000.parquet"


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link"])
@pytest.mark.parametrize(
    "name",
    [f"{FIRST}.part", FIRST, ".synthdata/origin.json.partial", "manifest.json.partial", ".synthdata/origin.json"],
)  # fmt: skip
def test_links_that_lie_in_the_target_folder_lead_nowhere(
    published: FolderStore, tmp_path: Path, kind: str, name: str
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    mine, place = outside(tmp_path), tmp_path / "got" / name
    (tmp_path / "got" / FIRST).unlink()
    origin = (tmp_path / "got/.synthdata/origin.json").read_bytes()
    place.unlink(missing_ok=True)
    if kind == "hard link":
        mine.write_bytes(origin if name.endswith("origin.json") else b"mine")
        os.link(mine, place)
    else:
        place.symlink_to(mine if kind == "symlink" else tmp_path / "new")
    before = mine.read_bytes()
    try:
        pull("ellipsoids", None, published.url, tmp_path / "got")
    except SynthDataError as error:
        assert "link" in str(error)  # noqa: PT017 - either way is fine, but not another error
    assert mine.read_bytes() == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["data/selected-00000.parquet.part", "dicom/selected-00000.tar.part"])
def test_links_of_selected_files_lead_nowhere(published: FolderStore, tmp_path: Path, name: str) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "part", sample="1")
    mine, place = outside(tmp_path), tmp_path / "part" / name
    place.with_suffix("").unlink()
    os.link(mine, place)
    pull("ellipsoids", None, published.url, tmp_path / "part", sample="1")
    assert mine.read_bytes() == b"mine"
    assert check(tmp_path / "part").ok


@pytest.mark.parametrize("name", [FIRST, f"{FIRST}.part", "manifest.json", ".synthdata/origin.json.partial"])
def test_a_pipe_in_the_target_folder_does_not_stop_a_pull(
    published: FolderStore, tmp_path: Path, name: str
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    (tmp_path / "got" / FIRST).unlink()
    (tmp_path / "got" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "got" / name)
    words = ("pull", "ellipsoids", "--from", published.url, "--to", str(tmp_path / "got"))
    got = command(*words, config=tmp_path / "config")
    assert got.returncode == 0, got.stderr
    assert stat.S_ISREG((tmp_path / "got" / FIRST).lstat().st_mode)
    assert check(tmp_path / "got").ok


@pytest.mark.parametrize("name", [FIRST, "manifest.json", "more"])
def test_a_check_reads_no_pipe_and_tells_of_it(published: FolderStore, tmp_path: Path, name: str) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    (tmp_path / "got" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "got" / name)
    got = command("check", str(tmp_path / "got"), "--json", config=tmp_path / "config")
    assert got.returncode == 1
    assert not json.loads(got.stdout)["ok"]


def test_a_check_tells_of_links_to_folders_and_of_hidden_files(
    published: FolderStore, tmp_path: Path
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "got" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "got" / ".hidden").write_bytes(b"x")
    problems = " ".join(check(tmp_path / "got").problems)
    assert "more is not a part" in problems
    assert ".hidden is not a part" in problems


def page_of(claimed: int) -> bytes:
    """A zstd frame that claims to hold so many bytes, and holds few."""
    frame = bytearray(pa.Codec("zstd").compress(b"\0" * 70_000, asbytes=True))
    assert frame[4] >> 6 == 2  # the size that is claimed takes four bytes
    at = 5 if frame[4] & 32 else 6
    frame[at : at + 4] = claimed.to_bytes(4, "little")
    return bytes(frame)


def test_a_page_that_claims_gigabytes_is_refused() -> None:
    with pytest.raises(RecordError):
        array_of(page_of(4_000_000_000), 4_000_000_000 - 4)
    with pytest.raises(RecordError):
        array_of(page_of(70_000), 1 << 60)


@pytest.mark.parametrize("batch", [1, 1024], ids=["a page per array", "pages of several"])
def test_a_shard_whose_rows_claim_a_huge_grid_is_refused(
    published: FolderStore, tmp_path: Path, batch: int
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    path = tmp_path / "got" / FIRST
    table = pq.read_table(path)
    huge = pa.array([[1 << 30, 1 << 30, 1 << 30]] * table.num_rows, table.schema.field("shape_zyx").type)
    table = table.set_column(table.schema.get_field_index("shape_zyx"), table.schema.field("shape_zyx"), huge)
    pq.write_table(
        table, path, compression="zstd", data_page_size=1, write_batch_size=batch, use_dictionary=False
    )
    with pytest.raises(RecordError, match=r"array.*fetch it again"):
        next(open_release(tmp_path / "got").cases())


@pytest.mark.parametrize("what", ["cut", "text", "huge page"])
def test_an_index_that_is_signed_and_broken_is_a_sentence(
    built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path, what: str
) -> None:
    good = (built[0] / "index.parquet").read_bytes()
    data = {"cut": good[: len(good) // 2], "text": b"case_id\n1\n", "huge page": bytearray(good)}[what]
    if what == "huge page":
        at = bytes(data).index(b"PAR1") + 4 + 1  # the first number of the first page header, made long
        data[at : at + 6] = b"\x00\x15\xfe\xff\xff\x7f"
    data = bytes(data)
    files = tuple(
        replace(file, sha256=sha256_of(data), size_bytes=len(data)) if file.path == "index.parquet" else file
        for file in built[1].files
    )
    shutil.copytree(published.root / RELEASE, published.root / "datasets/ellipsoids/6.6.6")
    published.write("datasets/ellipsoids/6.6.6/index.parquet", data)
    sign(published, signer, to_json(replace(built[1], version="6.6.6", files=files)))
    got = command(
        "pull", "ellipsoids@6.6.6", "--from", published.url, "--to", str(tmp_path / "got"), "--where", "age > 1",
        config=tmp_path / "config",
    )  # fmt: skip
    assert got.returncode == 1
    assert got.stderr.strip().splitlines()[-1].startswith("synthdata: ")
    assert "index" in got.stderr


def test_a_target_beside_the_releases_is_told(
    published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    class Extra(SignedRelease):
        @property
        def path(self) -> str:
            return "../../etc/passwd"

    extra = Extra(
        dataset="ellipsoids", version="9.9.9", title="t", created="2026-01-01", licence="CC-BY-4.0", cases=1,
        size_bytes=1, outcome="PASS", development_keys=True, manifest_sha256="0" * 64, manifest_bytes=1,
    )  # fmt: skip
    for _ in range(2):  # signed, and then refused by its own publisher, too
        with pytest.raises(SynthDataError, match="under another path"):
            transact(published, signer, lambda contents: contents.adding(extra))
    with pytest.raises(SynthDataError, match="under another path"):
        list_releases(published.url)


@pytest.mark.parametrize("delete", [False, True])
def test_a_recall_while_the_version_is_being_pulled_is_told(
    published: FolderStore,
    signer: ReleaseSigner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    delete: bool,
) -> None:
    real = pulling_module.download
    calls: list[str] = []

    def download(remote, key, file, folder, pool, advance):
        if not calls:
            calls.append(key)
            recall(published, signer, "ellipsoids", "1.0.0", "a label is wrong", delete_files=delete)
        return real(remote, key, file, folder, pool, advance)

    monkeypatch.setattr(pulling_module, "download", download)
    monkeypatch.setattr(pulling_module, "CONNECTIONS", 1)
    with pytest.raises(TrustError, match=r"recalled.*a label is wrong"):
        pull("ellipsoids", None, published.url, tmp_path / "got")
    assert not check(tmp_path / "got").ok


def test_a_manifest_of_twenty_thousand_files_that_are_missing_is_refused_by_the_first(
    built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    files = tuple(entry(f"data/many-{number:06d}.bin") for number in range(20_000))
    sign(published, signer, to_json(replace(built[1], version="6.6.6", files=files)))
    with pytest.raises(MissingObjectError, match=r"many-000000\.bin"):
        pull("ellipsoids", "6.6.6", published.url, tmp_path / "got")
    assert not check(tmp_path / "got").ok


@pytest.mark.parametrize("words", [("pull", "ellipsoids", "--to"), ("releases",), ("check",)])
def test_json_of_a_refused_command_is_json_with_the_sentence(
    published: FolderStore, tmp_path: Path, words: tuple[str, ...]
) -> None:
    store = published.root / "metadata/timestamp.json"
    store.write_bytes(b"{}")
    where = [str(tmp_path / "got")] if words[0] != "releases" else []
    url = ["--from", published.url] if words[0] != "check" else []
    (tmp_path / "got").mkdir()
    got = command(*words, *where, *url, "--json", config=tmp_path / "config")
    assert got.returncode == 1
    assert "Traceback" not in got.stderr
    document = json.loads(got.stdout)
    assert document["error"] if "error" in document else document["problems"]
