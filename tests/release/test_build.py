"""What a built release holds, and that it is the same bytes each time."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

from synthdata.errors import GateError, StoreError
from synthdata.records import CopyFilterCounts, Estimate, ReleaseManifest, digest_of, from_json, to_json
from synthdata.records.parquet import read_cases, read_file
from synthdata.release import shards
from synthdata.spec import Gates
from synthdata.storage.folder import FolderStore
from tests.release.builders import GRID, Made, ellipsoid, make, spec_of, tree

KNOWN_FALSE_ALARM = "(0x0008,0x001c)"  # Synthetic Data is newer than Debian's dciodvfy


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {item.name: archive.extractfile(item).read() for item in archive}  # type: ignore[union-attr]


def test_the_manifest_names_every_file_with_its_digest(built: tuple[Path, ReleaseManifest]) -> None:
    folder, manifest = built
    found = tree(folder)
    assert from_json(ReleaseManifest, (folder / "manifest.json").read_bytes()) == manifest
    assert {file.path: file.sha256 for file in manifest.files} == {
        k: v for k, v in found.items() if k != "manifest.json"
    }
    assert {file.role for file in manifest.files} == {
        "cases", "dicom", "nifti", "fhir", "records", "document", "report", "gallery", "evidence",
    }  # fmt: skip


def test_the_gallery_says_what_is_seen_on_it(built: tuple[Path, ReleaseManifest], made: Made) -> None:
    page = (built[0] / "gallery/index.html").read_text()
    assert "Ellipsoids in MR and CT 1.0.0" in page
    assert "Outlines: organ orange, lesion sky blue." in page
    assert 'href="../datasheet.html"' in page
    rows = [row for row in page.split("<tr>") if "<td>SYN-" in row]
    assert len(rows) == made.synthetic.cases
    assert all(
        f"SYN-{number:06d}" in row and f"<td>{30 + number}</td>" in row for number, row in enumerate(rows)
    )


def test_the_same_inputs_give_the_same_bytes(made: Made, private: FolderStore, tmp_path: Path) -> None:
    first = made.build(private, tmp_path / "a")
    second = made.build(private, tmp_path / "elsewhere" / "b")
    assert to_json(first) == to_json(second)
    assert tree(tmp_path / "a") == tree(tmp_path / "elsewhere" / "b")


def test_the_parquet_shards_hold_the_cases_that_were_judged(
    built: tuple[Path, ReleaseManifest], made: Made, private: FolderStore
) -> None:
    with pq.ParquetFile(built[0] / "data/cases-00000.parquet") as file:
        released = list(read_file(file, made.synthetic.columns))
    for case, original in zip(released, read_cases(private, made.synthetic), strict=True):
        assert np.array_equal(case.image, original.image)
        assert np.array_equal(case.mask, original.mask)
        assert dict(case.record) == dict(original.record)


def test_the_index_has_volumes_files_and_digests_and_no_pixels(built: tuple[Path, ReleaseManifest]) -> None:
    rows = pq.read_table(built[0] / "index.parquet").to_pylist()
    case = ellipsoid(1)
    assert rows[1]["case_id"] == "SYN-000001"
    assert rows[1]["lesion_volume_mm3"] == pytest.approx((case.mask == 3).sum() * GRID.voxel_mm3)
    assert rows[1]["image_sha256"] == hashlib.sha256(case.image.tobytes()).hexdigest()
    assert rows[1]["dicom_file"] == "dicom/cases-00000.tar"
    assert not {"image", "mask"} & set(rows[1])


def test_dicom_keeps_voxels_and_geometry_and_is_marked(built: tuple[Path, ReleaseManifest]) -> None:
    files = members(built[0] / "dicom/cases-00000.tar")
    case = ellipsoid(3)
    slices = [pydicom.dcmread(io.BytesIO(files[f"SYN-000003/CT/{z:04d}.dcm"])) for z in range(4)]
    voxels = np.stack([item.pixel_array for item in slices])
    assert np.array_equal(voxels, case.image[1])
    assert np.allclose(
        [float(v) for v in slices[1].ImagePositionPatient], GRID.affine[:3, 3] + [0, 0, 3], atol=1e-6
    )
    for item in (*slices, pydicom.dcmread(io.BytesIO(files["SYN-000003/seg.dcm"]))):
        assert item.SyntheticData == "YES"
        assert item.PatientID == "SYN-000003"
    segmentation = pydicom.dcmread(io.BytesIO(files["SYN-000003/seg.dcm"]))
    frames = np.atleast_3d(segmentation.pixel_array)
    assert frames.sum() == (case.mask > 0).sum()


@pytest.mark.service
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy: apt-get install dicom3tools")
def test_dicom_passes_the_validator(built: tuple[Path, ReleaseManifest], tmp_path: Path) -> None:
    files = members(built[0] / "dicom/cases-00000.tar")
    for name in ("SYN-000001/T1w/0001.dcm", "SYN-000001/CT/0001.dcm", "SYN-000001/seg.dcm"):
        path = tmp_path / Path(name).name
        path.write_bytes(files[name])
        told = subprocess.run(
            ["dciodvfy", str(path)], capture_output=True, text=True, check=False
        ).stderr.splitlines()
        assert any(line.strip() in {"MRImage", "CTImage", "Segmentation"} for line in told)
        wrong = [line for line in told if "Error" in line and KNOWN_FALSE_ALARM not in line.lower()]
        assert wrong == []


def test_nifti_keeps_voxels_and_world(built: tuple[Path, ReleaseManifest]) -> None:
    files = members(built[0] / "nifti/cases-00000.tar")
    case = ellipsoid(2)
    image = nib.Nifti1Image.from_bytes(
        __import__("gzip").decompress(files["sub-SYN000002/anat/sub-SYN000002_T1w.nii.gz"])
    )
    assert np.array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), case.image[0])
    lps = GRID.affine @ [2, 3, 1, 1]  # of voxel z=2, y=3, x=1
    assert np.allclose(image.affine @ [1, 3, 2, 1], lps * [-1, -1, 1, 1])
    sidecar = json.loads(files["sub-SYN000002/anat/sub-SYN000002_T1w.json"])
    assert sidecar["SyntheticData"] is True
    assert sidecar["Record"]["age"] == 32.0


def test_tar_members_have_no_time_and_no_owner(built: tuple[Path, ReleaseManifest]) -> None:
    with tarfile.open(built[0] / "dicom/cases-00000.tar") as archive:
        items = archive.getmembers()
    assert {(item.mtime, item.uid, item.gid, item.uname, item.gname, item.mode) for item in items} == {
        (0, 0, 0, "", "", 0o644)
    }


def test_shards_are_bounded(
    made: Made, private: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_CASES", 2)
    manifest = made.build(private, tmp_path / "a")
    assert sum(file.role == "cases" for file in manifest.files) == 3
    assert sum(file.role == "dicom" for file in manifest.files) == 3


def test_the_datasheet_tells_counts_figures_and_forbidden_uses(built: tuple[Path, ReleaseManifest]) -> None:
    text = (built[0] / "datasheet.md").read_text()
    for words in ("| seen | 9 |", "| quarantined | 1 |", "0.2 [0.1, 0.3] (n = 5)", "Forbidden uses", "Art. 50(2)",
                  "development keys", "Not for diagnosis", "wm-1"):  # fmt: skip
        assert words in text
    page = (built[0] / "datasheet.html").read_text()
    assert "<script" not in page
    assert "http" not in page.split("<body>")[1].replace("https://creativecommons.org/licenses/by/4.0/", "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of mlcroissant's own libraries
def test_croissant_is_valid_and_its_records_can_be_read(built: tuple[Path, ReleaseManifest]) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=built[0] / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    rows = list(dataset.records("cases"))
    assert len(rows) == 6
    assert rows[1]["cases/lesion_count"] == 1
    document = json.loads((built[0] / "croissant.json").read_text())
    digests = {item["@id"]: item["sha256"] for item in document["distribution"]}
    found = tree(built[0])
    assert all(found[name] == digest for name, digest in digests.items())
    assert {"data/cases-00000.parquet", "index.parquet"} <= set(digests)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: replace(made, verdict=replace(made.verdict, outcome="FAIL")), "verdict is FAIL"),
        (lambda made: replace(made, verdict=replace(made.verdict, gates={"privacy": "PASS"})), "expected PASS"),
        (lambda made: replace(made, verdict=replace(made.verdict, synthetic="0" * 64)), "other cases"),
        (lambda made: replace(made, verdict=replace(made.verdict, training_set="0" * 64)), "another training set"),
        (lambda made: replace(made, verdict=replace(made.verdict, thresholds="0" * 64)), "gates were changed"),
        (lambda made: replace(made, utility=replace(made.utility, steps=99)), "utility report is not the one"),
        (lambda made: replace(made, synthetic=replace(made.synthetic, origin="real")), "never holds real cases"),
        (lambda made: replace(made, spec=replace(made.spec, gates=Gates(utility_ratio=0.1))), "gates were changed"),
        (lambda made: replace(made, plan=replace(made.plan, cases=7)), "another checkpoint or another number"),
        (lambda made: replace(made, spec=spec_of(version="1.0")), "expected a semantic one"),
    ],
)  # fmt: skip
def test_a_gate_that_does_not_hold_leaves_nothing(
    made: Made, private: FolderStore, tmp_path: Path, change, words: str
) -> None:
    with pytest.raises(GateError, match=words):
        change(made).build(private, tmp_path / "out" / "a")
    assert not (tmp_path / "out").exists()


def test_what_the_copy_filter_removed_must_be_judged_and_stands_in_the_datasheet(
    made: Made, private: FolderStore, tmp_path: Path
) -> None:
    filtered = replace(made, plan=replace(made.plan, copy_share=1e-4))
    with pytest.raises(GateError, match="does not judge the cases before it"):
        filtered.build(private, tmp_path / "hidden")
    counts = CopyFilterCounts(
        share=1e-4,
        judged=6,
        removed=1,
        draws=2,
        kept=0,
        before=Estimate(value=1 / 6, low=0.0, high=0.64, n=6),
    )
    privacy = replace(made.privacy, copy_filter=counts)
    verdict = replace(made.verdict, reports={**made.verdict.reports, "privacy": digest_of(privacy)})
    replace(filtered, privacy=privacy, verdict=verdict).build(private, tmp_path / "told")
    told = "removed by the copy filter: 1 of 6 cases (2 draws); rate before filtering 0.167 [0, 0.64]"
    assert told in (tmp_path / "told" / "datasheet.md").read_text()
    assert told in (tmp_path / "told" / "datasheet.html").read_text()


def test_a_real_looking_id_is_never_released(
    private: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.release.builders.ellipsoids",
        lambda count: (replace(ellipsoid(i), patient_id="P-1") for i in range(count)),
    )
    made = make(private)
    with pytest.raises(GateError, match="does not start with SYN-"):
        made.build(private, tmp_path / "out" / "a")
    assert not any((tmp_path / "out").iterdir())


def test_a_folder_with_other_files_is_left_alone(made: Made, private: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="holds other files"):
        made.build(private, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("source", "licence", "attribution", "words"),
    [
        ("CC-BY-SA-4.0", "CC-BY-4.0", "them", "asks for CC-BY-SA-4.0"),
        ("CC-BY-NC-4.0", "CC-BY-4.0", "them", "asks for CC-BY-NC-4.0 or"),
        ("CC-BY-NC-SA-4.0", "CC-BY-NC-4.0", "them", "asks for CC-BY-NC-SA-4.0"),
        ("CC-BY-ND-4.0", "CC-BY-4.0", "them", "does not allow a public release"),
        ("LicenseRef-research-only", "CC-BY-NC-4.0", "them", "does not allow a public release"),
        ("", "CC-BY-4.0", "them", "is not known here"),
        ("CC-BY-4.0", "CC-BY-4.0", "", "attribution is empty"),
        ("CC-BY-4.0", "CC0-1.0", "them", "drops the attribution"),
        ("CC0-1.0", "all rights reserved", "", "expected one of"),
    ],
)
def test_a_licence_that_the_source_forbids_is_refused(
    made: Made, private: FolderStore, tmp_path: Path, source: str, licence: str, attribution: str, words: str
) -> None:
    spec = spec_of(source_licence=source, licence=licence, attribution=attribution)
    spec = replace(spec, source=replace(spec.source, kind="folder", uri="scans"))
    with pytest.raises(GateError, match=words):
        replace(made, spec=spec).build(private, tmp_path / "a")


def test_a_share_alike_source_may_be_released_alike(made: Made, private: FolderStore, tmp_path: Path) -> None:
    spec = spec_of(source_licence="CC-BY-SA-4.0", licence="CC-BY-SA-4.0", attribution="A. Author")
    spec = replace(spec, source=replace(spec.source, kind="folder", uri="scans"))
    assert replace(made, spec=spec).build(private, tmp_path / "a").licence == "CC-BY-SA-4.0"
    assert "A. Author" in (tmp_path / "a" / "LICENSE.txt").read_text()
