"""A partial pull of a release of many small cases: bytes moved, memory and time of each step.

usage: python benchmarks/release_parts.py [--cases 10000] [--side 24] [--formats parquet,dicom,nifti,fhir]

Cases are smooth blobs with noise, `side` voxels wide, made as they are written. Steps run in processes of their own, so
that each peak of memory is its own. With `--cases 1000000 --side 2 --formats parquet` it is the release of a million.
"""

import argparse
import http.server
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synthdata.records import Case, CaseSet, ChannelScale, ColumnSpec, Grid, ReleaseManifest, to_json
from synthdata.release import layout
from synthdata.release.client import check, pull
from synthdata.release.publishing import upload_all
from synthdata.release.shards import ShardWriter, in_shards, profile_of
from synthdata.release.trust import init_keys
from synthdata.release.trust.contents import SignedRelease
from synthdata.release.trust.repository import transact
from synthdata.storage.commit import sha256_of
from synthdata.storage.folder import FolderStore

COLUMNS = (
    ColumnSpec(name="age", kind="number", unit="a", minimum=20, maximum=90),
    ColumnSpec(name="lesion_count", kind="integer", role="outcome"),
)
SCALE = ChannelScale(channel="CT", modality="CT", method="window", unit="[hnsf'U]", low=-100, high=300)


def cases(count: int, side: int):
    """A stream of cases."""
    grid = Grid(shape_zyx=(side,) * 3, spacing_mm=(1.0,) * 3, origin_mm=(0.0,) * 3)
    z, y, x = np.indices(grid.shape_zyx) - (side - 1) / 2
    for number in range(count):
        rng = np.random.default_rng(number)
        radius = side / 4 + rng.random()
        mask = ((z * z + y * y + x * x) < radius**2).astype(np.uint8)
        image = np.rint(-50 + 90.0 * mask + rng.normal(0, 10, mask.shape)).astype(np.int16)[None]
        yield Case(
            case_id=f"SYN-{number:07d}", patient_id=f"SYN-{number:07d}", image=image, mask=mask, grid=grid,
            record={"age": float(20 + number % 70), "lesion_count": number % 3}, provenance={"seed": number},
        )  # fmt: skip


def build(work: Path, count: int, side: int, formats: tuple[str, ...]) -> None:
    """Shards, index and evidence of a release, and its manifest."""
    folder = work / "built"
    (folder / "evidence").mkdir(parents=True)
    case_set = CaseSet(
        dataset="many", origin="synthetic", channels=("CT",), modalities=("CT",), units=("[hnsf'U]",),
        labels={"ball": 1}, columns=COLUMNS, shards=(),
    )  # fmt: skip
    (folder / layout.evidence_path("synthetic")).write_bytes(to_json(case_set))
    profile = profile_of(case_set, (SCALE,), version="1.0.0", title="Balls", body_part="HEAD", codes={})
    with ShardWriter(folder, case_set, profile, formats=formats) as writer:
        for shard in in_shards(cases(count, side)):
            writer.write(shard)
        writer.check_ids()
    manifest = ReleaseManifest(
        dataset="many", version="1.0.0", created="1970-01-01", licence="CC0-1.0", cases=count, channels=("CT",),
        labels={"ball": 1}, files=tuple(layout.entries(folder)), verdict="", outcome="PASS", provenance={},
        development_keys=True,
    )  # fmt: skip
    (folder / layout.MANIFEST).write_bytes(to_json(manifest))


def publish(work: Path) -> None:
    """The data, the manifest and the signatures; the gate has a test of its own."""
    from synthdata.records import from_json

    data = (work / "built" / layout.MANIFEST).read_bytes()
    manifest, store = from_json(ReleaseManifest, data), FolderStore(work / "store")
    upload_all(work / "built", manifest, store, lambda: None, lambda *_: None)
    release = SignedRelease(
        dataset="many", version="1.0.0", title="Balls", created="1970-01-01", licence="CC0-1.0", cases=manifest.cases,
        size_bytes=sum(file.size_bytes for file in manifest.files), outcome="PASS", development_keys=True,
        manifest_sha256=sha256_of(data), manifest_bytes=len(data),
    )  # fmt: skip
    store.write(release.path, data)
    transact(store, init_keys(work / "keys"), lambda contents: contents.adding(release))


class Counting(http.server.SimpleHTTPRequestHandler):
    """Gives ranges, and counts the bytes of all answers."""

    protocol_version = "HTTP/1.1"
    moved, requests, lock = 0, 0, threading.Lock()

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        with path.open("rb") as reader:
            reader.seek(int(first))
            data = reader.read(int(last) - int(first) + 1) if last else reader.read()
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        with self.lock:
            Counting.moved += len(data)
            Counting.requests += 1


def part(work: Path) -> dict[str, float]:
    """Pull 1 % by SQL over HTTP and check it; counts what the server has sent."""
    handler = partial(Counting, directory=str(work / "store"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        pulled = pull("many", None, url, work / "part", where="age >= 20 and lesion_count >= 0", sample="1%")
        server.shutdown()
    assert check(work / "part").ok
    total = sum(path.stat().st_size for path in (work / "built").rglob("*") if path.is_file())
    return {
        "cases": pulled.cases, "moved MB": Counting.moved / 1e6, "release MB": total / 1e6,
        "moved %": 100 * Counting.moved / total, "requests": Counting.requests,
    }  # fmt: skip


def whole(work: Path) -> None:
    assert pull("many", None, str(work / "store"), work / "whole").complete


def step(name: str, options: argparse.Namespace) -> None:
    work, start = Path(options.work), time.monotonic()
    told: dict[str, float] = {}
    if name == "build":
        build(work, options.cases, options.side, tuple(options.formats.split(",")))
    elif name == "publish":
        publish(work)
    elif name == "part":
        told = part(work)
    else:
        whole(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"seconds": time.monotonic() - start, "peak MiB": peak, **told}
    print(f"{name:8} " + json.dumps({key: round(value, 2) for key, value in told.items()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=24)
    parser.add_argument("--formats", default="parquet,dicom,nifti,fhir")
    parser.add_argument("--step", default="")
    parser.add_argument("--work", default="")
    options = parser.parse_args()
    if options.step:
        step(options.step, options)
        return
    with tempfile.TemporaryDirectory(prefix="parts-") as name:
        environment = os.environ | {"SYNTHDATA_CONFIG": f"{name}/config"}
        for word in ("build", "publish", "part", "whole"):
            command = [sys.executable, __file__, *sys.argv[1:], "--step", word, "--work", name]
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
