"""The shipped specs of the phantom say what the phantom gives."""

from pathlib import Path

import pytest

from synthdata.dicom.codes import split_code
from synthdata.phantom import draw_patient, law, render, volume_grid
from synthdata.phantom.study import LABEL_CODES, MODALITIES
from synthdata.spec import load_spec

DATASETS = Path(__file__).parents[2] / "pipelines" / "datasets"


@pytest.mark.parametrize("name", ["phantom-head", "phantom-mr-ct", "phantom-xray"])
def test_spec_and_phantom_agree(name: str) -> None:
    spec = load_spec(DATASETS / f"{name}.yaml")
    channels = [channel.name for channel in spec.channels]
    rendering = render(
        draw_patient(spec.source.phantom.seed, 0),
        channels,
        volume_grid(spec.grid.shape_zyx, spec.grid.spacing_mm),
    )
    assert dict(spec.labels) == dict(rendering.labels)
    assert {channel.name: channel.modality for channel in spec.channels} == {
        channel: MODALITIES[channel] for channel in channels
    }
    assert {label: LABEL_CODES[label] for label in spec.labels} == dict(spec.label_codes)
    assert all(split_code(code) for code in spec.label_codes.values())
    assert {column.name for column in spec.clinical} <= set(rendering.record)
    assert all(size % 4 == 0 for size in spec.grid.shape_zyx if size > 1)


def test_the_ranges_of_the_columns_hold_every_patient() -> None:
    spec = load_spec(DATASETS / "phantom-head.yaml")
    columns = {column.name: column for column in spec.clinical}
    assert (columns["age"].minimum, columns["age"].maximum) == law.AGE_YEARS
    assert set(columns["diagnosis"].values) == set(law.DIAGNOSES)
    biggest = law.expected_ventricle_ml(law.AGE_YEARS[1], "M") * 2.718 ** (3 * law.VENTRICLE_LOG_SD)
    assert biggest < (columns["ventricle_volume_ml"].maximum or 0)
