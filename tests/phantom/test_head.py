"""The head is one: closed, symmetric about, with nested tissues; and each patient is always the same."""

import numpy as np
import pytest
from scipy import ndimage

from synthdata.errors import ConfigError
from synthdata.phantom import draw_patient, render, volume_grid
from synthdata.phantom.head import sample_tissues
from synthdata.phantom.tissues import Tissue
from synthdata.records import Grid


def axes() -> list[np.ndarray]:
    return [np.arange(-58, 104, 3.0), np.arange(-112, 112, 3.0), np.arange(-90, 90, 3.0)]


def outside_of(tissues: np.ndarray) -> np.ndarray:
    """Air that reaches the border of the volume through air."""
    parts, _ = ndimage.label(tissues == Tissue.AIR)
    result: np.ndarray = parts == parts[-1, 0, 0]
    return result


@pytest.mark.parametrize("number", range(4))
def test_tissues_are_nested(number: int) -> None:
    tissues = sample_tissues(axes(), draw_patient(11, number))
    outside = outside_of(tissues)
    brain = np.isin(tissues, (Tissue.GREY, Tissue.WHITE, Tissue.VENTRICLE, Tissue.CSF))
    assert outside.mean() > 0.3
    assert not (brain & ndimage.binary_dilation(outside, iterations=2)).any()  # skull or scalp is between
    _, pieces = ndimage.label(brain)
    largest = np.bincount(ndimage.label(brain)[0].ravel())[1:].max()
    assert largest > 0.98 * brain.sum(), f"the brain lies in {pieces} pieces"


@pytest.mark.parametrize("number", range(4))
def test_every_tissue_has_a_plausible_volume(number: int) -> None:
    patient = draw_patient(11, number)
    tissues = sample_tissues(axes(), patient)
    ml = np.bincount(tissues.ravel(), minlength=len(Tissue)) * 27 / 1000
    assert 350 < ml[Tissue.GREY] < 800
    assert 350 < ml[Tissue.WHITE] < 800
    assert 100 < ml[Tissue.CSF] < 500
    assert ml[Tissue.BONE] + ml[Tissue.DIPLOE] > 250
    assert ml[Tissue.VENTRICLE] == pytest.approx(patient.ventricle_ml, rel=0.05)


def test_old_brains_have_wider_spaces() -> None:
    patients = [draw_patient(2, number) for number in range(60)]
    ages = [patient.age_years for patient in patients]
    young, old = patients[int(np.argmin(ages))], patients[int(np.argmax(ages))]
    shares = []
    for patient in (young, old):
        tissues = sample_tissues(axes(), patient)
        inside = np.isin(tissues, (Tissue.CSF, Tissue.GREY, Tissue.WHITE))
        shares.append((tissues == Tissue.CSF).sum() / inside.sum())
    assert shares[1] > 1.4 * shares[0]


def test_a_patient_is_the_same_each_time_and_unlike_the_next(head_grid: Grid) -> None:
    first, again, other = (render(draw_patient(7, number), ("T1w", "CT"), head_grid) for number in (3, 3, 4))
    assert all(np.array_equal(first.images[name], again.images[name]) for name in first.images)
    assert np.array_equal(first.mask, again.mask)
    assert first.record == again.record
    assert not np.array_equal(first.mask, other.mask)


def test_a_further_channel_leaves_the_others_as_they_are(head_grid: Grid) -> None:
    patient = draw_patient(7, 5)
    alone = render(patient, ("CT",), head_grid)
    three = render(patient, ("T2w", "T1w", "CT"), head_grid)
    assert np.array_equal(alone.images["CT"], three.images["CT"])
    assert alone.record == three.record


def test_different_seeds_give_different_people() -> None:
    assert draw_patient(1, 0).scale != draw_patient(2, 0).scale
    assert draw_patient(1, 0).patient_id == "PH-000000"


def test_a_projection_shows_the_skull_around_the_cavity() -> None:
    flat = render(draw_patient(7, 0), ("XR",), volume_grid((1, 64, 64), (1.0, 2.75, 2.75)))
    image, mask = flat.images["XR"][0], flat.mask[0]
    assert image.shape == mask.shape == (64, 64)
    assert image[mask == 2].mean() > 1.2 * image[mask == 0].mean()
    assert image[0, 0] < 0.02 * image.max()  # beside the head there is air
    rows = np.flatnonzero((mask == 1).any(axis=1))
    assert (mask[rows[0] - 1] == 2).any()  # the first row goes down from the vertex, and bone covers it


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ((), "none"),
        (("T1w", "T1w"), "different ones"),
        (("PET",), "expected different ones of T1w, T2w, CT, XR"),
        (("XR", "CT"), "expected it alone"),
        (("XR",), "on one slice"),
    ],
)
def test_channels_which_cannot_be_rendered_are_refused(
    channels: tuple[str, ...], words: str, head_grid: Grid
) -> None:
    with pytest.raises(ConfigError, match=words):
        render(draw_patient(0, 0), channels, head_grid)
