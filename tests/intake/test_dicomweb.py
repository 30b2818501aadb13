"""Scans of a real Orthanc: what is new is fetched, nothing twice, nothing lost, whatever the server does."""

import email.utils
import hashlib
import re
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from synthdata.commands.intake import intake
from synthdata.errors import ConfigError, SourceError
from synthdata.intake import take_in
from synthdata.intake.remote import fetch, look, web_client
from synthdata.records import IntakeReport, from_json
from tests.services import orthanc
from tests.services.fault_proxy import Fault, FaultProxy
from tests.services.orthanc import Orthanc

pytestmark = pytest.mark.service
SLICES = 6


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for the module; each test fills it anew."""
    if reason := orthanc.missing():
        pytest.skip(reason)
    one = Orthanc(tmp_path_factory.mktemp("orthanc"))
    one.start()
    yield one
    one.kill()


@pytest.fixture
def archive(server, build, tmp_path):
    """Three studies of six slices on the server, as they are in the folder `pushed`."""
    pushed = [path for patient in range(3) for path in files(build, tmp_path, patient)]
    if server.changed:
        server.clear()
        server.push(pushed)
        server.changed = False
    return server


@pytest.fixture
def proxy(archive):
    one = FaultProxy(archive.url)
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(web_client.random, "uniform", lambda _low, high: min(high, 0.01))
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_TRIES", "3")


def files(build, folder: Path, patient: int) -> list[Path]:
    grid = build.grid(shape_zyx=(SLICES, 8, 6))
    return build.write(folder / "pushed", build.series(f"PAT-{patient}", grid, seed=patient), f"{patient}-")


def here(root: Path) -> Counter:
    """Digests of the files which intake would see."""
    return Counter(
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "scans").rglob("*")
        if path.is_file()
    )


def there(tmp_path: Path) -> Counter:
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "pushed").iterdir())


def test_all_is_fetched_once_and_bit_by_bit_and_a_second_run_asks_for_the_list_alone(proxy, tmp_path) -> None:
    root = tmp_path / "landing"
    assert fetch(proxy.url, root).fetched == 3
    assert here(root) == there(tmp_path)
    asked = len(proxy.asked)
    assert fetch(proxy.url, root).fetched == 0
    assert {path.partition("?")[0] for path in proxy.asked[asked:]} == {"/studies"}
    assert not any(list((root / "incoming").iterdir()))


def test_a_new_study_and_a_new_instance_cost_what_they_are(proxy, archive, build, tmp_path) -> None:
    root = tmp_path / "landing"
    late = files(build, tmp_path, 9)
    archive.push(late[:-1])
    fetch(proxy.url, root)
    first = look(proxy.url)
    archive.push(late[-1:])
    archive.push(files(build, tmp_path, 7))
    assert look(proxy.url) != first
    asked = len(proxy.asked)
    assert fetch(proxy.url, root).fetched == 2
    retrieved = [path for path in proxy.asked[asked:] if "/series/" in path]
    assert Counter(path.count("/instances/") for path in retrieved) == {0: 1, 1: 1}
    assert here(root) == there(tmp_path)


def test_what_was_deleted_on_the_server_is_removed_here(archive, tmp_path) -> None:
    root = tmp_path / "landing"
    fetch(archive.url, root)
    archive.delete("studies")
    archive.delete("instances")
    done = fetch(archive.url, root)
    assert (done.seen, done.removed, done.fetched) == (2, 1, 1)
    assert here(root).total() == 2 * SLICES - 1


def test_the_server_is_killed_in_the_middle_and_started_again(archive, proxy, tmp_path, monkeypatch) -> None:
    """Two kills: one that patience outlasts, and one that ends the run."""
    root = tmp_path / "landing"
    killed = threading.Event()

    def kill(_number: int, path: str) -> None:
        if "/series/" in path and not killed.is_set():
            killed.set()
            archive.kill()
            threading.Thread(target=lambda: (time.sleep(0.3), archive.start())).start()

    proxy.before = kill
    monkeypatch.setattr(web_client.random, "uniform", lambda _low, _high: 1.5)
    fetch(proxy.url, root)
    assert killed.is_set()
    assert here(root) == there(tmp_path)

    other = tmp_path / "other"
    monkeypatch.setattr(web_client.random, "uniform", lambda _low, _high: 0.01)
    proxy.before = lambda _number, path: archive.kill() if "/series/" in path else None
    with pytest.raises(SourceError, match=r"run it again, it goes on where it was"):
        fetch(proxy.url, other)
    proxy.before = lambda _number, _path: None
    archive.start()
    fetch(proxy.url, other)
    assert here(other) == there(tmp_path)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_answer_keeps_its_whole_files_and_the_rest_is_asked_for(proxy, tmp_path, chunked) -> None:
    root = tmp_path / "landing"
    cuts = iter([0.6, 0.3])

    def spoil(_number: int, path: str) -> Fault | None:
        cut = next(cuts, 0.0) if "/series/" in path else 0.0
        return Fault(cut=cut, chunked=chunked) if cut else None

    proxy.spoil = spoil
    fetch(proxy.url, root)
    assert here(root) == there(tmp_path)


def test_a_study_that_is_not_whole_never_reaches_intake_and_the_others_do(proxy, tmp_path, build) -> None:
    root = tmp_path / "landing"
    broken: list[str] = []
    proxy.spoil = lambda number, path: _fails_at_its_end(broken, path)
    done = fetch(proxy.url, root)
    assert (done.fetched, len(done.failed)) == (2, 1)
    assert here(root).total() == 2 * SLICES
    report = take_in(build.spec(), root / "scans", _store(tmp_path), pseudonym_key=build.key)
    assert (report.cases.cases, report.accepted) == (2, 2 * SLICES)
    proxy.spoil = lambda _number, _path: None
    assert fetch(proxy.url, root).fetched == 1
    assert here(root) == there(tmp_path)
    again = take_in(build.spec(), root / "scans", _store(tmp_path), pseudonym_key=build.key)
    assert again.cases.cases == 3


def _fails_at_its_end(broken: list[str], path: str) -> Fault | None:
    if "/series/" not in path:
        return None
    study = path.split("/")[2]
    broken.append(study)
    return Fault(cut=0.5, chunked=True) if study == broken[0] else None


def _store(tmp_path: Path):
    from synthdata.storage.folder import FolderStore

    return FolderStore(tmp_path / "private")


STATUSES = {
    401: r"refused the credentials \(401\), expected an account with the right to read: set SYNTHDATA_DICOMWEB_USER",
    403: r"refused the credentials \(403\)",
    404: r"does not have what was asked for \(404\), expected its root as address",
    429: r"asks for fewer questions \(429\), expected an answer: see its log, and run it again",
    500: r"failed \(500\), expected an answer",
    503: r"failed \(503\)",
    302: r"sends elsewhere \(302\), which is not followed",
    400: r"refused the question \(400\), expected QIDO-RS and WADO-RS",
}


@pytest.mark.parametrize(
    ("status", "where"),
    [
        *((status, "/series/") for status in STATUSES),
        *((status, "/instances?") for status in (401, 500)),
        (500, "/studies?"),
    ],
)
def test_each_refusal_is_a_sentence_and_nothing_is_remembered_that_is_not_here(
    proxy, tmp_path, status, where
) -> None:
    root = tmp_path / "landing"
    secret = b"PAT-1 DOE^JANE"
    proxy.spoil = lambda _number, path: (
        Fault(status=status, body=secret, headers={"Location": "http://127.0.0.1:9/"})
        if where in path
        else None
    )
    with pytest.raises(SourceError, match=STATUSES[status]) as caught:
        fetch(proxy.url, root)
    assert not re.search(r"DOE|PAT-|2\.25", str(caught.value))
    assert here(root) == Counter()
    proxy.spoil = lambda _number, _path: None
    fetch(proxy.url, root)
    assert here(root) == there(tmp_path)


def test_a_server_that_asks_to_wait_is_given_the_time(proxy, tmp_path, monkeypatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(web_client.time, "sleep", waited.append)
    proxy.spoil = lambda number, _path: (
        Fault(status=429, headers={"Retry-After": "7"}) if number == 0 else None
    )
    fetch(proxy.url, tmp_path / "landing")
    assert len(waited) == 1
    assert 7 <= waited[0] < 8
    later = email.utils.formatdate(time.time() + 3600, usegmt=True)
    proxy.spoil = lambda _number, _path: Fault(status=503, headers={"Retry-After": later})
    with pytest.raises(SourceError, match=r"asks to wait 3[56]\d\d s, so run it again after that"):
        fetch(proxy.url, tmp_path / "landing")
    assert len(waited) == 1


def test_a_server_that_hangs_is_left_in_time(proxy, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SYNTHDATA_DICOMWEB_TIMEOUT", "0.3")
    proxy.spoil = lambda _number, _path: Fault(hang_s=20)
    started = time.monotonic()
    with pytest.raises(
        SourceError, match="did not answer in time, expected it within SYNTHDATA_DICOMWEB_TIMEOUT"
    ):
        fetch(proxy.url, tmp_path / "landing")
    assert time.monotonic() - started < 5


def test_nonsense_is_told_from_an_answer(proxy, tmp_path) -> None:
    page = Fault(status=200, headers={"Content-Type": "text/html"}, body=b"<html>log in, DOE^JANE</html>")
    proxy.spoil = lambda _number, _path: page
    with pytest.raises(SourceError, match=r"no JSON \(a login page\?\)"):
        fetch(proxy.url, tmp_path / "landing")
    proxy.spoil = lambda _number, path: page if "/series/" in path else None
    with pytest.raises(SourceError, match=r"something else than DICOM \(a login page\?\)"):
        fetch(proxy.url, tmp_path / "landing")
    proxy.spoil = lambda _number, path: Fault(status=200, body=b'[{"0020000D": {"Value": ["../../etc"]}}]')
    with pytest.raises(SourceError, match="without a UID where one must be"):
        fetch(proxy.url, tmp_path / "landing")


def test_an_address_that_is_down_is_a_sentence(tmp_path) -> None:
    with pytest.raises(SourceError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/dicom-web", tmp_path / "landing")


def test_credentials_come_from_the_environment_alone(server, tmp_path, build, monkeypatch) -> None:
    locked = Orthanc(tmp_path / "locked", users={"gateway": "a secret"})
    locked.start()
    try:
        locked.push(files(build, tmp_path, 1), user="gateway:a secret")
        with pytest.raises(SourceError, match=r"refused the credentials \(401\)"):
            fetch(locked.url, tmp_path / "landing")
        monkeypatch.setenv("SYNTHDATA_DICOMWEB_USER", "gateway")
        monkeypatch.setenv("SYNTHDATA_DICOMWEB_PASSWORD", "a secret")
        assert fetch(locked.url, tmp_path / "landing").fetched == 1
    finally:
        locked.kill()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "landing").rglob("*") if path.is_file())
    assert b"a secret" not in kept
    with pytest.raises(ConfigError, match="holds credentials, expected none") as caught:
        fetch("https://gateway:hidden@localhost/dicom-web", tmp_path / "landing")
    assert "hidden" not in str(caught.value)
    with pytest.raises(ConfigError, match="would travel in the clear"):
        fetch("http://pacs.example.org/dicom-web", tmp_path / "landing")


def test_a_query_in_the_address_narrows_the_search(archive, tmp_path) -> None:
    done = fetch(f"{archive.url}?PatientID=PAT-1", tmp_path / "landing")
    assert (done.seen, done.fetched) == (1, 1)


def test_a_folder_serves_one_address_and_one_run(archive, tmp_path) -> None:
    root = tmp_path / "landing"
    fetch(archive.url, root)
    with pytest.raises(SourceError, match="one address per folder"):
        fetch(f"{archive.url}?PatientID=PAT-1", root)
    from synthdata.intake.remote.landing import Landing

    with Landing(root, archive.url).alone(), pytest.raises(SourceError, match="another run fetches"):
        fetch(archive.url, root)
    assert oct(root.stat().st_mode)[-3:] == "700"


def test_an_empty_server_is_a_sentence(server, tmp_path) -> None:
    server.clear()
    with pytest.raises(SourceError, match="holds no scan that the address asks for"):
        fetch(server.url, tmp_path / "landing")
    with pytest.raises(SourceError, match="holds no scan"):
        look(server.url)


def test_many_studies_come_by_pages(archive, build, tmp_path, monkeypatch) -> None:
    from synthdata.intake.remote import dicomweb

    monkeypatch.setattr(dicomweb, "PAGE", 2)
    assert fetch(archive.url, tmp_path / "landing").seen == 3
    assert here(tmp_path / "landing") == there(tmp_path)


def test_the_command_takes_an_address_and_tells_the_same_reasons(archive, tmp_path, capsys) -> None:
    intake(archive.url, tmp_path / "report.json")
    kept = tmp_path / "kept"
    intake(archive.url, tmp_path / "again.json", keep=kept)
    assert (tmp_path / "report.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    assert from_json(IntakeReport, (tmp_path / "report.json").read_bytes()).accepted == 3 * SLICES
    assert here(kept) == there(tmp_path)
    assert "PAT-" not in capsys.readouterr().out
