"""What coded pixels carry beside the image."""

import struct

from pydicom.encaps import encapsulate

from synthdata.intake.codestreams import pixels_hide
from synthdata.intake.text_patterns import bytes_look_identifying

SAMPLES = 64
PATIENT = b"Patient: Zacharias Bartholomew, born 1962-03-14 "


def rle(segment: bytes) -> bytes:
    return encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + segment])


def test_samples_that_look_like_a_text_are_pixels_and_bytes_behind_them_are_not() -> None:
    assert bytes_look_identifying(PATIENT)
    samples = PATIENT.ljust(SAMPLES, b"\x07")
    literal = bytes([SAMPLES - 1]) + samples
    assert not pixels_hide(rle(literal), 1, SAMPLES)
    assert pixels_hide(rle(literal + PATIENT), 1, SAMPLES)
    run = bytes([257 - SAMPLES, 7])
    assert not pixels_hide(rle(run), 1, SAMPLES)
    assert pixels_hide(rle(run + PATIENT), 1, SAMPLES)
