"""Cases come onto the training grid without loss where that is possible, and their encoding can be undone."""

import numpy as np
import pytest

from synthdata.preparation.intensity import MARGIN, decode, encode, native_range, scale_of
from synthdata.preparation.regrid import apply_regrid, plan_regrid, target_grid
from synthdata.records import Grid
from synthdata.spec import Channel, GridSpec

SPEC = GridSpec(shape_zyx=(4, 6, 8), spacing_mm=(2.0, 1.0, 1.0))


def test_the_target_grid_is_axial_and_centred_at_zero() -> None:
    assert target_grid(SPEC).corners().mean(axis=0) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("shape", [(4, 6, 8), (7, 9, 11), (2, 3, 5), (3, 20, 4)])
def test_equal_spacing_crops_and_pads_by_whole_voxels(shape) -> None:
    array = np.arange(1, np.prod(shape) + 1, dtype=np.int32).reshape(shape)
    plan = plan_regrid(Grid(shape_zyx=shape, spacing_mm=SPEC.spacing_mm), SPEC)
    moved = apply_regrid(array, plan, order=0, fill=0)
    kept = moved[moved > 0]
    assert set(kept) <= set(array.ravel())
    assert len(kept) == np.prod(np.minimum(shape, SPEC.shape_zyx))


def test_a_volume_stored_sagittally_is_turned_to_head_back_and_left() -> None:
    axial = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    stored = axial.transpose(2, 0, 1)[:, ::-1]  # array axes: left, feet, back
    grid = Grid(
        shape_zyx=stored.shape,
        spacing_mm=(1.0, 2.0, 1.0),
        direction=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0),
    )
    np.testing.assert_array_equal(apply_regrid(stored, plan_regrid(grid, SPEC), order=1, fill=0), axial)


def test_a_single_slice_keeps_its_axes() -> None:
    spec = GridSpec(shape_zyx=(1, 6, 8), spacing_mm=(1.0, 1.0, 1.0))
    image = np.arange(48, dtype=np.int16).reshape(1, 6, 8)
    plan = plan_regrid(Grid(shape_zyx=(1, 6, 8), spacing_mm=(9.0, 1.0, 1.0)), spec)
    np.testing.assert_array_equal(apply_regrid(image, plan, order=0, fill=0), image)


@pytest.mark.parametrize("spacing_mm", [1.0, 0.7], ids=["copied", "interpolated"])
def test_beyond_the_field_of_view_the_nearest_voxel_is_repeated_where_asked(spacing_mm: float) -> None:
    volume = np.random.default_rng(0).uniform(5, 9, (4, 6, 8)).astype(np.float32)
    grid = Grid(shape_zyx=volume.shape, spacing_mm=(spacing_mm,) * 3)
    plan = plan_regrid(grid, GridSpec(shape_zyx=(4, 6, 20), spacing_mm=(1.0, 1.0, 1.0), padding="edge"))
    moved = apply_regrid(volume, plan, order=1, fill=None)
    assert moved.min() >= 5  # no black frame
    assert np.array_equal(moved[:, :, 0], moved[:, :, 1])
    assert np.array_equal(moved[:, :, -1], moved[:, :, -2])


def test_resampling_keeps_the_centre_of_mass_of_a_ball() -> None:
    spec = GridSpec(shape_zyx=(20, 20, 20), spacing_mm=(2.0, 2.0, 2.0))
    z, y, x = np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij")
    ball = ((z - 4) ** 2 + (y + 6) ** 2 + x**2 < 64).astype(np.float32) * 100
    plan = plan_regrid(Grid(shape_zyx=(40, 40, 40), spacing_mm=(1.0, 1.0, 1.0)), spec)
    moved = apply_regrid(ball, plan, order=1, fill=0)
    index = np.stack(np.meshgrid(*[(np.arange(20) - 9.5) * 2] * 3, indexing="ij"))
    assert (index * moved).sum(axis=(1, 2, 3)) / moved.sum() == pytest.approx([4, -6, 0], abs=0.15)
    assert moved.sum() * 8 == pytest.approx(ball.sum(), rel=0.02)


def test_percentiles_can_be_undone_to_half_a_step() -> None:
    rng = np.random.default_rng(0)
    scale = scale_of(Channel(name="T1w", modality="MR", percentiles=(0, 100)))
    volume = rng.normal(5e5, 1e5, (8, 9, 10)).astype(np.float32)
    native = native_range(volume, scale)
    encoded = encode(volume, native, scale)
    assert encoded.dtype == np.int16
    assert (encoded.min(), encoded.max()) == (0, 1000)
    half_a_step = 0.5 * (native[1] - native[0]) / 1000
    assert np.abs(decode(encoded, native, scale) - volume).max() <= half_a_step * 1.001


def test_values_beyond_the_percentiles_are_clipped_to_the_margin() -> None:
    scale = scale_of(Channel(name="T1w", modality="MR", percentiles=(10, 90)))
    volume = np.linspace(0, 100, 101).reshape(1, 1, 101)
    encoded = encode(volume, native_range(volume, scale), scale)
    assert (encoded.min(), encoded.max()) == (-MARGIN, 1000 + MARGIN)


def test_a_window_keeps_hounsfield_units() -> None:
    scale = scale_of(Channel(name="CT", modality="CT", unit="[hnsf'U]", window=(-100, 200)))
    volume = np.array([[[-1000, -100, 35, 200, 3000]]])
    np.testing.assert_array_equal(
        encode(volume, native_range(volume, scale), scale), [[[-100, -100, 35, 200, 200]]]
    )


def test_a_constant_or_broken_volume_has_no_range() -> None:
    scale = scale_of(Channel(name="T1w", modality="MR"))
    assert native_range(np.ones((2, 2, 2)), scale) is None
    assert native_range(np.array([[[1.0, np.nan]]]), scale) is None
