"""Multipart answers, in whatever pieces they come."""

import io
import random
import tracemalloc

import pytest

from synthdata.intake.remote.multipart import Multipart, boundary_of
from synthdata.intake.remote.problems import LaterError

BODIES = [
    b"DICM" + bytes(range(256)),
    b"",
    b"--not-a-boundary\r\n--x\r\n\r\n" * 3,
    b"\r\n--boun",
    b"\x00" * 999,
]


def answer(bodies: list[bytes], preamble: bytes = b"") -> bytes:
    parts = (b"\r\n--bound\r\nContent-Type: application/dicom\r\n\r\n" + body for body in bodies)
    return (preamble + b"".join(parts) + b"\r\n--bound--\r\n").removeprefix(b"\r\n")


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(40)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_parts_do_not_depend_on_the_pieces_in_which_they_come(seed: int) -> None:
    rng = random.Random(seed)
    data = answer(BODIES, preamble=b"to be ignored" if seed % 2 else b"")
    found = [b"".join(part) for part in Multipart(pieces(data, rng), b"bound").parts()]
    assert found == BODIES
    assert [
        b"".join(part) for part in Multipart([bytes([byte]) for byte in data], b"bound").parts()
    ] == BODIES


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_answer_gives_its_whole_parts_and_then_says_so(seed: int) -> None:
    data = answer(BODIES)
    cut = random.Random(seed).randrange(len(data) - len(b"--\r\n"))
    whole = []
    parts = Multipart([data[:cut]], b"bound").parts()
    with pytest.raises(LaterError, match="was cut, expected it whole"):
        whole.extend(b"".join(part) for part in parts)
    assert whole == BODIES[: len(whole)]


def test_memory_does_not_grow_with_the_size_of_a_part() -> None:
    stream = io.BytesIO(answer([b"\x01\r\n" * 2_000_000]))
    tracemalloc.start()
    size = sum(
        len(chunk)
        for part in Multipart(iter(lambda: stream.read(1 << 16), b""), b"bound").parts()
        for chunk in part
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 6_000_000
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related; boundary="a b:c"; type=x', b"a b:c"),
        ("text/html; boundary=abc", b""),
        ("", b""),
        ("multipart/related", b""),
    ],
)
def test_the_boundary_is_that_of_the_content_type(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary
