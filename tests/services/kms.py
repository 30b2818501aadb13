"""A key service that answers AWS KMS's protocol as far as signing needs it: keys of P-256 which never leave it."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHM = "ECDSA_SHA_256"


class KeyService(ThreadingHTTPServer):
    """Makes a key for each id that is asked for first; refuses all while `refusing`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.refusing = False
        self.signed = 0

    def answer(self, action: str, asked: dict[str, str]) -> dict[str, object]:
        """Answer of one action of the protocol."""
        key = self.keys.setdefault(asked["KeyId"], ec.generate_private_key(ec.SECP256R1()))
        if action == "GetPublicKey":
            der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return {"KeyId": asked["KeyId"], "PublicKey": _text(der), "SigningAlgorithms": [ALGORITHM]}
        assert (action, asked["MessageType"], asked["SigningAlgorithm"]) == ("Sign", "DIGEST", ALGORITHM)
        self.signed += 1
        digest = base64.b64decode(asked["Message"])
        return {"KeyId": asked["KeyId"], "Signature": _text(key.sign(digest, ec.ECDSA(Prehashed(SHA256()))))}


class _Handler(BaseHTTPRequestHandler):
    server: KeyService

    def log_message(self, *words: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        if self.server.refusing:
            status, found = 400, {"__type": "AccessDeniedException", "message": "no right to this key"}
        else:
            status, found = 200, self.server.answer(action, asked)
        data = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running() -> Iterator[KeyService]:
    """The service on a free port of this machine."""
    with KeyService() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
