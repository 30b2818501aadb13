"""Kill publisher and client with SIGKILL at random moments, and see what is left.

usage: python benchmarks/release_kills.py [--moments 30] [--store s3]

Each moment is drawn within the time that an undisturbed run takes. After each kill a reader asks the store: he must
find nothing, or a whole release. Then the same command runs again; the trees must be those of the undisturbed run.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import boto3
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthdata.validation
from synthdata.errors import StoreError
from synthdata.release.client import check, list_releases
from synthdata.release.trust import init_keys
from synthdata.storage import open_store
from synthdata.storage.folder import FolderStore
from tests.release.builders import make, tree
from tests.release.conftest import short_report
from tests.services import radosgw
from tests.services.fault_proxy import WRITING, FaultySharesProxy

ROOT = Path(__file__).resolve().parents[1]
PUBLISH = """
import sys
from pathlib import Path
from synthdata.records import ReleaseManifest, from_json
from synthdata.release import publish
from synthdata.release.trust import load_signer
from synthdata.storage import open_store
folder, url, keys = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
manifest = from_json(ReleaseManifest, (folder / "manifest.json").read_bytes())
publish(folder, manifest, open_store(url), signer=load_signer(keys))
"""
PULL = """
import sys
from pathlib import Path
from synthdata.release.client import pull
pull("ellipsoids", None, sys.argv[1], Path(sys.argv[2]))
"""


def run(
    program: str,
    *arguments: str,
    kill_after: float | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL, env=os.environ | environment
    )
    try:
        return process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()


def timed(program: str, *arguments: str) -> float:
    start = time.monotonic()
    if code := run(program, *arguments):
        sys.exit(f"the undisturbed run ended with {code}")
    return time.monotonic() - start


def released(url: str) -> dict[str, int]:
    """Key to size of what readers can reach; the metadata's dates move."""
    store = open_store(url)
    return {
        key: store.size(key) or 0 for key in store.keys("") if not key.startswith(("metadata/", "probes/"))
    }


def files(folder: Path) -> dict[str, str]:
    """Path to digest of a pulled release, without what the client remembers."""
    return {name: digest for name, digest in tree(folder).items() if not name.startswith(".synthdata")}


def seen(url: str) -> int:
    """Releases that a reader finds; none where nothing is finished."""
    try:
        return len(list_releases(url).releases)
    except StoreError:
        return 0


def publisher(work: Path, base: str, moments: int, rng: random.Random) -> dict[str, int]:
    built, keys = str(work / "built"), str(work / "keys")
    whole = timed(PUBLISH, built, f"{base}/whole", keys)
    want = released(f"{base}/whole")
    found = {"killed": 0, "half releases seen": 0, "not completed": 0, "other trees": 0}
    for number in range(moments):
        url = f"{base}/p{number}"
        os.environ["SYNTHDATA_CONFIG"] = str(work / f"config-{number}")
        found["killed"] += run(PUBLISH, built, url, keys, kill_after=rng.uniform(0.2, 1) * whole) == -9
        if seen(url):
            code = run(PULL, url, str(work / "early"))
            found["half releases seen"] += bool(code)
            shutil.rmtree(work / "early", ignore_errors=True)
        found["not completed"] += bool(run(PUBLISH, built, url, keys))
        found["other trees"] += released(url) != want
    return found


def client(work: Path, base: str, moments: int, rng: random.Random) -> dict[str, int]:
    url = f"{base}/whole"
    whole = timed(PULL, url, str(work / "reference"))
    want = {
        name: digest for name, digest in tree(work / "reference").items() if not name.startswith(".synthdata")
    }
    found = {"killed": 0, "wrong files under final names": 0, "not completed": 0, "other trees": 0}
    for number in range(moments):
        target = work / f"pulled-{number}"
        found["killed"] += run(PULL, url, str(target), kill_after=rng.uniform(0.2, 1) * whole) == -9
        left = files(target) if target.exists() else {}
        named = {name: digest for name, digest in left.items() if not name.endswith(".part")}
        found["wrong files under final names"] += any(want[name] != digest for name, digest in named.items())
        found["not completed"] += bool(run(PULL, url, str(target))) or not check(target).ok
        found["other trees"] += files(target) != want
    return found


def faults(work: Path, server: radosgw.Radosgw, base: str, runs: int) -> Iterator[tuple[str, dict[str, int]]]:
    """Publish and pull through a server that spoils a fifth of the requests, each kind of fault by itself."""
    built, keys = str(work / "built"), str(work / "keys")
    want = released(f"{base}/whole")
    for kind in WRITING:
        found = {"requests": 0, "spoilt": 0, "not published": 0, "not pulled": 0, "other trees": 0}
        for number in range(runs):
            proxy = FaultySharesProxy(server.endpoint, kind=kind, share=0.2, seed=number)
            url, target = f"{base}/{kind}-{number}", work / f"{kind}-{number}"
            os.environ |= {"SYNTHDATA_CONFIG": str(work / f"config-{kind}-{number}")}
            spoilt = {"AWS_ENDPOINT_URL": proxy.url}
            found["not published"] += bool(run(PUBLISH, built, url, keys, environment=spoilt))
            found["not pulled"] += bool(run(PULL, url, str(target), environment=spoilt))
            proxy.stop()
            found["requests"], found["spoilt"] = (
                found["requests"] + proxy.requests, found["spoilt"] + proxy.spoilt
            )  # fmt: skip
            same = released(url) == want and files(target) == files(work / "reference")
            found["other trees"] += not same
        yield kind, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--store", choices=["folder", "s3"], default="folder")
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument(
        "--faults", type=int, default=3, help="runs per kind of fault of the server, with --store s3"
    )
    options = parser.parse_args()
    synthdata.validation.write_report = short_report
    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as name:
        work, rng = Path(name), random.Random(20261122)
        os.environ |= {"SYNTHDATA_CONFIG": str(work / "config"), "PYTHONPATH": str(ROOT)}
        private = FolderStore(work / "private")
        make(private, cases=options.cases).build(private, work / "built")
        init_keys(work / "keys")
        base = str(work / "stores")
        if options.store == "s3":
            if reason := radosgw.missing():
                sys.exit(reason)
            server = radosgw.start(work / "rgw")
            os.environ |= server.environment()
            boto3.client("s3", config=Config(s3={"addressing_style": "path"})).create_bucket(Bucket="kills")
            base = "s3://kills"
        try:
            print("publisher", publisher(work, base, options.moments, rng), flush=True)
            print("client   ", client(work, base, options.moments, rng), flush=True)
            if options.store == "s3":
                for kind, found in faults(work, server, base, options.faults):
                    print(f"{kind:9}", found, flush=True)
        finally:
            if options.store == "s3":
                radosgw.stop(work / "rgw")


if __name__ == "__main__":
    main()
