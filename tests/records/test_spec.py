from dataclasses import replace
from pathlib import Path

import pytest

from synthdata.errors import ConfigError, SpecError
from synthdata.spec import DicomOutput, load_spec

SHIPPED = Path(__file__).parents[2] / "pipelines" / "datasets" / "phantom-head.yaml"


@pytest.mark.parametrize("path", sorted(SHIPPED.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_specs_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHDATA_REALDATA", "somewhere")
    assert load_spec(path).name == path.stem


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("grid: {", "grids: {", "'grids'"),
        ("preset:", "presets:", "'presets'"),
        ("[hnsf'U]", "HU", 'expected "[hnsf\'U]"'),
        ("shape_zyx: [24, 40, 32]", "shape_zyx: [24, 40]", "a list of 3"),
        ("shape_zyx: [24, 40, 32]", "shape_zyx: [24, 40, 32], padding: mirror", "'mirror'"),
        ("formats: [parquet, dicom, fhir]", "formats: [parquet, dicom], dicom: {enhanced: [DX]}", "'DX'"),
        ("formats: [parquet, dicom, fhir]", "formats: [parquet], dicom: {measurements: true}", "lacks dicom"),
    ],
    ids=["section", "key", "unit", "shape", "padding", "projection", "no DICOM"],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, right: str, wrong: str, named: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert right in text
    path = tmp_path / "phantom-head.yaml"
    path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=r"phantom-head\.yaml:\d+: ") as caught:
        load_spec(path)
    assert named in str(caught.value)
    assert str(caught.value).endswith("mend it there")


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (DicomOutput(enhanced=("CT",)), "names CT, which is no channel's modality"),
        (DicomOutput(measurements=True), "without labels there is nothing to measure"),
    ],
)
def test_dicom_that_cannot_be_written_is_refused(output: DicomOutput, named: str) -> None:
    spec = load_spec(SHIPPED)
    radiograph = replace(spec.channels[0], modality="DX")
    with pytest.raises(ConfigError, match=named):
        replace(
            spec,
            channels=(radiograph,),
            labels={},
            label_codes={},
            release=replace(spec.release, dicom=output),
        )


def test_ct_that_lost_its_units_is_no_dicom() -> None:
    spec = load_spec(SHIPPED)
    lost = tuple(
        replace(channel, unit="1") if channel.modality == "CT" else channel for channel in spec.channels
    )
    with pytest.raises(ConfigError, match="DICOM states CT in Hounsfield units"):
        replace(spec, channels=lost)
    kept = replace(spec, channels=lost, release=replace(spec.release, formats=("parquet",)))
    assert "1" in {channel.unit for channel in kept.channels}


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ("{epsilon: 8, delta: 1.0e-4, clip: 1.0}", "choose plain-flow"),
        ("{epsilon: 8, delta: 2.0}", "one over the training patients"),
        ("{epsilom: 8, delta: 1.0e-4}", "'epsilom'"),
    ],
    ids=["family", "delta", "key"],
)
def test_differential_privacy_is_read_and_refused_where_it_cannot_hold(
    tmp_path: Path, section: str, named: str
) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert "generator: {" in text
    path = tmp_path / "phantom-head.yaml"
    path.write_text(text.replace("generator: {", f"generator: {{differential_privacy: {section}, ", 1))
    with pytest.raises(SpecError, match=r"phantom-head\.yaml:\d+: ") as caught:
        load_spec(path)
    assert named in str(caught.value)
