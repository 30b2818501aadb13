"""Answers that no good server gives: each is a sentence, the cursor stays behind, and the next run completes."""

import email.utils
import gzip
import hashlib
import logging
import os
import ssl
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from synthdata.errors import ConfigError, SourceError
from synthdata.intake.remote import dicomweb, fetch, fetching, look, web_client
from tests.services.fake_dicomweb import BOUNDARY, MULTIPART, Answer, FakeDicomWeb, multipart

SLICES = 3


@pytest.fixture(autouse=True)
def waited(monkeypatch) -> list[float]:
    """Pauses between tries, which take no time; no credentials from outside."""
    pauses: list[float] = []
    monkeypatch.setattr(web_client.time, "sleep", pauses.append)
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_TRIES", "3")
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_TIMEOUT", "0.4")
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"SYNTHDATA_DICOMWEB_{name}", raising=False)
    return pauses


def study(build, folder: Path, patient: int, **changes) -> list[Path]:
    grid = build.grid(shape_zyx=(SLICES, 8, 6))
    return build.write(
        folder / "pushed", build.series(f"PAT-{patient}", grid, seed=patient, **changes), f"{patient}-"
    )


@pytest.fixture
def server(build, tmp_path):
    """Two studies of three slices."""
    one = FakeDicomWeb([path for patient in range(2) for path in study(build, tmp_path, patient)])
    yield one
    one.stop()


@pytest.fixture
def landing(tmp_path) -> Path:
    return tmp_path / "landing"


def here(root: Path) -> Counter:
    """Digests of the files which intake would see."""
    return Counter(
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "scans").rglob("*")
        if path.is_file()
    )


def there(server: FakeDicomWeb) -> Counter:
    return Counter(hashlib.sha256(data).hexdigest() for data in server.files.values())


def of_series(change):
    """Spoils what is retrieved, and no search."""
    return lambda path, query: change(path, query) if "/series/" in path else None


def of_search(change):
    return lambda path, query: change(path, query) if "/series/" not in path else None


HTML = Answer(b"<html>please log in, DOE^JANE</html>", "text/html")
HANGS = {
    "before": b" ",
    "in the headers": b"HTTP/1.1 200 OK\r\nContent-Type: multi",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 999\r\n\r\n[{",
}
SPOILT = {
    "page of a login": (of_series(lambda *_: HTML), r"something else than DICOM \(a login page"),
    "page instead of a list": (of_search(lambda *_: HTML), r"no JSON \(a login page"),
    "another boundary": (
        of_series(lambda *_: Answer(multipart([b"x" * 100_000], boundary="other"), MULTIPART)),
        "does not hold the boundary that its Content-Type names",
    ),
    "empty multipart": (of_series(lambda *_: Answer(multipart([]), MULTIPART)), "without the instance that was"),
    "no content": (of_series(lambda *_: Answer(status=204)), "without the instance that was asked for"),
    "another boundary, shortly": (
        of_series(lambda *_: Answer(multipart([b"x"], boundary="other"), MULTIPART)),
        "does not hold the boundary that its Content-Type names",
    ),
    "endless brackets": (of_search(lambda *_: Answer(b"[" * 200_000)), "no JSON"),
    "no list": (of_search(lambda *_: Answer(b'{"0020000D": 1}')), "without a list"),
    "no UID": (of_search(lambda *_: Answer(b'[{"0020000D": {"Value": [{}]}}]')), "without a UID"),
    **{
        f"hangs {where}": (lambda _path, _query, raw=raw: Answer(raw=raw), "did not answer in time")
        for where, raw in HANGS.items()
    },
    "hangs in a file": (
        of_series(lambda *_: Answer(raw=f"HTTP/1.1 200 OK\r\nContent-Type: {MULTIPART}\r\n\r\n--{BOUNDARY}".encode())),
        "did not answer in time",
    ),
    "nonsense": (lambda *_: Answer(raw=b"220 FTP\r\n\r\n"), "was cut|cannot be reached|not answer in time"),
    "too few instances": (
        of_search(lambda path, _query: Answer(b"[]") if path.endswith("/instances") else None),
        "a study without instances",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
def test_each_is_a_sentence_and_the_next_run_completes(server, landing, how) -> None:
    server.spoil, sentence = SPOILT[how]
    with pytest.raises(SourceError, match=sentence) as caught:
        fetch(server.url, landing)
    assert "DOE" not in str(caught.value)
    assert here(landing) == Counter()
    server.spoil = lambda *_: None
    assert fetch(server.url, landing).fetched == 2
    assert here(landing) == there(server)


def test_a_transfer_in_gzip_is_read_as_any_other(server, landing) -> None:
    def packed(path: str, query: dict[str, str]) -> Answer:
        plain = server.answer(path, query)
        return replace(plain, body=gzip.compress(plain.body), headers={"Content-Encoding": "gzip"})

    server.spoil = packed
    assert fetch(server.url, landing).fetched == 2
    assert here(landing) == there(server)


@pytest.mark.parametrize("limited", [True, False])
def test_a_server_that_knows_no_offset_loses_no_study(server, landing, monkeypatch, limited) -> None:
    monkeypatch.setattr(dicomweb, "PAGE", 1)

    def without_offset(_path: str, query: dict[str, str]) -> Answer:
        rows = [server.study_row(one) for one in server.studies()]
        return server.page(rows, {"limit": query["limit"] if limited else "9"})

    server.spoil = lambda path, query: without_offset(path, query) if path.endswith("/studies") else None
    assert fetch(server.url, landing).fetched == 2
    assert here(landing) == there(server)
    monkeypatch.setattr(dicomweb, "MOST_ROWS", 2)
    with pytest.raises(SourceError, match="whatever the offset, and has more than one page"):
        look(server.url)


def test_a_study_with_fewer_instances_than_it_says_waits_and_the_others_come(server, landing) -> None:
    first = server.studies()[0]

    def cut(path: str, query: dict[str, str]) -> Answer | None:
        if not path.endswith(f"{first}/instances"):
            return None
        return server.page(server._instances(first)[:2], query)

    server.spoil = cut
    done = fetch(server.url, landing)
    assert (done.fetched, len(done.failed), here(landing).total()) == (1, 1, SLICES)
    assert "fewer instances of a study than it says" in str(done.failed[0])
    server.spoil = lambda *_: None
    assert fetch(server.url, landing).fetched == 1
    assert here(landing) == there(server)


def test_two_files_of_one_uid_in_one_answer_leave_their_study_out(server, landing) -> None:
    key = min(server.files)

    def doubled(path: str, query: dict[str, str]) -> Answer | None:
        plain = server.answer(path, query)
        data = server.files[key]
        return replace(plain, body=multipart([data, data[:-2] + b"zz"])) if key[1] in path else None

    server.spoil = doubled
    done = fetch(server.url, landing)
    assert (done.fetched, len(done.failed), here(landing).total()) == (1, 1, SLICES)
    assert "two different files of one SOP Instance UID" in str(done.failed[0])


def test_an_instance_without_end_leaves_its_study_out(server, landing, monkeypatch) -> None:
    key = min(server.files)
    monkeypatch.setattr(fetching, "MAXIMUM_BYTES", 1 << 20)
    large = Answer(multipart([server.files[key] + bytes(2 << 20)]), MULTIPART)
    server.spoil = of_series(lambda path, _: large if key[1] in path else None)
    done = fetch(server.url, landing)
    assert (done.fetched, len(done.failed), here(landing).total()) == (1, 1, SLICES)
    assert "a file of more than 1 GiB" in str(done.failed[0])


def test_a_refusal_on_the_way_stops_at_once_and_the_next_run_completes(server, landing) -> None:
    """Credentials that end while a study comes."""
    asked = iter(range(99))
    server.spoil = lambda *_: Answer(status=401) if next(asked) > 4 else None
    with pytest.raises(SourceError, match=r"refused the credentials \(401\)"):
        fetch(server.url, landing)
    assert len(server.asked) == 6
    server.spoil = lambda *_: None
    fetch(server.url, landing)
    assert here(landing) == there(server)


def test_a_file_of_another_study_is_not_taken_for_the_one_that_was_asked_for(
    server, build, tmp_path, landing
) -> None:
    """Its SOP Instance UID is that of the search, its study is not."""
    from pydicom import dcmread

    key = min(server.files)
    other = dcmread(
        next(path for path in (tmp_path / "pushed").iterdir() if path.read_bytes() == server.files[key])
    )
    other.StudyInstanceUID = "2.25.99"
    other.save_as(tmp_path / "other.dcm")
    foreign = (tmp_path / "other.dcm").read_bytes()
    server.spoil = of_series(
        lambda path, _: Answer(multipart([foreign]), MULTIPART) if key[1] in path else None
    )
    done = fetch(server.url, landing)
    assert (done.fetched, len(done.failed), here(landing).total()) == (1, 1, SLICES)


def test_counts_that_are_none_are_no_cursor(server, landing) -> None:
    def odd(path: str, query: dict[str, str]) -> Answer | None:
        rows = [server.study_row(one) | {"00201208": {"Value": [{"x": 1}]}} for one in server.studies()]
        return server.page(rows, query) if path.endswith("/studies") else None

    server.spoil = odd
    assert fetch(server.url, landing).fetched == 2
    asked = len(server.asked)
    fetch(server.url, landing)
    assert not any("/series/" in path for path in server.asked[asked:])
    assert here(landing) == there(server)


def test_a_wait_is_counted_by_the_clock_of_the_server(server, landing, waited) -> None:
    ahead = time.time() + 3600
    said = {
        "Date": email.utils.formatdate(ahead, usegmt=True),
        "Retry-After": email.utils.formatdate(ahead + 7, usegmt=True),
    }
    busy = iter([Answer(status=503, headers=said), Answer(status=429, headers={"Retry-After": "\xb2"})])
    server.spoil = lambda *_: next(busy, None)
    fetch(server.url, landing)
    assert 7 <= waited[0] <= 8
    assert waited[1] <= 1


def test_a_server_that_wants_to_be_left_alone_is_asked_no_further(server, landing) -> None:
    server.spoil = of_series(lambda *_: Answer(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceError, match="asks to wait 3600 s"):
        fetch(server.url, landing)
    assert sum("/series/" in path for path in server.asked) == 1


def test_a_look_waits_for_nobody_longer_than_a_tick_lasts(server, waited) -> None:
    server.spoil = lambda *_: Answer(status=429, headers={"Retry-After": "60"})
    with pytest.raises(SourceError, match="asks to wait 60 s"):
        look(server.url)
    assert (waited, len(server.asked)) == ([], 1)
    server.spoil = lambda *_: Answer(status=500)
    with pytest.raises(SourceError, match=r"failed \(500\)"):
        look(server.url)
    assert sum(waited) < 2


def test_a_slash_at_the_end_makes_no_other_server(server, landing) -> None:
    assert fetch(f"{server.url}/", landing).fetched == 2
    assert fetch(server.url, landing).fetched == 0
    with pytest.raises(SourceError, match="another address"):
        fetch(f"{server.url}?PatientID=1", landing)


def test_credentials_do_not_follow_a_redirect(server, landing, monkeypatch) -> None:
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_TOKEN", "secret-of-the-gateway")
    other = FakeDicomWeb([])
    try:
        server.spoil = lambda *_: Answer(status=307, headers={"Location": f"{other.url}/studies"})
        with pytest.raises(SourceError, match="sends elsewhere"):
            fetch(server.url, landing)
        assert server.headers[0]["Authorization"] == "Bearer secret-of-the-gateway"
        assert other.asked == []
    finally:
        other.stop()


ODD = {
    "two lines": ("TOKEN", "secret\nX-Other: 1"),
    "two words": ("TOKEN", "Bearer secret"),
    "another script": ("TOKEN", "secret-\u4e2d"),
    "colon": ("USER", "secret:er"),
    "control": ("PASSWORD", "secret\x01"),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_credentials_are_a_sentence_without_them(server, landing, monkeypatch, what) -> None:
    name, value = ODD[what]
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_USER", "gateway")
    monkeypatch.setenv(f"SYNTHDATA_DICOMWEB_{name}", value)
    with pytest.raises(ConfigError, match=f"SYNTHDATA_DICOMWEB_{name}") as caught:
        fetch(server.url, landing)
    assert "secret" not in str(caught.value)
    assert server.asked == []


def test_credentials_of_a_file_may_end_their_line_and_be_in_any_script(server, landing, monkeypatch) -> None:
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_USER", "jörg")
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_PASSWORD", "пароль\n")
    fetch(server.url, landing)
    import base64

    said = server.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(said).decode() == "jörg:пароль"


def test_nothing_secret_is_logged(server, landing, monkeypatch, caplog) -> None:
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_TOKEN", "secret-of-the-gateway")
    caplog.set_level(logging.DEBUG)
    fetch(server.url, landing)
    assert "secret-of-the-gateway" not in caplog.text
    kept = b"".join(path.read_bytes() for path in landing.rglob("*") if path.is_file())
    assert b"secret-of-the-gateway" not in kept


@pytest.mark.parametrize(
    "address", ["http://[::1/dicom-web", "http://host:99999/a", "https:///a", "http://ho st/\n"]
)
def test_an_address_that_is_none_is_a_sentence(landing, address) -> None:
    with pytest.raises(ConfigError, match="address of the DICOMweb server is none"):
        fetch(address, landing)


def test_a_series_that_was_added_and_an_instance_that_was_deleted_show_all_at_once(
    server, build, tmp_path, landing, monkeypatch
) -> None:
    fetch(server.url, landing)
    for path in study(build, tmp_path / "later", 0, name="T2w"):
        server.add(path)
    del server.files[max(server.files)]
    steps: list[Counter] = []
    original = Path.rename

    def seen(self: Path, target: Path) -> Path:
        steps.append(here(landing))
        moved = original(self, target)
        steps.append(here(landing))
        return moved

    monkeypatch.setattr(Path, "rename", seen)
    before = here(landing)
    assert fetch(server.url, landing).fetched == 2
    assert here(landing) == there(server)
    of_study = [
        Counter(hashlib.sha256(d).hexdigest() for k, d in server.files.items() if k[0] == one)
        for one in server.studies()
    ]
    assert all(any(step & one in (one, before & one, Counter()) for one in of_study) for step in steps)


def test_what_an_operator_puts_beside_the_studies_stays(server, landing) -> None:
    table, notes = landing / "scans" / "clinical.csv", landing / "scans" / "notes"
    notes.mkdir(parents=True)
    table.write_text("patient,age")
    (notes / "1.txt").write_text("x")
    fetch(server.url, landing)
    gone = server.studies()[0]
    server.files = {key: data for key, data in server.files.items() if key[0] != gone}
    assert fetch(server.url, landing).removed == 1
    assert (table.exists(), (notes / "1.txt").exists()) == (True, True)
    assert len(list((landing / "scans").iterdir())) == 3


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_studies_and_the_next_run_completes(
    server, build, tmp_path, landing
) -> None:
    """The process is killed after each of its calls that change a name."""
    fetch(server.url, landing)
    for patient in range(2):
        for path in study(build, tmp_path / "later", patient, name="T2w"):
            server.add(path)
    old = dict.fromkeys(server.studies(), 0)
    for moment in range(1, 60):
        run = subprocess.run(
            [sys.executable, "-c", KILLED, server.url, str(landing), str(moment)],
            env=dict(os.environ),
            check=False,
        )
        for folder in (landing / "scans").iterdir():
            old[folder.name] = len(list(folder.iterdir()))
            assert old[folder.name] in {SLICES, 2 * SLICES}
        if run.returncode == 0:
            break
    assert moment > 10
    assert here(landing) == there(server)


KILLED = """
import os, pathlib, signal, sys
from synthdata.intake.remote import fetch
left = int(sys.argv[3])
def counted(original):
    def call(*rest, **names):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*rest, **names)
    return call
for name in ("rename", "replace", "unlink", "hardlink_to"):
    setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
fetch(sys.argv[1], pathlib.Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """A hospital's own certificate authority, and a certificate of it for this machine."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = ["-days", "2", "-out", "cert.pem", "-extfile", "names"]
    new = ["-nodes", "-newkey", "rsa:2048"]
    for command in (
        ["req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=hospital", "-days", "2"],
        ["req", *new, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", *signed],
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    return folder


def test_a_private_authority_is_trusted_where_it_is_named_and_nowhere_else(
    build, tmp_path, landing, authority, monkeypatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    server = FakeDicomWeb(study(build, tmp_path, 1), context)
    try:
        with pytest.raises(
            SourceError, match="certificate is not trusted, expected one of a known authority"
        ):
            fetch(server.url, landing)
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
        monkeypatch.setenv("SYNTHDATA_DICOMWEB_TOKEN", "secret-of-the-gateway")
        assert fetch(server.url, landing).fetched == 1
    finally:
        server.stop()
