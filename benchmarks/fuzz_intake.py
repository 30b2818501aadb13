"""Mutated DICOM files through intake: no crash, no hang, bounded memory, and every file has one outcome.

Half of the mutations know the structure (lengths, VRs, nested sequences, duplicated and swapped attributes, sizes of
the image), half are blind (bits, cuts, insertions). Then a deflated bomb and a sequence nested 100,000 deep.

    OMP_NUM_THREADS=1 python benchmarks/fuzz_intake.py --files 20000
"""

import argparse
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

from synthdata.errors import SourceError
from synthdata.intake import inspect
from synthdata.phantom import write_cohort

BATCH = 500
DEPTH = 100_000
BOMB_BYTES = 4 << 30
NUMBERS = (0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = (b"SQ", b"OB", b"UN", b"PN", b"DS", b"IS", b"US", b"AT", b"UT", b"FD", b"ZZ")


def offsets(data: bytes) -> list[int]:
    """Where an explicit attribute seems to begin."""
    found, at = [], 132
    while at + 8 <= len(data) and len(found) < 400:
        if data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper():
            found.append(at)
            long = data[at + 4 : at + 6] in {b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"UC", b"UR"}
            length = (
                struct.unpack_from("<I" if long else "<H", data, at + (8 if long else 6))[0]
                if at + 12 <= len(data)
                else 0
            )
            at += (12 if long else 8) + (0 if length == 0xFFFFFFFF else length)
        else:
            at += 2
    return found


def structured(data: bytearray, rng: np.random.Generator) -> bytearray:
    """One mutation of an attribute."""
    places = offsets(bytes(data))
    if not places:
        return blind(data, rng)
    at = int(rng.choice(places))
    kind = int(rng.integers(7))
    if kind == 0:
        data[at + 4 : at + 6] = VRS[rng.integers(len(VRS))]
    elif kind == 1:
        data[at + 6 : at + 8] = struct.pack("<H", int(rng.choice(NUMBERS)) & 0xFFFF)
    elif kind == 2:
        data[at + 8 : at + 12] = struct.pack("<I", int(rng.choice(NUMBERS)))
    elif kind == 3:
        end = min(len(data), at + int(rng.integers(8, 200)))
        data[at:at] = data[at:end]
    elif kind == 4:
        other = int(rng.choice(places))
        data[at : at + 4], data[other : other + 4] = data[other : other + 4], data[at : at + 4]
    elif kind == 5:
        depth = int(rng.integers(1, 3000))
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff"
        data[at:at] = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + item * depth
    else:
        del data[at : at + int(rng.integers(1, 64))]
    return data


def blind(data: bytearray, rng: np.random.Generator) -> bytearray:
    """One mutation of bytes."""
    at = int(rng.integers(max(1, len(data))))
    kind = int(rng.integers(5))
    if kind == 0:
        for place in rng.integers(len(data), size=int(rng.integers(1, 20))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = rng.bytes(int(rng.integers(1, 300)))
    elif kind == 3:
        data[at : at + 16] = bytes([int(rng.choice([0, 0xFF, 0x41]))]) * 16
    else:
        data = data[at:] + data[:at]
    return data


def seeds(folder: Path) -> list[bytes]:
    """Clean phantom files, and pydicom's own examples of every syntax."""
    write_cohort(folder, patients=1, seed=1)
    mine = sorted(folder.rglob("*.dcm"))[:6]
    others = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))
    return [path.read_bytes() for path in (*mine, *others) if path.stat().st_size < 300_000]


def deep_sequence(depth: int) -> bytes:
    """A file whose only content is a sequence in a sequence in a sequence."""
    meta = b"\x02\0\x10\0UI\x14\0" + b"1.2.840.10008.1.2.1\0"
    head = b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta
    return head + (b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff") * depth


def bomb(size: int) -> bytes:
    """A deflated dataset which unpacks to one text of that many bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(b"\x08\0\x04\0UT\0\0" + struct.pack("<I", min(size, 0xFFFFFFFE)))
    block = b"A" * (1 << 24)
    for _ in range(size >> 24):
        packed += packer.compress(block)
    meta = b"\x02\0\x10\0UI\x16\0" + b"1.2.840.10008.1.2.1.99"
    head = b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta
    return head + packed + packer.flush()


def judged(folder: Path, files: list[bytes]) -> tuple[Counter[str], float]:
    """Outcomes of some files, and seconds."""
    for path in folder.iterdir():
        path.unlink()
    for number, data in enumerate(files):
        (folder / f"{number:06d}.dcm").write_bytes(data)
    start = time.process_time()
    try:
        report = inspect(folder)
    except SourceError:  # none of them is a scan any more
        return Counter(refused=len(files)), time.process_time() - start
    seconds = time.process_time() - start
    assert report.accepted + report.quarantined + report.refused == report.seen == len(files)
    return Counter(accepted=report.accepted, quarantined=report.quarantined, refused=report.refused), seconds


def peak_mb() -> int:
    """Most memory that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def mutated(clean: list[bytes], count: int, rng: np.random.Generator) -> list[bytes]:
    """Files after one to three mutations each."""
    kinds: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (structured, blind)
    files = []
    for number in range(count):
        data = bytearray(clean[int(rng.integers(len(clean)))])
        for _ in range(int(rng.integers(1, 4))):
            data = kinds[number % 2](data, rng) if len(data) > 16 else data
        files.append(bytes(data))
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng, total, slowest = np.random.default_rng(arguments.seed), Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        folder.mkdir()
        clean = seeds(Path(name) / "seeds")
        judged(folder, clean)
        before = peak_mb()
        for done in range(0, arguments.files, BATCH):
            outcomes, seconds = judged(folder, mutated(clean, min(BATCH, arguments.files - done), rng))
            total += outcomes
            slowest = max(slowest, seconds / BATCH)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{done + BATCH} of {arguments.files}")
        print(
            f"{sum(total.values())} mutated files: {dict(total)}; slowest batch {slowest * 1000:.0f} CPU ms a file"
        )
        print(f"peak memory {before} MB after the clean files, {peak_mb()} MB after all")
        for what, data in (
            ("sequence of depth 100,000", deep_sequence(DEPTH)),
            ("bomb of 4 GiB", bomb(BOMB_BYTES)),
        ):
            outcomes, seconds = judged(folder, [data, clean[0]])
            print(f"{what}, {len(data) >> 10} kB: {dict(outcomes)}, {seconds:.1f} s, peak {peak_mb()} MB")


if __name__ == "__main__":
    main()
