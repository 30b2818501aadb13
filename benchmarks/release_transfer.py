"""Publish and pull beside `aws s3 cp`, rclone and boto3 alone, against radosgw in memory, in one run.

usage: python benchmarks/release_transfer.py [--megabytes 2000] [--turns 2]

Ours hashes each file, writes it only where there is none, reads it back, and verifies again while it pulls. The others
move the bytes. Needs the Debian packages radosgw, ceph-mon, ceph-osd, ceph-common; rclone and awscli where they are.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.release import publishing
from synthdata.release.client.download import download
from synthdata.release.client.remote import open_remote
from synthdata.storage import open_store
from synthdata.storage.commit import sha256_of
from tests.services import radosgw

FILE_BYTES = 64_000_000
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
    with ThreadPoolExecutor(8) as requests, ThreadPoolExecutor(4) as writers:
        jobs = [
            writers.submit(
                download, remote, f"datasets/bench/1.0.0/{file.path}", file, to, requests, lambda _: None
            )
            for file in files
        ]
        assert all(job.result() for job in jobs)


def boto_up(folder: Path, files: list[FileEntry], bucket: str) -> None:
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=16))

    def put(file: FileEntry) -> None:
        client.put_object(Bucket=bucket, Key=f"boto/{file.path}", Body=(folder / file.path).read_bytes())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, files))


def boto_down(files: list[FileEntry], bucket: str, to: Path) -> None:
    to.mkdir()
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=64))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda f: client.download_file(bucket, f"boto/{f.path}", str(to / f.path)), files))


def run(command: str, source: str, target: str) -> None:
    subprocess.run([*COMMANDS[command], source, target], check=True)


@contextmanager
def server() -> Iterator[str]:
    """A server and a bucket of it; yields the bucket."""
    if reason := radosgw.missing():
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="rgw-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            started = radosgw.start(folder)
            os.environ.update(started.environment())
            os.environ |= {
                "RCLONE_CONFIG_GW_TYPE": "s3", "RCLONE_CONFIG_GW_PROVIDER": "Ceph", "RCLONE_CONFIG_GW_ENV_AUTH": "true",
                "RCLONE_CONFIG_GW_ENDPOINT": started.endpoint,
            }  # fmt: skip
            boto3.client("s3", config=Config(s3={"addressing_style": "path"})).create_bucket(Bucket="bench")
            yield "bench"
        finally:
            radosgw.stop(folder)


def empty(url: str) -> None:
    store = open_store(url)
    for key in list(store.keys("")):
        store.delete(key)


def best(turns: int, act: Callable[[], None], clean: Callable[[], None]) -> float:
    """Seconds of the quickest turn."""
    seconds = []
    for _ in range(turns):
        clean()
        start = time.monotonic()
        act()
        seconds.append(time.monotonic() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    tools = [name for name, words in COMMANDS.items() if shutil.which(words[0])]
    with server() as bucket, tempfile.TemporaryDirectory(prefix="transfer-") as name:
        work = Path(name)
        files = make_files(work / "files", options.megabytes)
        total = sum(file.size_bytes for file in files) / 1e6
        up: dict[str, float] = {}
        down: dict[str, float] = {}
        places = {"ours": f"s3://{bucket}/ours", "boto3": f"s3://{bucket}/boto"}
        places |= {tool: f"s3://{bucket}/{tool.split()[0]}" for tool in tools}

        def address(tool: str) -> str:
            return places[tool].replace("s3://", "gw:") if tool == "rclone" else places[tool]

        for tool, place in places.items():
            acts: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
                "ours": (
                    lambda: ours_up(work / "files", files, places["ours"]),
                    lambda: ours_down(files, places["ours"], work / "got"),
                ),
                "boto3": (
                    lambda: boto_up(work / "files", files, bucket),
                    lambda: boto_down(files, bucket, work / "got"),
                ),
            }
            upload, fetch = acts.get(tool) or (
                lambda tool=tool: run(tool, str(work / "files"), address(tool)),
                lambda tool=tool: run(tool, address(tool), str(work / "got")),
            )
            up[tool] = best(options.turns, upload, lambda place=place: empty(place))
            down[tool] = best(options.turns, fetch, lambda: shutil.rmtree(work / "got", ignore_errors=True))
            empty(place)
            print(
                f"{tool:10} up {total / up[tool]:6.0f} MB/s   down {total / down[tool]:6.0f} MB/s", flush=True
            )
        for words, seconds in (("publish", up), ("pull", down)):
            quickest = min(value for tool, value in seconds.items() if tool != "ours")
            print(f"{words}: ours / fastest other = {quickest / seconds['ours']:.2f} (asked 0.9)")


if __name__ == "__main__":
    main()
