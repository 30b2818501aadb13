"""Text in all, some or one of the slices of a volume is found, however it lies; noise and calm slices are not read."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from synthdata.intake.burned_in_text import holds_text
from synthdata.intake.likely_lines import apart, likely_line
from synthdata.intake.strokes import lone_places, scale_of
from synthdata.intake.text_engine import text_engine

SIDE, SLICES = 160, 12


def volume(seed: int = 0) -> np.ndarray:
    """Smooth values (n, y, x) from 100 to 900 that change from slice to slice, with noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(SLICES, SIDE, SIDE)), (1, 8, 8))
    scaled = (smooth - smooth.min()) / np.ptp(smooth) * 800 + 100
    return np.rint(scaled + rng.normal(scale=8, size=smooth.shape)).astype(np.int16)


def stamped(pixels: np.ndarray, slices: range, ink: int, *, turned: bool = False) -> np.ndarray:
    """A copy with a name and a date, from top to bottom where turned."""
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).text((8, 70), "DOE 1962-03-14", fill=255, font=ImageFont.load_default(16))
    share = np.asarray(mask) / 255
    share = np.rot90(share) if turned else share
    result = pixels.copy()
    for index in slices:
        result[index] = np.rint(pixels[index] * (1 - share) + ink * share)
    return result


@pytest.fixture(scope="module")
def engine():
    found = text_engine()
    assert found is not None
    return found


class Idle:
    """An engine that must not be asked."""

    def lines(self, image, *, zoom):
        raise AssertionError(f"an image of {image.shape} was read at zoom {zoom}")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("ink", [0, 1000])
@pytest.mark.parametrize("slices", [range(SLICES), range(4, 5), range(1), range(11, 12)])
def test_text_is_found_in_all_slices_or_one_lying_or_standing(engine, slices, ink, turned) -> None:
    assert holds_text(stamped(volume(), slices, ink, turned=turned), engine, modality="MR")


@pytest.mark.parametrize("ink", [0, 1000])
@pytest.mark.parametrize("slices", [range(5, 7), range(6), range(2, 11)])
def test_text_is_found_in_some_slices(engine, slices, ink) -> None:
    assert holds_text(stamped(volume(), slices, ink), engine, modality="MR")


def test_text_in_all_slices_is_found_after_a_lossy_codec(engine) -> None:
    coded = []
    for image in stamped(volume(), range(SLICES), 1000):
        file = io.BytesIO()
        Image.fromarray(np.clip(image / 4, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=75)
        coded.append(np.asarray(Image.open(file)).astype(np.int16) * 4)
    assert holds_text(np.stack(coded), engine, modality="MR")


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.uint8])
def test_text_is_found_in_values_of_every_type(engine, dtype) -> None:
    pixels = stamped(volume(), range(3, 4), 0)
    assert holds_text(
        (pixels // 4 if dtype == np.uint8 else pixels).clip(0).astype(dtype), engine, modality="MR"
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_calm_volumes_and_noise_ask_for_no_reading(modality, seed) -> None:
    noise = np.random.default_rng(seed).normal(0, 900, (SLICES, SIDE, SIDE)).astype(np.int16)
    for clean in (volume(seed), noise, np.zeros_like(noise)):
        assert not holds_text(clean, Idle(), modality=modality)


def test_a_line_is_likelier_than_the_tissue_about_it_and_told_once() -> None:
    pixels = stamped(volume(), range(4, 5), 1000)
    scale = scale_of(pixels, modality="MR")
    lone = [likely_line(pixels, place, scale) for place in lone_places(pixels, scale, turned=False)]
    best = next(apart(lone))
    assert best.place.light
    assert best.place.slices == (4,)
    assert 60 <= best.place.window.row <= 90
    assert all(line is best or line.place.light != best.place.light for line in apart(lone) if line.score > 0)


def test_ink_that_goes_on_in_the_slices_beside_it_is_not_lone() -> None:
    pixels = stamped(np.repeat(volume()[:1], SLICES, axis=0), range(SLICES), 1000)
    assert not list(lone_places(pixels, scale_of(pixels, modality="MR"), turned=False))
