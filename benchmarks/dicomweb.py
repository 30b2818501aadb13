"""Fetch hundreds of studies from a real Orthanc that is killed and started again in the middle.

Prints the seconds of a first fetch with kills, of a second one, and of ten new studies, and whether every instance came
once and bit by bit. Needs the Debian packages orthanc and orthanc-dicomweb.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/dicomweb.py --studies 500 --kills 3
"""

import argparse
import hashlib
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from intake_again import write_study

from synthdata.intake.remote import fetch
from tests.services.orthanc import Orthanc


def digests(folder: Path) -> Counter[str]:
    """How often each content is there."""
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.dcm"))


def kill_now_and_then(server: Orthanc, kills: int, every_s: float, stop: threading.Event) -> None:
    """Kill the server, wait a second, and start it again."""
    for _ in range(kills):
        if stop.wait(every_s):
            return
        server.kill()
        time.sleep(1)
        server.start()


def timed(server: Orthanc, landing: Path, what: str) -> None:
    """One fetch."""
    start = time.perf_counter()
    done = fetch(server.url, landing)
    seconds = time.perf_counter() - start
    print(
        f"{what:28}{seconds:8.2f} s  {done.seen} studies, {done.fetched} fetched, {len(done.failed)} failed",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--slices", type=int, default=8, help="instances of each study")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        server = Orthanc(root / "orthanc")
        server.start()
        stop = threading.Event()
        try:
            for number in range(arguments.studies):
                write_study(root / "scans", number, arguments.slices)
            server.push(sorted((root / "scans").rglob("*.dcm")))
            killer = threading.Thread(
                target=kill_now_and_then, args=(server, arguments.kills, arguments.every, stop)
            )
            killer.start()
            timed(server, root / "landing", f"first, {arguments.kills} kills meanwhile")
            stop.set()
            killer.join()
            whole = digests(root / "landing" / "scans") == digests(root / "scans")
            print(f"every instance once, bit by bit: {whole}", flush=True)
            timed(server, root / "landing", "second, unchanged")
            for number in range(arguments.studies, arguments.studies + 10):
                write_study(root / "more", number, arguments.slices)
            server.push(sorted((root / "more").rglob("*.dcm")))
            timed(server, root / "landing", "ten new studies")
        finally:
            stop.set()
            server.kill()


if __name__ == "__main__":
    main()
