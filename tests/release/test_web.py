"""Reading over HTTP: large files in several ranges, faults on the way, proxies, signatures in the address."""

import base64
import hashlib
import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from synthdata.errors import ConfigError, IntegrityError, MissingObjectError, RefusedError, StoreError
from synthdata.records import FileEntry
from synthdata.release.client import check, pull
from synthdata.release.client.download import download
from synthdata.release.client.remote import open_remote, read_range
from synthdata.release.client.signed_web import LINKS_KIND
from synthdata.release.client.stretch import CONNECTIONS, Spares
from synthdata.storage.folder import FolderStore

DATA = bytes(itertools.islice(itertools.cycle(range(251)), 3_000_000))


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files by range, with the faults that the server lists."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        server: Server = self.server  # type: ignore[assignment]
        with server.lock:
            server.seen.append((self.path, {name.title(): value for name, value in self.headers.items()}))
            fault = server.faults.pop(0) if server.faults else ""
        path = server.folder / urlsplit(self.path).path.lstrip("/").removeprefix("http:/")
        if fault.isdigit():
            return self.answer(int(fault), b"<Error><Code>SlowDown</Code></Error>")
        if not path.is_file():
            return self.answer(404, b"")
        data, wanted = path.read_bytes(), self.headers.get("Range")
        first, _, last = (wanted or "bytes=0-").removeprefix("bytes=").partition("-")
        if not server.ranges or not wanted:
            return self.answer(200, data, cut=fault == "cut")
        part = data[int(first) : int(last) + 1] if last else data[int(first) :]
        with server.counted():
            return self.answer(206 if part else 416, part, cut=fault == "cut")

    def answer(self, status: int, data: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        if self.server.chunked:  # type: ignore[attr-defined]
            self.send_header("Transfer-Encoding", "chunked")
            half = len(data) // 2
            pieces = (data[:half],) if cut else (data[:half], data[half:], b"")
            data, cut = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), False
            self.close_connection = len(pieces) == 1
        else:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if cut:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)


class Server(http.server.ThreadingHTTPServer):
    """A web server of one folder."""

    daemon_threads = True

    def __init__(self, folder: Path, *, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.ranges, self.lock = folder, ranges, threading.Lock()
        self.faults: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.chunked, self.working, self.most = False, 0, 0
        self.several = threading.Event()  # two ranges were answered at once
        self.patience_s = 0.0  # how long a range waits for another one before it is answered

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the ranges that are answered at once."""
        with self.lock:
            self.working += 1
            self.most = max(self.most, self.working)
            if self.working > 1:
                self.several.set()
        try:
            self.several.wait(self.patience_s)
            yield
        finally:
            with self.lock:
                self.working -= 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(folder: Path, *, ranges: bool = True) -> Iterator[Server]:
    with Server(folder, ranges=ranges) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthdata.release.client.remote.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("synthdata.release.client.stretch.STRETCH_BYTES", 400_000)
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder with one file of 3 MB."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "large").write_bytes(DATA)
    return tmp_path / "web"


def entry(data: bytes = DATA) -> FileEntry:
    return FileEntry(
        path="large",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        media_type="x",
        role="cases",
    )


def fetch(url: str, folder: Path, file: FileEntry | None = None) -> bool:
    folder.mkdir(exist_ok=True)
    with Spares(1) as spares:
        return download(open_remote(url), "large", file or entry(), folder, spares, lambda count: None)


def test_a_large_file_comes_in_several_ranges_at_once(large: Path, tmp_path: Path) -> None:
    with serving(large) as server:
        assert fetch(server.url, tmp_path / "got")
        ranges = {headers.get("Range") for _, headers in server.seen}
    assert (tmp_path / "got" / "large").read_bytes() == DATA
    assert {"bytes=0-399999", "bytes=400000-799999", "bytes=2800000-"} <= ranges


@pytest.mark.parametrize(
    "faults", [["503", "503", "cut"], ["cut"] * 12, ["", "500", "cut", "429", "cut"] * 2]
)
def test_busy_and_broken_answers_are_asked_again_from_where_they_ended(
    large: Path, tmp_path: Path, faults: list[str]
) -> None:
    with serving(large) as server:
        server.faults = list(faults)
        assert fetch(server.url, tmp_path / "got")
        assert server.faults == []
        starts = [int(h["Range"].split("=")[1].split("-")[0]) for _, h in server.seen if "Range" in h]
    assert (tmp_path / "got" / "large").read_bytes() == DATA
    if "cut" in faults:
        assert any(start % 400_000 for start in starts), "a cut range was read again from its start"


@pytest.mark.parametrize("faults", [[], ["cut"] * 4])
def test_answers_that_tell_no_length_are_read_to_their_end(
    large: Path, tmp_path: Path, faults: list[str]
) -> None:
    with serving(large) as server:
        server.chunked, server.faults = True, list(faults)
        assert fetch(server.url, tmp_path / "got")
        assert server.faults == []
    assert (tmp_path / "got" / "large").read_bytes() == DATA


@pytest.mark.parametrize("files", [1, 3, 20])
def test_files_share_a_bounded_number_of_connections(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    monkeypatch.setattr("synthdata.release.client.stretch.ALONE_BYTES", 1_000_000)
    monkeypatch.setattr("synthdata.release.client.stretch.PIECE_BYTES", 70_001)
    names = [f"large-{number}" for number in range(files)]
    for name in names:
        (large / name).symlink_to(large / "large")
    with (
        serving(large) as server,
        Spares(files) as spares,
        ThreadPoolExecutor(CONNECTIONS) as writers,
    ):
        remote, server.patience_s = open_remote(server.url), 10.0

        def one(name: str) -> bool:
            moved = download(remote, name, replace(entry(), path=name), tmp_path, spares, lambda count: None)
            spares.file_done()
            return moved

        assert all(writers.map(one, names))
    assert all((tmp_path / name).read_bytes() == DATA for name in names)
    assert 1 < server.most <= CONNECTIONS


def test_a_server_that_stays_busy_is_said_and_keeps_what_has_come(large: Path, tmp_path: Path) -> None:
    with serving(large) as server:
        server.faults = ["", *["503"] * 100]
        with pytest.raises(StoreError, match=r"is busy \(answer 503\) for large, .*run it again later"):
            fetch(server.url, tmp_path / "got")
        assert not (tmp_path / "got" / "large").exists()
        server.faults, server.seen = [], []
        have = (tmp_path / "got" / "large.part").stat().st_size
        assert fetch(server.url, tmp_path / "got")
        first = min(int(h["Range"].split("=")[1].split("-")[0]) for _, h in server.seen)
    assert first == have
    assert (tmp_path / "got" / "large").read_bytes() == DATA


def test_a_server_without_ranges_gives_the_whole_file_all_the_same(large: Path, tmp_path: Path) -> None:
    with serving(large, ranges=False) as server:
        (tmp_path / "got").mkdir()
        (tmp_path / "got" / "large.part").write_bytes(DATA[:1_234_567])
        assert fetch(server.url, tmp_path / "got")
        assert read_range(open_remote(server.url), "large", 500_000, 500_007) == DATA[500_000:500_007]
    assert (tmp_path / "got" / "large").read_bytes() == DATA


@pytest.mark.parametrize("change", ["cut", "grown", "flipped"])
def test_a_large_file_that_was_changed_is_refused(large: Path, tmp_path: Path, change: str) -> None:
    wrong = {"cut": DATA[:-9], "grown": DATA + b"x", "flipped": DATA[:-1] + b"\xff"}[change]
    (large / "large").write_bytes(wrong)
    with serving(large) as server, pytest.raises(IntegrityError, match="large"):
        fetch(server.url, tmp_path / "got")
    assert not (tmp_path / "got" / "large").exists()


def test_a_refusal_is_not_asked_again(large: Path, tmp_path: Path) -> None:
    with serving(large) as server:
        server.faults = ["403"]
        with pytest.raises(
            RefusedError, match="answered 403, SlowDown for large, expected the right to read it"
        ):
            fetch(server.url, tmp_path / "got")
        assert server.faults == []


@pytest.mark.parametrize("shift_s", [-31_536_000, 31_536_000])
def test_a_refusal_while_the_clock_is_wrong_by_a_year_names_the_clock(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift_s: int
) -> None:
    monkeypatch.setattr(
        "synthdata.release.client.web.time", SimpleNamespace(time=lambda: time.time() + shift_s)
    )
    with serving(large) as server:
        server.faults = ["403"]
        with pytest.raises(RefusedError, match="this machine's clock is not that of the server: set it"):
            fetch(server.url, tmp_path / "got")


def test_the_query_and_the_login_of_an_address_go_with_each_request_and_are_never_shown(
    published: FolderStore, tmp_path: Path
) -> None:
    with serving(published.root) as server:
        url = server.url.replace("//", "//reader:open%20sesame@") + "?sig=abc%2Bdef&se=2027"
        pulled = pull("ellipsoids", None, url, tmp_path / "got")
        login = "Basic " + base64.b64encode(b"reader:open sesame").decode()
        assert all(path.endswith("?sig=abc%2Bdef&se=2027") for path, _ in server.seen)
        assert all(headers["Authorization"] == login for _, headers in server.seen)
        origin = json.loads((pulled.folder / ".synthdata/origin.json").read_text())
    assert origin["url"] == server.url
    assert check(tmp_path / "got").ok


def test_requests_go_through_the_proxy_of_the_environment(
    published: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    with serving(published.root) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:pw@"))
        proxy.folder = tmp_path / "via"
        (tmp_path / "via").symlink_to(published.root)
        (published.root / "data.example").symlink_to(published.root)
        pull("ellipsoids", None, "http://data.example", tmp_path / "got")
        assert {headers["Host"] for _, headers in proxy.seen} == {"data.example"}
        assert all("Proxy-Authorization" in headers for _, headers in proxy.seen)
        assert all(path.startswith("http://data.example/") for path, _ in proxy.seen)


def links(folder: Path, base: str, **change: object) -> Path:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    document = {
        "kind": LINKS_KIND, "store": "s3://bucket/x", "links": {name: f"{base}/{name}?sig=1" for name in names}
    }  # fmt: skip
    path = folder.parent / "links.json"
    path.write_text(json.dumps(document | change))
    return path


def test_a_file_of_links_serves_a_release(published: FolderStore, tmp_path: Path) -> None:
    with serving(published.root) as server:
        pull("ellipsoids", "1.0.0", str(links(published.root, server.url)), tmp_path / "got")
        assert all(path.endswith("?sig=1") for path, _ in server.seen)
    assert check(tmp_path / "got").ok


def test_a_link_that_is_missing_and_an_object_that_is_missing_are_said_to_a_reader(
    published: FolderStore, tmp_path: Path
) -> None:
    gone = "datasets/ellipsoids/1.0.0/manifest.json"
    with serving(published.root) as server:
        path = links(published.root, server.url)
        document = json.loads(path.read_text())
        del document["links"][gone]
        path.write_text(json.dumps(document))
        with pytest.raises(
            MissingObjectError, match=f"links has none to {gone}, expected one: links lead to one"
        ):
            pull("ellipsoids", "1.0.0", str(path), tmp_path / "got")
        (published.root / gone).unlink()
        for url in (server.url, str(published.root)):
            with pytest.raises(MissingObjectError, match=f"has no object {gone}, expected what its signed"):
                pull("ellipsoids", "1.0.0", url, tmp_path / "got")


@pytest.mark.parametrize("change", [{"kind": "other"}, {"links": 3}, {"links": {"a": "file:///etc/passwd"}}])
def test_a_file_of_links_that_is_none_is_refused(published: FolderStore, change: dict) -> None:
    with pytest.raises(ConfigError, match=r"links\.json"):
        open_remote(str(links(published.root, "http://x", **change)))


def test_only_s3_is_read_anonymously(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for s3://"):
        open_remote(str(tmp_path), anonymous=True)
