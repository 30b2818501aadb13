"""A real DICOMweb server for tests: Orthanc with its plugin, on a free port, for this machine alone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
INSTALL = "apt-get install --no-install-recommends orthanc orthanc-dicomweb"
START_S = 60


def missing() -> str:
    """Why the server cannot run here; empty where it can."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        return f"needs Orthanc with its DICOMweb plugin: {INSTALL}"
    return ""


class Orthanc:
    """One server whose studies outlive it: it can be killed and started again."""

    def __init__(self, folder: Path, *, users: dict[str, str] | None = None) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.folder, self.process = folder, None
        self.changed = True  # for tests which share a server: another one changed what it holds
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "AuthenticationEnabled": users is not None,
            "RegisteredUsers": users or {},
            "RemoteAccessAllowed": False,
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "StorageCompression": False,
            "KeepAlive": True,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))

    @property
    def url(self) -> str:
        """Root of DICOMweb."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                ["env", "--default-signal=INT,QUIT", "Orthanc", str(self.folder / "orthanc.json")],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"Orthanc does not answer after {START_S} s: see {self.folder / 'log'}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def push(self, paths: list[Path], *, user: str = "") -> None:
        """Store files."""
        self.changed = True
        for path in paths:
            self._ask("POST", "/instances", path.read_bytes(), user)

    def delete(self, kind: str, index: int = 0) -> None:
        """Delete one of the studies, series or instances."""
        self.changed = True
        found = json.loads(self._ask("GET", f"/{kind}"))
        self._ask("DELETE", f"/{kind}/{found[index]}")

    def clear(self) -> None:
        """Delete all studies."""
        self.changed = True
        for study in json.loads(self._ask("GET", "/studies")):
            self._ask("DELETE", f"/studies/{study}")

    def _ask(self, method: str, path: str, data: bytes | None = None, user: str = "") -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        if user:
            import base64

            request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def _answers(self) -> bool:
        try:
            self._ask("GET", "/system")
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
