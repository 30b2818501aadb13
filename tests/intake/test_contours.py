"""Contours: outlines from pixel to pixel, planes that skip slices, lie apart, or differ by a rounding."""

import numpy as np
import pytest

from synthdata.intake import take_in
from synthdata.intake.contours import edge_pixels
from synthdata.records.parquet import read_cases


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def take(build, scans, private, outlines, kind="CLOSED_PLANAR"):
    series = build.series("PAT-1", build.grid(shape_zyx=(9, 8, 6)))
    build.write(scans, [*series, build.structure_set(series[0], outlines, kind)])
    return take_in(build.spec(labels=build.labels), scans, private, pseudonym_key=build.key)


def only_mask(report, private):
    assert report.accepted == report.seen, codes(report)
    (case,) = read_cases(private, report.cases)
    return case.mask


def box(slices, low=(1, 0), high=(7, 5)) -> np.ndarray:
    mask = np.zeros((9, 8, 6), np.uint8)
    for index in slices:
        mask[index, low[0] : high[0], low[1] : high[1]] = 1
    return mask


@pytest.mark.parametrize(
    ("planes", "filled"),
    [
        ((1, 7), (1, 7)),  # two that lie apart
        ((1, 3, 5, 7), (1, 2, 3, 4, 5, 6, 7)),  # every second slice; not beyond its ends
        ((0, 1, 2, 6, 7), (0, 1, 2, 6, 7)),  # two parts
        ((2, 2.5, 3, 3.5, 4), (2, 3, 4)),  # planes finer than slices
        ((1.3, 2.3, 3.3), (1, 2, 3)),
        ((6, 7, 8, 9, 10), (6, 7, 8)),  # beyond the image
    ],
)
def test_slices_take_the_contours_that_lie_on_them(build, scans, private, planes, filled) -> None:
    outlines = [build.outline(build.grid(), z, (1, 0), (7, 5)) for z in planes]
    report = take(build, scans, private, {"lesion": outlines})
    np.testing.assert_array_equal(only_mask(report, private), box(filled))


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
@pytest.mark.parametrize("height", [0.0, 0.005, 0.01])
def test_a_hole_whose_plane_differs_by_a_rounding_stays_a_hole(build, scans, private, height, kind) -> None:
    grid = build.grid()
    outer, inner = build.outline(grid, 2, (1, 0), (7, 5)), build.outline(grid, 2, (3, 2), (5, 4))
    outer[:, 2] += height - 1e-4
    inner[:, 2] += height + 1e-4
    report = take(build, scans, private, {"lesion": [outer, inner]}, kind)
    np.testing.assert_array_equal(only_mask(report, private), box([2]) - box([2], (3, 2), (5, 4)))


def test_two_regions_are_painted_each_for_itself(build, scans, private) -> None:
    grid = build.grid()
    outlines = {
        "lesion": [build.outline(grid, 2, (1, 0), (7, 5))],
        "ventricle": [build.outline(grid, 2, (3, 2), (5, 4))],
    }
    mask = only_mask(take(build, scans, private, outlines), private)
    np.testing.assert_array_equal(mask, box([2]) + box([2], (3, 2), (5, 4)))


def test_outlines_through_the_centres_of_the_outermost_pixels_give_these_back(build, scans, private) -> None:
    grid = build.grid()
    corners = np.array([[2, 1, 1, 1], [2, 1, 3, 1], [2, 3, 5, 1], [2, 6, 2, 1], [2, 3, 0, 1]])  # z, y, x
    report = take(build, scans, private, {"lesion": [(corners @ grid.affine.T)[:, :3]]})
    expected = np.zeros((9, 8, 6), np.uint8)
    for y, (first, last) in {1: (1, 3), 2: (1, 4), 3: (0, 5), 4: (1, 4), 5: (2, 3), 6: (2, 2)}.items():
        expected[2, y, first : last + 1] = 1
    np.testing.assert_array_equal(only_mask(report, private), expected)


def test_a_centre_lies_on_a_contour_only_where_that_passes_through_it() -> None:
    square = np.array([1.0, 1.0, 4.0, 4.0]), np.array([2.0, 5.0, 5.0, 2.0])
    assert edge_pixels(*square, (6, 8)).sum() == 12
    assert not edge_pixels(square[0] + 0.3, square[1] + 0.2, (6, 8)).any()
    assert edge_pixels(square[0] - 3, square[1] + 4, (6, 8)).sum() == 3  # what of it lies in the image


def test_contours_beside_the_image_are_refused(build, scans, private) -> None:
    outlines = [build.outline(build.grid(), z, (40, 40), (46, 45)) for z in (2, 3)]
    report = take(build, scans, private, {"lesion": outlines})
    assert codes(report) == {"mask.off_grid": 1, "case.companion": 9}
