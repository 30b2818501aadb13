"""PNG, NPZ and NIfTI sets with a table, and BIDS trees."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from synthdata.errors import SourceError
from synthdata.intake import inventory, listing, take_in
from synthdata.records import digest_of
from synthdata.records.case_set import ColumnSpec
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel, GridSpec, RareCombinations, Source

FINDING = ColumnSpec(name="finding", kind="category", values=("normal", "pneumonia"))
FLAT = GridSpec(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 0.5, 0.5))


def picture(path: Path, seed: int, mode: str = "L", **options) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 255, (8, 6)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if mode == "grey RGBA":
        image = Image.merge("RGBA", [image, image, image, Image.new("L", image.size, 255)])
    elif mode == "colour":
        image = Image.merge("RGB", [image, image.transpose(Image.Transpose.ROTATE_180), image])
    elif mode == "16":
        image = Image.fromarray(values.astype(np.uint16) * 100)
    image.save(path, format="PNG", **options)
    return values


def volume(path: Path, seed: int, shape=(6, 8, 5), *, mask: bool = False) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 2 if mask else 900, shape).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return values


def table_spec(build, channels=("XR",), **changes):
    source = Source(
        kind="folder", uri="unused", format="table", clinical="labels.csv", **changes.pop("source", {})
    )
    made = tuple(Channel(name=name, modality="CR" if name == "XR" else "MR") for name in channels)
    return build.spec(**{"source": source, "channels": made, "grid": FLAT, **changes})


def take(build, spec, scans, private):
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    assert report.accepted + report.quarantined + report.refused == report.seen
    return report


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def test_a_png_set_with_a_table_keeps_pixels_patients_and_findings(build, scans, private) -> None:
    modes = ("L", "grey RGBA", "16")
    values = [picture(scans / f"images256/{index}.png", index, mode) for index, mode in enumerate(modes)]
    (scans / "labels.csv").write_text(
        "file,patientid,finding,url\n0.png,7,normal,x\n1.png,7,pneumonia,y\n2.png,8,Normal,z\n"
    )
    source = {"images": "images256", "columns": {"XR": "file", "patient": "patientid"}}
    report = take(build, table_spec(build, source=source, clinical=(FINDING,)), scans, private)
    assert (report.cases.cases, report.patients, report.accepted) == (3, 2, 4)
    found = {tuple(np.ravel(case.image)[:6].tolist()): case for case in read_cases(private, report.cases)}
    for index, expected in enumerate(values):
        factor = 100 if modes[index] == "16" else 1
        case = found[tuple((np.ravel(expected)[:6].astype(int) * factor).tolist())]
        assert np.array_equal(case.image[0, 0], expected.astype(int) * factor)
        assert case.record["finding"] == ("normal", "pneumonia", "normal")[index]
        assert case.grid.spacing_mm == FLAT.spacing_mm


def test_pairs_and_masks_of_a_set_lie_on_one_grid(build, scans, private) -> None:
    for index in range(2):
        volume(scans / f"{index}/t1.nii.gz", index)
        volume(scans / f"{index}/flair.nii.gz", index + 9)
        volume(scans / f"{index}/lesion.nii", index, mask=True)
    rows = "".join(
        f"{index}/t1.nii.gz,{index}/flair.nii.gz,{index}/lesion.nii,{index}\n" for index in range(2)
    )
    (scans / "labels.csv").write_text("T1w,FLAIR,mask,patient\n" + rows)
    spec = table_spec(
        build,
        ("T1w", "FLAIR"),
        source={"images": ".", "masks": "."},
        labels={"lesion": 1},
        grid=build.spec().grid,
    )
    report = take(build, spec, scans, private)
    cases = list(read_cases(private, report.cases))
    assert [case.image.shape for case in cases] == [(2, 5, 8, 6)] * 2
    assert all(case.mask.any() for case in cases)


def test_what_does_not_fit_is_held_with_its_reason_and_the_rest_is_taken(build, scans, private) -> None:
    picture(scans / "images/0.png", 1)
    picture(scans / "images/colour.png", 2, "colour")
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "Mr. John Doe, born 12.03.1961")
    picture(scans / "images/told.png", 3, pnginfo=told)
    picture(scans / "images/unlisted.png", 4)
    (scans / "images/cut.png").write_bytes((scans / "images/0.png").read_bytes()[:60])
    (scans / "images/nothing.txt").write_text("no image")
    np.savez(scans / "images/one.npz", np.arange(48).reshape(8, 6))
    names = ("0.png", "colour.png", "told.png", "cut.png", "one.npz", "absent.png", "../../etc/passwd")
    rows = "".join(f"{name},{index},normal\n" for index, name in enumerate(names))
    (scans / "labels.csv").write_text(f"file,patient,finding\n{rows}")
    report = take(build, table_spec(build, clinical=(FINDING,)), scans, private)
    assert report.cases.cases == 2
    assert codes(report) == {
        "pixels.colour": 1,
        "deid.text_pattern": 1,
        "file.outside": 1,
        "file.malformed": 1,
        "file.not_an_image": 1,
        "clinical.row_without_images": 2,
    }


def test_a_rare_record_of_a_set_is_moved_to_where_others_are(build, scans, private) -> None:
    ages = [50] * 11 + [88]
    for index in range(len(ages)):
        picture(scans / f"images/{index}.png", index)
    rows = "".join(f"{index}.png,{index},{age}\n" for index, age in enumerate(ages))
    (scans / "labels.csv").write_text(f"file,patient,age\n{rows}")
    spec = table_spec(build, clinical=(build.age,), rare=RareCombinations(k=5, least_patients=10))
    report = take(build, spec, scans, private)
    found = sorted(case.record["age"] for case in read_cases(private, report.cases))
    assert len(found) == 12
    assert found[-1] < 60


def test_a_table_without_its_columns_is_a_sentence(build, scans, private) -> None:
    picture(scans / "images/0.png", 1)
    (scans / "labels.csv").write_text("picture,who\n0.png,1\n")
    with pytest.raises(SourceError, match="file"):
        take(build, table_spec(build), scans, private)
    (scans / "labels.csv").write_text("file,who\n0.png,1\n")
    with pytest.raises(SourceError, match=r"lacks rows or a column patient or subject"):
        take(build, table_spec(build), scans, private)


@pytest.fixture
def tree(scans):
    """Two subjects, one of them with two sessions, T1w and FLAIR, masks among the derivatives, sidecars."""
    for number, (subject, session) in enumerate((("01", "a"), ("01", "b"), ("02", ""))):
        where = f"sub-{subject}/" + (f"ses-{session}/" if session else "") + "anat/"
        name = f"sub-{subject}" + (f"_ses-{session}" if session else "")
        for suffix in ("T1w", "FLAIR"):
            volume(scans / where / f"{name}_{suffix}.nii.gz", number)
            (scans / where / f"{name}_{suffix}.json").write_text(
                json.dumps({"EchoTime": 0.03, "Modality": "MR"})
            )
        volume(scans / where / f"{name}_run-2_T1w.nii.gz", number)
        volume(scans / "derivatives/seg" / where / f"{name}_dseg.nii.gz", number, mask=True)
    (scans / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.10.0"}))
    (scans / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t50\tF\nsub-02\t61\tM\n")
    return scans


def bids_spec(build):
    return build.spec(
        source=Source(kind="folder", uri="unused", format="bids"),
        channels=(Channel(name="T1w", modality="MR"), Channel(name="fluid", modality="MR")),
        labels={"lesion": 1},
        clinical=(build.age,),
    )


def with_suffix(spec):
    return replace(spec, source=replace(spec.source, columns={"fluid": "FLAIR"}))


def test_a_bids_tree_gives_a_case_per_session_and_a_patient_per_subject(build, tree, private) -> None:
    report = take(build, with_suffix(bids_spec(build)), tree, private)
    assert (report.cases.cases, report.patients) == (3, 2)
    assert codes(report) == {"file.outside": 3}  # the second runs
    cases = list(read_cases(private, report.cases))
    assert {case.record["age"] for case in cases} == {50, 61}
    assert all(case.image.shape == (2, 5, 8, 6) for case in cases)


@pytest.mark.parametrize(("unit", "ages"), [("years", {600, 732}), ("months", {50, 61}), ("mo", {50, 61})])
def test_the_sidecar_of_the_participants_tells_their_units(build, tree, private, unit, ages) -> None:
    (tree / "participants.json").write_text(json.dumps({"age": {"Description": "age", "Units": unit}}))
    months = ColumnSpec(name="age", kind="integer", unit="mo")
    report = take(build, replace(with_suffix(bids_spec(build)), clinical=(months,)), tree, private)
    assert {case.record["age"] for case in read_cases(private, report.cases)} == ages


def test_a_unit_of_the_participants_that_is_none_holds_them(build, tree, private) -> None:
    (tree / "participants.json").write_text(json.dumps({"age": {"Units": "moons"}}))
    report = take(build, with_suffix(bids_spec(build)), tree, private)
    assert report.cases.cases == 0
    assert codes(report)["clinical.unit"] > 0


def test_a_telling_sidecar_is_held_and_a_wrong_suffix_is_a_sentence(build, tree, private) -> None:
    side = tree / "sub-02/anat/sub-02_T1w.json"
    side.write_text(json.dumps({"EchoTime": 0.03, "nested": [{"PatientBirthDate": "19610312"}]}))
    report = take(build, with_suffix(bids_spec(build)), tree, private)
    assert codes(report)["deid.identifying_attribute"] == 1
    wrong = build.spec(source=bids_spec(build).source, channels=(Channel(name="PDw", modality="MR"),))
    with pytest.raises(SourceError, match=r"no BIDS image of suffix PDw"):
        take(build, wrong, tree, private)


def test_a_second_run_reads_nothing_and_a_new_session_costs_itself(build, tree, private, monkeypatch) -> None:
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))
    spec, reads = with_suffix(bids_spec(build)), []
    original = inventory.read_file
    first = take(build, spec, tree, private)
    monkeypatch.setattr(inventory, "read_file", lambda path: (reads.append(path.name), original(path))[1])
    assert digest_of(take(build, spec, tree, private)) == digest_of(first)
    assert reads == []
    for suffix in ("T1w", "FLAIR"):
        volume(tree / f"sub-02/ses-z/anat/sub-02_ses-z_{suffix}.nii.gz", 5)
    volume(tree / "derivatives/seg/sub-02/ses-z/anat/sub-02_ses-z_dseg.nii.gz", 5, mask=True)
    assert take(build, spec, tree, private).cases.cases == 4
    assert all("ses-z" in name for name in reads)


def folders_spec(build, **columns):
    source = Source(kind="folder", uri="unused", format="folders", columns=columns)
    channels = (Channel(name="T1w", modality="MR"), Channel(name="FLAIR", modality="MR"))
    return build.spec(source=source, channels=channels, labels={"lesion": 1}, grid=build.spec().grid)


def test_a_tree_with_a_folder_per_case_needs_no_table(build, scans, private) -> None:
    truth = {}
    for visit in ("P-1_a", "P-1_b", "P-2_a"):
        truth[visit] = volume(scans / f"deep/{visit}/t1.nii.gz", len(truth))
        volume(scans / f"deep/{visit}/flair.nii", 7 + len(truth))
        volume(scans / f"deep/{visit}/seg.nii.gz", 9, mask=True)
        volume(scans / f"deep/{visit}/t2.nii.gz", 5)
    (scans / "deep/P-2_a/flair.nii").unlink()
    spec = folders_spec(build, T1w="t1", FLAIR="flair", mask="seg", patient="^P-[0-9]")
    report = take(build, spec, scans, private)
    assert (report.cases.cases, report.patients) == (2, 1)
    assert codes(report)["case.missing_channel"] == 2  # of P-2: its T1w and its mask
    first = {case.image[0].tobytes() for case in read_cases(private, report.cases)}
    assert first == {truth[visit].T.astype(np.int16).tobytes() for visit in ("P-1_a", "P-1_b")}


def test_a_folder_without_a_patient_or_a_channel_stops_with_a_sentence(build, scans, private) -> None:
    volume(scans / "case/t1.nii.gz", 1)
    with pytest.raises(SourceError, match="finds no patient"):
        take(build, folders_spec(build, T1w="t1", patient="^P"), scans, private)
    with pytest.raises(SourceError, match="no folder with files named T1w, FLAIR"):
        take(build, folders_spec(build), scans, private)


def test_the_address_of_the_program_that_made_a_png_is_no_house(build, scans, private) -> None:
    for index, (keyword, text) in enumerate(
        (
            ("Software", "Matplotlib 3.8, https://matplotlib.org/"),
            ("Comment", "https://praxis-mueller.example/"),
        )
    ):
        told = PngImagePlugin.PngInfo()
        told.add_text(keyword, text)
        picture(scans / f"images/{index}.png", index, pnginfo=told)
    (scans / "labels.csv").write_text("file,patient,finding\n0.png,1,normal\n1.png,2,normal\n")
    report = take(build, table_spec(build, clinical=(FINDING,)), scans, private)
    assert report.cases.cases == 1
    assert codes(report)["deid.text_pattern"] == 1
