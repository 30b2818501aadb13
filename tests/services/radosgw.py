"""A real S3 server for tests: one-node Ceph in memory (monitor, one OSD) with radosgw, on free ports of loopback.

No systemd and no containers: the Debian packages' own binaries, which need root, with their state in one folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BINARIES = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
INSTALL = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"
ACCESS_KEY, SECRET_KEY = "test-access", "test-secret"
START_S = 120  # a busy machine takes its time; an idle one 15 s
STOP_S = 10
GLOBAL = {
    "mon_initial_members": "a",
    "public_addr": "127.0.0.1",
    "cluster_addr": "127.0.0.1",
    "public_network": "127.0.0.0/8",
    "auth_cluster_required": "none",
    "auth_service_required": "none",
    "auth_client_required": "none",
    "ms_mon_client_mode": "crc",  # radosgw asks for encryption otherwise, which needs the keys that are off
    "ms_bind_ipv6": "false",
    "osd_pool_default_size": "1",
    "osd_pool_default_min_size": "1",
    "osd_pool_default_pg_num": "4",
    "osd_pool_default_pgp_num": "4",
    "osd_pool_default_pg_autoscale_mode": "off",
    "mon_allow_pool_size_one": "true",
    "mon_warn_on_pool_no_redundancy": "false",
    "mon_data_avail_crit": "1",
    "mon_data_avail_warn": "2",
    "osd_crush_chooseleaf_type": "0",
    "osd_objectstore": "memstore",
    "osd_max_object_name_len": "256",
    "osd_max_object_namespace_len": "64",
}


def missing() -> str:
    """Why the server cannot run here; empty where it can."""
    absent = [name for name in BINARIES if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}: {INSTALL}"
    return "" if os.geteuid() == 0 else "needs root for the daemons of Ceph"


@dataclass(frozen=True)
class Radosgw:
    """A running server."""

    folder: Path
    endpoint: str

    def environment(self) -> dict[str, str]:
        """What boto3 needs to find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "default",
        }

    def make_user(self, name: str, *, access: str, secret: str) -> None:
        """A user without a right to the buckets of others."""
        keys = (f"--access-key={access}", f"--secret-key={secret}")
        _admin(self.folder, "user", "create", f"--uid={name}", f"--display-name={name}", *keys)

    def collect(self) -> None:
        """Give back the room of what was deleted, which the server would do some hours later."""
        _admin(self.folder, "gc", "process", "--include-all")

    @contextmanager
    def quota(self, bucket: str, size: str) -> Iterator[None]:
        """A bucket with a bound of its size, such as 100K, for the length of a block."""
        scope = ("--quota-scope=bucket", f"--bucket={bucket}")
        _admin(self.folder, "quota", "set", *scope, f"--max-size={size}")
        _admin(self.folder, "quota", "enable", *scope)
        try:
            yield
        finally:
            _admin(self.folder, "quota", "disable", *scope)


def start(folder: Path, *, memory_bytes: int = 2 << 30) -> Radosgw:
    """Start the daemons with their state in an empty folder, objects in so much memory; `stop` ends them."""
    for name in ("mon", "osd0", "rgw", "run", "log"):
        (folder / name).mkdir(parents=True)
    port, monitor, old_monitor = _free_ports(3)
    conf = folder / "ceph.conf"
    fsid = str(uuid.uuid4())
    addresses = f"[v2:127.0.0.1:{monitor},v1:127.0.0.1:{old_monitor}]"
    conf.write_text(_configuration(folder, fsid, addresses, port, memory_bytes))
    _make_keys(folder)
    _run("monmaptool", "--create", "--addv", "a", addresses, "--fsid", fsid, str(folder / "monmap"))
    root = ("--setuser", "root", "--setgroup", "root")
    _run(
        "ceph-mon",
        "-c",
        conf,
        "--mkfs",
        "-i",
        "a",
        "--monmap",
        folder / "monmap",
        "--keyring",
        folder / "keyring",
    )
    _run("ceph-mon", "-c", conf, "-i", "a", *root)
    _run("ceph", "-c", conf, "mon", "enable-msgr2", check=False)
    osd = str(uuid.uuid4())
    _run("ceph", "-c", conf, "osd", "new", osd, "0")
    _run("ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd, *root)
    _run("ceph-osd", "-c", conf, "-i", "0", *root)
    _run(
        "ceph",
        "-c",
        conf,
        "osd",
        "crush",
        "add",
        "osd.0",
        "1.0",
        "root=default",
        "host=localhost",
        check=False,
    )
    _wait(lambda: "1 up" in _run("ceph", "-c", conf, "osd", "stat", check=False), "the OSD is not up", folder)
    server = Radosgw(folder=folder, endpoint=f"http://127.0.0.1:{port}")
    server.make_user("t", access=ACCESS_KEY, secret=SECRET_KEY)
    _run("radosgw", "-c", conf, "-n", "client.rgw.main", *root)
    _wait(lambda: _answers(server.endpoint), "radosgw does not answer", folder)
    return server


def stop(folder: Path) -> None:
    """End the daemons whose state lies in the folder, and no others."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _alive(folder):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_S
        while _alive(folder) and time.monotonic() < deadline:
            time.sleep(0.1)


def _alive(folder: Path) -> list[int]:
    """Process ids are used again, so the command line must name our configuration."""
    found = []
    for path in (folder / "run").glob("*.pid"):
        text = path.read_text().strip()
        command = Path(f"/proc/{text}/cmdline")
        if text.isdigit() and command.exists() and str(folder / "ceph.conf").encode() in command.read_bytes():
            found.append(int(text))
    return found


def _configuration(folder: Path, fsid: str, addresses: str, port: int, memory_bytes: int) -> str:
    shared = GLOBAL | {
        "fsid": fsid,
        "memstore_device_bytes": str(memory_bytes),
        "mon_host": addresses,
        "keyring": folder / "keyring",
        "run_dir": folder / "run",
        "admin_socket": folder / "run" / "$name.asok",
        "pid_file": folder / "run" / "$name.pid",
        "log_file": folder / "log" / "$name.log",
        "mon_cluster_log_file": folder / "log" / "cluster.log",
        "crash_dir": folder / "log",
    }
    gateway = {
        "keyring": folder / "keyring",
        "rgw_data": folder / "rgw",
        "rgw_frontends": f"beast endpoint=127.0.0.1:{port}",
        "rgw_dns_name": "localhost",
        "rgw_thread_pool_size": "32",
        "rgw_enable_ops_log": "false",
        "rgw_run_sync_thread": "false",
    }
    sections = {
        "global": shared,
        "mon.a": {"mon_data": folder / "mon", "host": "localhost"},
        "osd.0": {"osd_data": folder / "osd0"},
        "client.rgw.main": gateway,
    }
    lines = []
    for name, settings in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in settings.items())]
    return "\n".join(lines) + "\n"


def _make_keys(folder: Path) -> None:
    keyring = folder / "keyring"
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name in ("client.admin", "client.rgw.main"):
        caps = [word for daemon in ("mon", "osd", "mgr") for word in ("--cap", daemon, "allow *")]
        _run("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _admin(folder: Path, *command: str) -> None:
    _run("radosgw-admin", "-c", folder / "ceph.conf", *command)


def _run(*command: object, check: bool = True) -> str:
    """Output goes through a file: a daemon keeps a pipe open for as long as it lives."""
    words = [str(word) for word in command]
    done = subprocess.run(
        ["sh", "-c", 'out=$(mktemp); "$@" >"$out" 2>&1; code=$?; cat "$out"; rm "$out"; exit $code', "sh", *words],
        capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stdout[-500:]}")
    return done.stdout


def _wait(ready, what: str, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} after {START_S} s: see {folder / 'log'}")
        time.sleep(0.2)


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(endpoint, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
