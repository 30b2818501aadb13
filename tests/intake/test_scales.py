"""Stored numbers to values: which scale serves which channel, what padding becomes, which spacing counts."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from synthdata.intake.frames import spacing_of
from synthdata.intake.pixel_plan import PixelPlan
from synthdata.intake.pixels import narrow, values_of
from synthdata.intake.scales import HOUNSFIELD, Scale, scale_for, scales_of


def dataset(**values) -> Dataset:
    result = Dataset()
    for keyword, value in values.items():
        setattr(result, keyword, value)
    return result


def real_world(unit: str, slope: float, first: int = 0, last: int = 4095) -> Dataset:
    units = dataset(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)
    item = dataset(
        RealWorldValueSlope=slope, RealWorldValueIntercept=0.5, MeasurementUnitsCodeSequence=[units]
    )
    item.add_new("RealWorldValueFirstValueMapped", "US", first)
    item.add_new("RealWorldValueLastValueMapped", "US", last)
    return item


def plan(**changes) -> PixelPlan:
    facts = {"offset": 0, "dtype": "<u2", "shape_yx": (1, 4), "tiles": 0, "bits_stored": 12}
    return PixelPlan(**{**facts, "unused_low_bits": 0, "inverted": False, "padding": None, **changes})


def test_a_channel_with_a_unit_gets_the_real_world_map_of_that_unit_and_no_other() -> None:
    header = dataset(RescaleSlope=2, RescaleIntercept=1, RescaleType="US")
    header.RealWorldValueMappingSequence = [real_world("ms", 0.25), real_world("mm2/s", 1e-6)]
    scales = scales_of(header, "MR")
    assert (scale_for(scales, "1").slope, scale_for(scales, "ms").slope) == (2, 0.25)
    assert scale_for(scales, "mm2/s").intercept == 0.5
    assert scale_for(scales, "s") is None
    values, padded = values_of(np.array([0, 4, 4095], np.uint16), plan(), scale_for(scales, "ms"))
    assert padded is None
    assert values.tolist() == [0.5, 1.5, 1024.25]


def test_a_number_outside_a_real_world_map_has_no_value_unless_it_is_padding() -> None:
    header = dataset(RealWorldValueMappingSequence=[real_world("ms", 1.0, last=100)])
    scale = scale_for(scales_of(header, "MR"), "ms")
    numbers = np.array([5, 4000], np.uint16)
    assert values_of(numbers, plan(), scale) is None
    values, padded = values_of(numbers, plan(padding=(3999, 4095)), scale)
    assert (values[0], padded.tolist()) == (5.5, [False, True])


@pytest.mark.parametrize(("kind", "is_hu"), [("HU", True), ("US", True), ("", True), ("Z_EFF", False)])
def test_hounsfield_units_need_a_rescale_of_that_type(kind, is_hu) -> None:
    header = dataset(RescaleSlope=1, RescaleIntercept=-1024, RescaleType=kind)
    assert (scale_for(scales_of(header, "CT"), HOUNSFIELD) is not None) == is_hu
    assert scale_for(scales_of(dataset(), "CT"), HOUNSFIELD) is None


@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_turns_the_range_of_the_stored_bits_around(signed) -> None:
    numbers = np.array([-2048, 0, 2047], np.int16) if signed else np.array([0, 1, 4095], np.uint16)
    values, _ = values_of(numbers, plan(inverted=True), Scale(unit="1", slope=1.0, intercept=0.0))
    expected = [2047, -1, -2048] if signed else [4095, 4094, 0]
    assert values.tolist() == expected


def test_a_calibrated_spacing_is_used_before_that_of_the_detector() -> None:
    detector = dataset(ImagerPixelSpacing=[0.2, 0.3])
    assert spacing_of(detector) == (0.2, 0.3)
    detector.PixelSpacing = [0.15, 0.25]
    assert spacing_of(detector) == (0.15, 0.25)
    assert spacing_of(dataset(NominalScannedPixelSpacing=[0.1, 0.1])) == (0.1, 0.1)
    assert spacing_of(dataset()) is None


@pytest.mark.parametrize("slope", [1e38, 1e15, 1e6, 40_000.0, 3.0])
@pytest.mark.parametrize("intercept", [0.0, -1e12, 1e30])
def test_large_whole_scales_neither_overflow_nor_turn_around(slope, intercept) -> None:
    numbers = np.array([0, 1, 65535], np.uint16)
    values, _ = values_of(numbers, plan(bits_stored=16), Scale(unit="1", slope=slope, intercept=intercept))
    assert values.astype(float).tolist() == pytest.approx(
        [slope * n + intercept for n in (0, 1, 65535)], rel=1e-12
    )


def test_values_that_float32_does_not_hold_are_no_image() -> None:
    assert narrow(np.array([1e39, 0.5])) is None
    assert narrow(np.array([1e38, 0.5])) is not None
