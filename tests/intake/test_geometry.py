"""Voxels end where their headers say they are."""

import numpy as np
import pytest

from synthdata.errors import ShapeError
from synthdata.intake import take_in
from synthdata.intake.geometry import grid_of_affine, overlaps, resample
from synthdata.records import Grid
from synthdata.records.grid import AXIAL
from synthdata.records.parquet import read_cases


def only_case(report, private):
    (case,) = read_cases(private, report.cases)
    return case


@pytest.mark.parametrize("oblique", [False, True])
def test_a_series_keeps_its_voxels_and_its_grid_whatever_the_file_names(
    build, scans, private, oblique
) -> None:
    grid = build.grid(direction=build.oblique) if oblique else build.grid()
    build.write(scans, build.series("PAT-1", grid)[::-1], "z")
    case = only_case(take_in(build.spec(), scans, private, pseudonym_key=build.key), private)
    assert case.grid.matches(grid, tolerance_mm=1e-3)
    np.testing.assert_array_equal(case.image[0], build.image(grid))


def test_a_sagittal_series_is_sorted_along_its_normal_and_not_along_z(build, scans, private) -> None:
    grid = build.grid(direction=(-1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0))
    build.write(scans, build.series("PAT-1", grid))
    case = only_case(take_in(build.spec(), scans, private, pseudonym_key=build.key), private)
    # the normal of these cosines points to +x: intake may turn the stack, voxels stay at their place in the world
    image = resample(case.image[0], case.grid, grid, order=0, fill=-1)
    np.testing.assert_array_equal(image, build.image(grid))


def test_a_nifti_affine_becomes_lps_with_axes_turned() -> None:
    affine = np.array([[-1.5, 0, 0, 10.0], [0, 2.0, 0, -20.0], [0, 0, 3.0, 30.0], [0, 0, 0, 1]])
    grid = grid_of_affine(affine, (6, 8, 5))
    index = np.array([4, 3, 2, 1.0])  # z, y, x
    right, front, up = (affine @ [2, 3, 4, 1.0])[:3]
    assert (grid.affine @ index)[:3] == pytest.approx([-right, -front, up])
    assert grid.shape_zyx == (5, 8, 6)
    assert grid.spacing_mm == pytest.approx((3.0, 2.0, 1.5))


def test_a_sheared_affine_is_refused() -> None:
    with pytest.raises(ShapeError, match="sheared"):
        grid_of_affine(np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), (4, 4, 4))


def test_resampling_to_a_flipped_and_shifted_grid_loses_nothing() -> None:
    source = Grid(shape_zyx=(4, 5, 6), spacing_mm=(3.0, 2.0, 1.0))
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    target = Grid(
        shape_zyx=(6, 4, 5),
        spacing_mm=(1.0, 3.0, 2.0),
        origin_mm=(5.0, 2.0, 0.0),
        direction=(-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0),
    )
    moved = resample(array, source, target, order=0, fill=-1)
    np.testing.assert_array_equal(moved[:, :, :4], array.transpose(2, 0, 1)[::-1, :, 1:])
    assert (moved[:, :, 4] == -1).all()


def test_linear_resampling_reproduces_a_linear_field() -> None:
    source = Grid(shape_zyx=(9, 9, 9), spacing_mm=(2.0, 2.0, 2.0))
    z, y, x = np.meshgrid(*[np.arange(9) * 2.0] * 3, indexing="ij")
    target = Grid(shape_zyx=(4, 4, 4), spacing_mm=(1.3, 1.7, 2.1), origin_mm=(3.0, 4.0, 5.0))
    moved = resample(x + 10 * y + 100 * z, source, target, order=1, fill=0)
    index = np.moveaxis(np.indices((4, 4, 4)), 0, -1).reshape(-1, 3)
    world = np.c_[index, np.ones(len(index))] @ target.affine.T
    assert moved.ravel() == pytest.approx(world[:, :3] @ [1, 10, 100], rel=1e-4)


def test_grids_side_by_side_do_not_overlap() -> None:
    here = Grid(shape_zyx=(4, 4, 4), spacing_mm=(1.0, 1.0, 1.0))
    assert overlaps(here, here)
    assert not overlaps(Grid(shape_zyx=(4, 4, 4), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(50.0, 0, 0)), here)


def test_a_coarse_array_fills_the_whole_of_its_outermost_voxels() -> None:
    coarse = Grid(shape_zyx=(2, 1, 1), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(0.0, 0.0, 0.0))
    fine = Grid(shape_zyx=(16, 8, 8), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(-3.5, -3.5, -4.5))
    array = np.array([[[3]], [[7]]], np.uint8)
    expected = np.zeros(fine.shape_zyx, np.uint8)  # 6 mm each, from -3 to 9 mm
    expected[2:8, 1:7, 1:7], expected[8:14, 1:7, 1:7] = 3, 7
    np.testing.assert_array_equal(resample(array, coarse, fine, order=0, fill=0), expected)
    linear = resample(array, coarse, fine, order=1, fill=-1)
    np.testing.assert_array_equal(linear >= 0, expected > 0)
    assert linear[2, 3, 3] == 3
    assert linear[13, 3, 3] == 7


@pytest.mark.parametrize("shift", [-1e-5, 1e-5])
def test_a_rounding_of_the_origin_costs_no_border(shift) -> None:
    source = Grid(shape_zyx=(4, 5, 6), spacing_mm=(3.0, 2.0, 1.0))
    target = Grid(shape_zyx=(4, 5, 6), spacing_mm=(3.0, 2.0, 1.0 + 1e-4), origin_mm=(shift, shift, shift))
    array = np.arange(1, 121, dtype=np.int16).reshape(4, 5, 6)
    np.testing.assert_array_equal(resample(array, source, target, order=0, fill=0), array)


def as_simpleitk(sitk, array: np.ndarray, grid: Grid):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.axes[::-1].T.ravel().tolist())
    return image


@pytest.mark.parametrize("seed", range(12))
def test_resampling_gives_what_simpleitk_gives(seed) -> None:
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    source = Grid(shape_zyx=(7, 9, 8), spacing_mm=tuple(rng.uniform(1, 4, 3)))
    target = Grid(
        shape_zyx=(12, 15, 14),
        spacing_mm=tuple(rng.uniform(0.6, 3, 3)),
        origin_mm=tuple(rng.uniform(-5, 5, 3)),
        direction=tuple((axes * np.sign(np.linalg.det(axes))).ravel().tolist()) if seed % 2 else AXIAL,
    )
    array = rng.integers(1, 9, source.shape_zyx).astype(np.uint8)
    reference = as_simpleitk(sitk, np.zeros(target.shape_zyx, np.float32), target)
    for order, method, kind in ((0, sitk.sitkNearestNeighbor, np.uint8), (1, sitk.sitkLinear, np.float32)):
        moved = as_simpleitk(sitk, array.astype(kind), source)
        theirs = sitk.GetArrayFromImage(sitk.Resample(moved, reference, sitk.Transform(), method, 0.0))
        ours = resample(array.astype(kind), source, target, order=order, fill=0)
        assert np.abs(ours.astype(float) - theirs).max() < 1e-5
