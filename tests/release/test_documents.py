"""Change log, citation, BIDS-like head, FHIR records, licences at load: what comes with the images."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import yaml

from synthdata.errors import SpecError
from synthdata.records import ReleaseManifest
from synthdata.records.parquet import commit_shards
from synthdata.release import publish
from synthdata.release.changes import compare, previous_release
from synthdata.release.trust import ReleaseSigner, recall
from synthdata.spec import load_spec
from synthdata.storage.folder import FolderStore
from tests.release.builders import Made, ellipsoid, spec_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_first_version_says_that_it_is_the_first(built: tuple[Path, ReleaseManifest]) -> None:
    assert "The first version of this dataset" in (built[0] / "CHANGES.md").read_text()
    assert not (built[0] / "changes.parquet").exists()


def test_a_change_log_names_each_case_and_why(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    previous = previous_release(published, signer, "ellipsoids", "2.0.0")
    assert previous is not None
    other = replace(
        ellipsoid(3), record={**ellipsoid(3).record, "age": 71.5}, mask=np.zeros_like(ellipsoid(3).mask)
    )
    cases = [ellipsoid(1), ellipsoid(2), other, ellipsoid(4), ellipsoid(5), ellipsoid(6)]
    synthetic = replace(made.synthetic, shards=commit_shards(private, made.synthetic, "synthetic", cases))
    from synthdata.release.shards import ShardWriter, profile_of

    (tmp_path / "next").mkdir()
    profile = profile_of(
        synthetic, made.training_set.scales, version="2.0.0", title="t", body_part="HEAD", codes={}
    )
    with ShardWriter(tmp_path / "next", synthetic, profile, formats=()) as writer:
        writer.write(cases)
    provenance = {**previous.manifest.provenance, "synthetic": "0" * 64, "checkpoint": "1" * 64}
    rows = compare(previous, pq.read_table(tmp_path / "next" / "index.parquet"), provenance).to_pylist()
    why = "the cases were drawn again; the generator was trained again"
    assert rows == [
        {"case_id": "SYN-000000", "change": "removed", "reason": why},
        {"case_id": "SYN-000003", "change": "changed", "reason": f"mask, record column age: {why}"},
        {"case_id": "SYN-000006", "change": "added", "reason": why},
    ]


def test_a_recall_of_the_version_before_is_the_reason(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    recall(published, signer, "ellipsoids", "1.0.0", "wrong side")
    previous = previous_release(published, signer, "ellipsoids", "1.0.1")
    manifest = replace(made, spec=spec_of(version="1.0.1")).build(private, tmp_path / "a", previous=previous)
    text = (tmp_path / "a" / "CHANGES.md").read_text()
    assert "Changes since 1.0.0" in text
    assert "1.0.0 was recalled: wrong side" in text
    assert "| unchanged | 6 |" in text
    assert any(file.path == "changes.parquet" for file in manifest.files)
    publish(tmp_path / "a", manifest, published, signer=signer)
    assert previous_release(published, signer, "ellipsoids", "1.0.0") is None
    assert previous_release(published, signer, "heads", "9.0.0") is None


def test_the_citation_file_is_yaml_with_what_it_must_have(built: tuple[Path, ReleaseManifest]) -> None:
    found = yaml.safe_load((built[0] / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    assert (found["type"], found["version"], found["license"]) == ("dataset", "1.0.0", "CC-BY-4.0")


def test_the_code_of_a_label_stands_in_the_segmentation_the_croissant_and_the_datasheet(
    made: Made, private: FolderStore, tmp_path: Path
) -> None:
    intake = replace(made.intake, label_codes={"lesion": "52988006|Lesion", "organ": "1|Another"})
    replace(made, intake=intake).build(private, tmp_path / "out")
    fields = json.loads((tmp_path / "out" / "croissant.json").read_text())["recordSet"][0]["field"]
    said = {field["name"]: field["description"] for field in fields}
    assert said["organ_volume_mm3"] == "Volume of organ (SNOMED CT 12738006, Brain), in mm3"  # the spec's
    assert said["lesion_volume_mm3"] == "Volume of lesion (SNOMED CT 52988006, Lesion), in mm3"  # the scans'
    assert "lesion (SNOMED CT 52988006, Lesion) = " in (tmp_path / "out" / "datasheet.md").read_text()
    with tarfile.open(tmp_path / "out" / "dicom/cases-00000.tar") as archive:
        names = [name for name in archive.getnames() if name.startswith("SYN-000001/")]
        read = [pydicom.dcmread(io.BytesIO(archive.extractfile(name).read())) for name in names]  # type: ignore[union-attr]
    (segmentation,) = (dataset for dataset in read if dataset.Modality == "SEG")
    kinds = {
        item.SegmentLabel: item.SegmentedPropertyTypeCodeSequence[0] for item in segmentation.SegmentSequence
    }
    assert (kinds["lesion"].CodeValue, kinds["lesion"].CodeMeaning) == ("52988006", "Lesion")
    assert kinds["organ"].CodeValue == "12738006"


def test_the_nifti_tree_begins_as_bids_does(built: tuple[Path, ReleaseManifest]) -> None:
    found = json.loads((built[0] / "nifti/dataset_description.json").read_text())
    assert {"Name", "BIDSVersion", "GeneratedBy"} <= set(found)
    lines = (built[0] / "nifti/participants.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["participant_id", "age", "sex", "lesion_count"]
    assert lines[2].split("\t") == ["sub-SYN000001", "31.0", "M", "1"]


def test_fhir_records_hold_the_record_the_volumes_and_the_study_of_the_images(
    built: tuple[Path, ReleaseManifest],
) -> None:
    lines = [json.loads(line) for line in (built[0] / "records/cases-00000.ndjson").read_text().splitlines()]
    assert all(line["meta"]["tag"][0]["code"] == "HTEST" for line in lines)
    ids = [(line["resourceType"], line["id"]) for line in lines]
    assert len(set(ids)) == len(ids)
    patients = {line["id"]: line for line in lines if line["resourceType"] == "Patient"}
    assert len(patients) == 6
    assert patients["SYN-000001"]["gender"] == "male"
    mine = [line for line in lines if line.get("subject", {}).get("reference") == "Patient/SYN-000001"]
    values = {line["code"]["text"]: line for line in mine if line["resourceType"] == "Observation"}
    assert values["Age"]["valueQuantity"] == {
        "value": 31.0, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"
    }  # fmt: skip
    assert values["Number of lesions"]["valueInteger"] == 1
    organ = values["Volume of organ in the synthetic mask"]
    assert organ["bodySite"]["coding"][0]["code"] == "12738006"
    study = next(line for line in mine if line["resourceType"] == "ImagingStudy")
    index = pq.read_table(built[0] / "index.parquet").to_pylist()
    assert organ["valueQuantity"]["value"] == index[1]["organ_volume_mm3"]
    assert [series["modality"]["code"] for series in study["series"]] == ["MR", "CT"]
    with tarfile.open(built[0] / "dicom/cases-00000.tar") as archive:
        dataset = pydicom.dcmread(io.BytesIO(archive.extractfile("SYN-000001/CT/0000.dcm").read()))  # type: ignore[union-attr]
    assert study["identifier"][0]["value"] == f"urn:oid:{dataset.StudyInstanceUID}"
    assert study["series"][1]["uid"] == dataset.SeriesInstanceUID


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("{licence: CC-BY-4.0, source_licence: CC-BY-NC-4.0, attribution: A}", "asks for CC-BY-NC-4.0 or"),
        ("{licence: CC-BY-4.0, source_licence: CC-BY-SA-4.0, attribution: A}", "asks for CC-BY-SA-4.0"),
        ("{licence: CC-BY-SA-4.0, source_licence: CC-BY-ND-4.0, attribution: A}", "does not allow"),
        ("{licence: CC-BY-SA-4.0, source_licence: CC-BY-SA-4.0}", "attribution is empty"),
        ("{licence: mine}", "expected one of"),
    ],
)
def test_a_licence_that_cannot_be_kept_is_refused_when_the_spec_is_read(
    tmp_path: Path, release: str, words: str
) -> None:
    text = (ROOT / "pipelines/datasets/hippocampus-mr.yaml").read_text()
    head, _, tail = text.partition("\nrelease:")
    rest = [line for line in tail.splitlines()[1:] if line and not line.startswith(" ")]
    path = tmp_path / "mine.yaml"
    path.write_text(f"{head}\nrelease: {release}\n" + "\n".join(rest))
    with pytest.raises(SpecError, match=words) as caught:
        load_spec(path)
    assert f"mine.yaml:{head.count(chr(10)) + 2}: " in str(caught.value)
