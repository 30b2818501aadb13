"""Pulling over TLS: certificates of an authority of one's own, and proxies that only pass the bytes on."""

import datetime as dt
import http.server
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from synthdata.errors import ConfigError, StoreError
from synthdata.release.client import check, pull
from synthdata.storage.folder import FolderStore
from tests.release.test_client import RangeHandler


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificates(folder: Path, *, host: str = "127.0.0.1", days: int = 2) -> tuple[Path, Path]:
    """File of an authority, and file of a server's key and certificate that it has signed."""
    now = dt.datetime.now(dt.UTC)
    start, end = now - dt.timedelta(days=3), now + dt.timedelta(days=days)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    authority = (
        x509.CertificateBuilder(named("authority"), named("authority"), keys[0].public_key(), 1, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[0].public_key()), critical=False)
        .sign(keys[0], hashes.SHA256())
    )
    place = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
    server = (
        x509.CertificateBuilder(named("authority"), named("server"), keys[1].public_key(), 2, start, end)
        .add_extension(place, critical=False)
        .add_extension(issuer, critical=False)
        .sign(keys[0], hashes.SHA256())
    )
    secret = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    folder.mkdir(exist_ok=True)
    (folder / "authority.pem").write_bytes(authority.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(secret + server.public_bytes(Encoding.PEM))
    return folder / "authority.pem", folder / "server.pem"


@contextmanager
def serving(folder: Path, certificate: Path) -> Iterator[str]:
    RangeHandler.broken, RangeHandler.ranges = [], []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = QuietServer(("127.0.0.1", 0), partial(RangeHandler, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield f"https://127.0.0.1:{server.server_address[1]}"


class QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us hangs up."""


@contextmanager
def running(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Tunnel(http.server.BaseHTTPRequestHandler):
    """A proxy which connects and passes on."""

    asked: list[tuple[str, str | None]] = []  # noqa: RUF012 - emptied by each test

    def log_message(self, *words: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: other, other: self.connection}
            while ready := select.select(list(ends), [], [], 20)[0]:
                for end in ready:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    ends[end].sendall(data)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthdata.release.client.remote.FIRST_PAUSE_S", 0.001)
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_named_by_the_usual_variables(
    published: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    authority, certificate = certificates(tmp_path / "tls")
    monkeypatch.setenv(variable, str(authority))
    with serving(published.root, certificate) as url:
        assert pull("ellipsoids", None, url, tmp_path / "got").complete
    assert check(tmp_path / "got").ok


@pytest.mark.parametrize("what", ["unknown authority", "another host", "out of date"])
def test_a_certificate_that_is_not_trusted_is_said_at_once(
    published: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    change = {"another host": {"host": "10.1.2.3"}, "out of date": {"days": -1}}.get(what, {})
    authority, certificate = certificates(tmp_path / "tls", **change)  # type: ignore[arg-type]
    if what != "unknown authority":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    with (
        serving(published.root, certificate) as url,
        pytest.raises(StoreError, match=r"certificate of https://127.*REQUESTS_CA_BUNDLE"),
    ):
        pull("ellipsoids", None, url, tmp_path / "got")
    assert RangeHandler.ranges == []
    assert not (tmp_path / "got").exists()


def test_a_file_of_authorities_that_is_not_there_is_a_sentence(
    published: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, certificate = certificates(tmp_path / "tls")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with serving(published.root, certificate) as url, pytest.raises(ConfigError, match="names no file"):
        pull("ellipsoids", None, url, tmp_path / "got")


def test_tls_goes_through_a_proxy_which_sees_host_and_login_alone(
    published: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    authority, certificate = certificates(tmp_path / "tls")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    Tunnel.asked = []
    proxy = QuietServer(("127.0.0.1", 0), Tunnel)
    with running(proxy), serving(published.root, certificate) as url:
        monkeypatch.setenv("https_proxy", f"http://me:pw@127.0.0.1:{proxy.server_address[1]}")
        assert pull("ellipsoids", None, url + "?sig=secret", tmp_path / "got").complete
    assert {host for host, _ in Tunnel.asked} == {url.removeprefix("https://")}
    assert all(login for _, login in Tunnel.asked)
