"""Consensus values of the IBSI-1 digital phantom (Zwanenburg et al., Radiology 2020)."""

import numpy as np
import pytest
from scipy import ndimage

from synthdata.validation.features.cooccurrence import DIRECTIONS, cooccurrence_features
from synthdata.validation.features.first_order import first_order, histogram
from synthdata.validation.features.neighbourhood import neighbourhood_features
from synthdata.validation.features.runs_zones import (
    run_length_features,
    run_lengths,
    size_zone_features,
    size_zones,
)
from synthdata.validation.features.shape import face_surface_mm2, shape_features

PHANTOM = np.array(  # (z, y, x); 0 is outside the region of 74 voxels of 2 mm
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
CONSENSUS = {
    "first_order": {
        "mean": 2.15, "variance": 3.05, "skewness": 1.08, "kurtosis": -0.355, "median": 1, "minimum": 1,
        "p10": 1, "p90": 4, "maximum": 6, "interquartile_range": 3, "range": 5, "mean_absolute_deviation":
        1.55, "robust_mean_absolute_deviation": 1.11, "median_absolute_deviation": 1.15, "energy": 567,
        "root_mean_square": 2.77,
    },
    "histogram": {"entropy": 1.27, "uniformity": 0.512},
    "cooccurrence": {
        "joint_maximum": 0.509, "joint_average": 2.15, "joint_variance": 3.13, "joint_entropy": 2.57,
        "difference_average": 1.38, "difference_variance": 3.21, "difference_entropy": 1.64, "sum_entropy":
        2.11, "angular_second_moment": 0.291, "contrast": 5.12, "inverse_difference": 0.688,
        "inverse_difference_moment": 0.631, "inverse_variance": 0.0574, "correlation": 0.183,
        "autocorrelation": 5.19, "cluster_tendency": 7.41, "cluster_shade": 17.4, "cluster_prominence": 147,
        "information_correlation_1": -0.0288, "information_correlation_2": 0.269,
    },
    "run_length": {
        "small_emphasis": 0.729, "large_emphasis": 2.76, "low_level_emphasis": 0.607, "high_level_emphasis":
        9.64, "small_low_emphasis": 0.372, "small_high_emphasis": 8.67, "large_low_emphasis": 2.16,
        "large_high_emphasis": 15.6, "level_non_uniformity": 281, "level_non_uniformity_normalised": 0.43,
        "size_non_uniformity": 328, "size_non_uniformity_normalised": 0.501, "percentage": 0.68,
        "level_variance": 3.48, "size_variance": 0.598, "entropy": 2.62,
    },
    "size_zone": {
        "small_emphasis": 0.255, "large_emphasis": 550, "low_level_emphasis": 0.253, "high_level_emphasis":
        15.6, "small_low_emphasis": 0.0256, "small_high_emphasis": 2.76, "large_low_emphasis": 503,
        "large_high_emphasis": 1495, "level_non_uniformity": 1.4, "level_non_uniformity_normalised": 0.28,
        "size_non_uniformity": 1, "size_non_uniformity_normalised": 0.2, "percentage": 0.0676,
        "level_variance": 2.64, "size_variance": 331, "entropy": 2.32,
    },
    "neighbourhood": {
        "coarseness": 0.0296, "contrast": 0.584, "busyness": 6.54, "complexity": 13.5, "strength": 0.763,
    },
    "shape": {
        "volume_mm3": 592, "major_axis_mm": 11.4, "minor_axis_mm": 9.31, "least_axis_mm": 8.54, "elongation":
        0.816, "flatness": 0.749,
    },
}  # fmt: skip


def measured(family: str) -> dict[str, float]:
    inside = PHANTOM[PHANTOM > 0]
    return {
        "first_order": lambda: first_order(inside),
        "histogram": lambda: histogram(inside, 6),
        "cooccurrence": lambda: cooccurrence_features(PHANTOM, 6),
        "run_length": lambda: run_length_features(PHANTOM, 6),
        "size_zone": lambda: size_zone_features(PHANTOM),
        "neighbourhood": lambda: neighbourhood_features(PHANTOM, 6),
        "shape": lambda: shape_features(PHANTOM > 0, (2.0, 2.0, 2.0)),
    }[family]()


@pytest.mark.parametrize("family", CONSENSUS)
def test_features_of_the_digital_phantom_have_their_consensus_values(family: str) -> None:
    got = measured(family)
    wrong = {
        name: (got[name], want)
        for name, want in CONSENSUS[family].items()
        if got[name] != pytest.approx(want, rel=5.1e-3, abs=5.1e-4)  # consensus has three digits
    }
    assert not wrong


def test_a_single_slice_and_a_constant_region_give_finite_features() -> None:
    for levels in (np.ones((1, 4, 5), int), np.ones((1, 1, 1), int), PHANTOM[:1]):
        for features in (
            cooccurrence_features,
            run_length_features,
            neighbourhood_features,
        ):
            assert np.isfinite(list(features(levels, 6).values())).all()
        assert np.isfinite(list(size_zone_features(levels).values())).all()


def test_the_surface_of_a_box_is_that_of_its_faces() -> None:
    box = np.zeros((5, 6, 7), bool)
    box[1:3, 1:4, 1:5] = True  # 2 x 3 x 4 voxels of 1 x 2 x 3 mm: 2 x 6 x 12 mm
    assert face_surface_mm2(box, (1, 2, 3)) == pytest.approx(2 * (2 * 6 + 2 * 12 + 6 * 12))


def test_zones_and_runs_of_any_region_are_those_found_voxel_by_voxel() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 1), (1, 5, 6), (4, 1, 5), (5, 6, 7), (3, 9, 2), (6, 6, 6)):
        for kinds in (1, 2, 3):
            levels = rng.integers(0, kinds + 1, shape)
            levels.flat[0] = 1
            assert sorted(map(tuple, size_zones(levels))) == sorted(zones_by_label(levels))
            assert (run_lengths(levels, kinds) == runs_by_walking(levels, kinds)).all()


def zones_by_label(levels: np.ndarray) -> list[tuple[int, int]]:
    found = []
    for level in range(1, levels.max() + 1):
        zones, _ = ndimage.label(levels == level, np.ones((3, 3, 3)))
        found += [(level, int(size)) for size in np.bincount(zones.ravel())[1:]]
    return found


def runs_by_walking(levels: np.ndarray, count: int) -> np.ndarray:
    framed = np.pad(levels, 1)
    able = [
        d for d in DIRECTIONS if all(size > 1 or not step for step, size in zip(d, levels.shape, strict=True))
    ]
    total = np.zeros((count, max(levels.shape)), int)
    for direction in able or [(0, 0, 1)]:
        for start in np.argwhere(framed):
            level, place, length = framed[tuple(start)], start, 0
            if framed[tuple(start - direction)] == level:
                continue
            while framed[tuple(place)] == level:
                place, length = place + direction, length + 1
            total[level - 1, length - 1] += 1
    return total


def test_integers_that_are_counted_have_the_statistics_of_the_same_numbers_sorted() -> None:
    values = np.random.default_rng(1).integers(-900, 1200, 5001).astype(np.int16)
    counted, sorted_ = first_order(values), first_order(values.astype(np.float64))
    assert counted == pytest.approx(sorted_, rel=1e-12)
    low, high = np.percentile(values, (10, 90))
    inner = values[(values >= low) & (values <= high)]
    assert counted["p10"] == pytest.approx(low)
    assert counted["robust_mean_absolute_deviation"] == pytest.approx(np.abs(inner - inner.mean()).mean())


def test_axes_of_a_region_follow_the_covariance_of_its_voxels() -> None:
    region = np.random.default_rng(2).random((5, 7, 6)) < 0.3
    points = np.argwhere(region) * (2.0, 1.0, 0.5)
    lengths = 4 * np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
    got = shape_features(region, (2.0, 1.0, 0.5))
    assert [got[f"{axis}_axis_mm"] for axis in ("least", "minor", "major")] == pytest.approx(lengths)
    assert [got[f"centre_{axis}_mm"] for axis in "zyx"] == pytest.approx(points.mean(axis=0))
