import io

import numpy as np
import pytest
from matplotlib.image import imread

from synthdata.errors import ConfigError
from synthdata.records import Case, ChannelScale, Grid
from synthdata.validation.pictures import case_sheet, curve, label_colours, spread_places

SCALE = ChannelScale(
    channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(0, 100)
)


def case(shape: tuple[int, int, int]) -> Case:
    mask = np.zeros(shape, np.uint8)
    mask[:, 2:5, 2:5] = 1
    image = np.full((1, *shape), 500, np.int16)
    return Case(
        case_id="a",
        patient_id="p",
        image=image,
        mask=mask,
        grid=Grid(shape_zyx=shape, spacing_mm=(1, 1, 1)),
        record={},
    )


@pytest.mark.parametrize("shape", [(1, 12, 9), (8, 12, 9)])
def test_a_sheet_shows_grey_images_and_coloured_contours(shape: tuple[int, int, int]) -> None:
    pixels = imread(io.BytesIO(case_sheet([case(shape)] * 3, [SCALE], {"a": 1}, columns=2)))[..., :3]
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    assert (spread > 0.5).any()
    assert np.isclose(pixels[spread == 0], 0.5, atol=0.01).any()


def test_a_sheet_without_cases_is_refused() -> None:
    with pytest.raises(ConfigError, match="no case"):
        case_sheet([], [SCALE], {})


def test_the_same_curve_gives_the_same_bytes_and_an_empty_one_is_drawn() -> None:
    points = [(0, 1.0), (1, 0.01), (2, float("nan"))]
    assert curve(points, "loss") == curve(points, "loss")
    assert curve([], "loss").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("cases", "count", "places"), [(10, 4, {0, 2, 5, 7}), (3, 24, {0, 1, 2}), (0, 5, set())]
)
def test_shown_cases_are_spread_over_the_whole_set(cases: int, count: int, places: set[int]) -> None:
    assert spread_places(cases, count) == places


def test_each_outline_has_a_colour_and_a_word_for_it() -> None:
    found = label_colours({"lesion": 3, "organ": 1})
    assert [(outline.label, outline.colour, outline.word) for outline in found] == [
        ("organ", "#e69f00", "orange"),
        ("lesion", "#56b4e9", "sky blue"),
    ]
    many = label_colours({f"label-{value}": value for value in range(1, 10)})
    assert many[0].colour == many[8].colour
    assert len({outline.word for outline in many[:8]}) == 8
