"""Publish and pull beside `aws s3 cp`, rclone and boto3's transfer, against radosgw in memory, in one run.

usage: python benchmarks/release_transfer.py [--megabytes 2000] [--turns 3]

Ours hashes each file, writes it only where there is none, reads it back, and verifies again while it pulls. The others
move the bytes. The tools take turns, in an order that rotates, after the disk has taken what the last one wrote; the
median of the ratios within a turn counts, so that other work on the machine spoils none of them alone. Seconds of
processor per GB, of the tool without the server, say the same on a machine that others use too.
Needs the Debian packages radosgw, ceph-mon, ceph-osd, ceph-common; rclone and awscli where they are.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import boto3
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.release import publishing
from synthdata.release.client.download import download
from synthdata.release.client.remote import open_remote
from synthdata.release.client.stretch import CONNECTIONS, Spares
from synthdata.storage import open_store
from synthdata.storage.commit import sha256_of
from tests.services import radosgw

T = TypeVar("T")
FILE_BYTES = 64_000_000
BUCKET, PREFIX = "bench", "datasets/bench/1.0.0"
COMMANDS = {
    "aws s3 cp": ("aws", "s3", "cp", "--recursive", "--only-show-errors"),
    "rclone": ("rclone", "copy", "--transfers", "4", "--s3-no-check-bucket"),
}


def make_files(folder: Path, megabytes: int) -> list[FileEntry]:
    """Files of random bytes, as incompressible as zstd frames."""
    folder.mkdir()
    found = []
    for number in range(max(1, megabytes * 1_000_000 // FILE_BYTES)):
        path = folder / f"cases-{number:05d}.tar"
        with path.open("wb") as writer:
            for _ in range(FILE_BYTES // 1_000_000):
                writer.write(os.urandom(1_000_000))
        found.append(FileEntry(
            path=path.name, sha256=sha256_of(path), size_bytes=FILE_BYTES, media_type="application/x-tar", role="dicom"
        ))  # fmt: skip
    return found


def ours_up(folder: Path, files: list[FileEntry], url: str) -> None:
    """The data part of publishing: hash, create-only, read back."""
    manifest = ReleaseManifest(
        dataset="bench", version="1.0.0", created="1970-01-01", licence="CC0-1.0", cases=1, channels=("x",), labels={},
        files=tuple(files), verdict="", outcome="PASS", provenance={}, development_keys=True,
    )  # fmt: skip
    publishing.upload_all(folder, manifest, open_store(url), lambda: None, lambda *_: None)


def ours_down(files: list[FileEntry], url: str, to: Path) -> None:
    """The data part of a pull: ranges, hashed while they come, renamed when right."""
    to.mkdir()
    remote = open_remote(url)
    with Spares(len(files)) as spares, ThreadPoolExecutor(CONNECTIONS) as writers:
        jobs = [
            writers.submit(download, remote, f"{PREFIX}/{file.path}", file, to, spares, lambda _: None)
            for file in files
        ]
        assert all(job.result() for job in jobs)


def boto_up(folder: Path, files: list[FileEntry], bucket: str) -> None:
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=64))
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda f: client.upload_file(str(folder / f.path), bucket, f"{PREFIX}/{f.path}"), files)
        )


def boto_down(files: list[FileEntry], bucket: str, to: Path) -> None:
    to.mkdir()
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=64))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda f: client.download_file(bucket, f"{PREFIX}/{f.path}", str(to / f.path)), files))


def run(command: str, source: str, target: str) -> None:
    plain = {
        name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"
    }  # which rclone refuses
    subprocess.run([*COMMANDS[command], source, target], check=True, env=plain)


@contextmanager
def server() -> Iterator[radosgw.Radosgw]:
    """A server with a bucket."""
    if reason := radosgw.missing():
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="rgw-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            started = radosgw.start(folder, memory_bytes=8 << 30)
            os.environ.update(started.environment())
            os.environ |= {
                "RCLONE_CONFIG_GW_TYPE": "s3", "RCLONE_CONFIG_GW_PROVIDER": "Ceph", "RCLONE_CONFIG_GW_ENV_AUTH": "true",
                "RCLONE_CONFIG_GW_ENDPOINT": started.endpoint, "RCLONE_CONFIG": "/dev/null",
            }  # fmt: skip
            boto3.client("s3", config=Config(s3={"addressing_style": "path"})).create_bucket(Bucket=BUCKET)
            yield started
        finally:
            radosgw.stop(folder)


def empty(started: radosgw.Radosgw, url: str) -> None:
    """Delete, and have the server give the memory back."""
    store = open_store(url)
    for key in list(store.keys("")):
        store.delete(key)
    started.collect()


def seconds(act: Callable[[], None]) -> tuple[float, float]:
    """Of the clock, and of the processor: this process and the commands that it has called."""
    start, before = time.monotonic(), processor()
    act()
    return time.monotonic() - start, processor() - before


def processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def pairs(work: Path, files: list[FileEntry]) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """Tool to its upload and its download, of the same objects."""
    source, got = work / "files", work / "got"
    found: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "ours": (
            partial(ours_up, source, files, f"s3://{BUCKET}"),
            partial(ours_down, files, f"s3://{BUCKET}", got),
        ),
        "boto3": (partial(boto_up, source, files, BUCKET), partial(boto_down, files, BUCKET, got)),
    }
    for tool, words in COMMANDS.items():
        if shutil.which(words[0]):
            at = f"{'gw:' if tool == 'rclone' else 's3://'}{BUCKET}/{PREFIX}"
            found[tool] = (partial(run, tool, str(source), at), partial(run, tool, at, str(got)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--pull-turns", type=int, default=4)
    options = parser.parse_args()
    with server() as started, tempfile.TemporaryDirectory(prefix="transfer-") as name:
        work = Path(name)
        files = make_files(work / "files", options.megabytes)
        total = sum(file.size_bytes for file in files) / 1e6
        tools = pairs(work, files)
        turns = {"publish": options.turns, "pull": options.pull_turns}
        ours_up(
            work / "files", files, f"s3://{BUCKET}"
        )  # the server's memory is touched once before anybody's turn
        for number, act in enumerate(turns):
            rates: dict[str, list[float]] = {tool: [] for tool in tools}
            costs: dict[str, list[float]] = {tool: [] for tool in tools}
            for turn in range(turns[act]):
                for tool, acts in rotated(list(tools.items()), turn):
                    empty(started, f"s3://{BUCKET}") if act == "publish" else None
                    os.sync()
                    clock, used = seconds(acts[number])
                    rates[tool].append(total / clock)
                    costs[tool].append(1000 * used / total)
                    shutil.rmtree(work / "got", ignore_errors=True)
                    words = f"{rates[tool][-1]:4.0f} MB/s, {costs[tool][-1]:.2f} s of processor per GB"
                    print(f"{act} {turn + 1} {tool:10} {words}", flush=True)
            report(act, rates)
            words = ", ".join(f"{tool} {statistics.median(values):.2f}" for tool, values in costs.items())
            print(f"{act}, median seconds of processor per GB: {words}")


def rotated(items: list[T], by: int) -> list[T]:
    """Another one goes first in each turn."""
    return items[by % len(items) :] + items[: by % len(items)]


def report(act: str, rates: dict[str, list[float]]) -> None:
    """Ours over the fastest other within each turn; best and median turn of each tool, and ours over the fastest."""
    others = [values for tool, values in rates.items() if tool != "ours"]
    ratios = [ours / max(turn) for ours, *turn in zip(rates["ours"], *others, strict=True)]
    words = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(
        f"{act}, ours / the fastest of the turn: {words}; median {statistics.median(ratios):.2f} (asked 0.9)"
    )
    for name, of in (("best", max), ("median", statistics.median)):
        found = {tool: of(values) for tool, values in rates.items()}
        fastest = max((rate, tool) for tool, rate in found.items() if tool != "ours")
        words = ", ".join(f"{tool} {rate:.0f}" for tool, rate in found.items())
        print(
            f"{act}, {name}: {words} MB/s; ours / {fastest[1]} = {found['ours'] / fastest[0]:.2f} (asked 0.9)"
        )


if __name__ == "__main__":
    main()
