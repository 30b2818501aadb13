"""Every kind of planted identifier is found in every kind of image, and clean objects pass."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from synthdata.dicom import multiframe_dataset, save
from synthdata.intake import inspect
from synthdata.intake.deny_list import DenyList
from synthdata.intake.dicom_file import quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.file_names import judge_file_names
from synthdata.intake.inventory import Inventory
from synthdata.intake.listing import list_files
from synthdata.intake.person_names import names_a_person
from synthdata.intake.policy import Policy
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.phantom import write_cohort
from synthdata.records import to_json
from tests.intake.planter import PLANTS as FIRST
from tests.intake.planter import TOKENS, Plant, on_dataset
from tests.intake.planter_fourth import FOURTH
from tests.intake.planter_further import CLEAN as CLEAN_CHANGES
from tests.intake.planter_further import FURTHER
from tests.intake.planter_third import THIRD

PLANTS = FIRST | FURTHER | THIRD | FOURTH
DAMAGING = {"bytes behind the dataset"}  # which no parser can read
FOUND = ("deid.", "source.")  # reasons that tell what was planted
REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", Path(__file__).parents[2] / "../shared/data"))
CLEAN = REALDATA / "deid_phi" / "deid_method_codes_reference" / "00001.dcm"


@pytest.fixture(scope="module")
def carriers(tmp_path_factory) -> dict[str, Path]:
    """One clean file of each modality of the phantom."""
    folder = tmp_path_factory.mktemp("phantom")
    write_cohort(folder / "volumes", patients=1, seed=3)
    write_cohort(folder / "projections", patients=1, seed=3, channels=("XR",))
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.dcm")):
        files.setdefault(str(dcmread(path, stop_before_pixels=True).Modality), path)
    return files


def reasons_after(plant: Plant, carrier: Path, folder: Path, judge: ElementJudge) -> set[str]:
    """What is said against a copy of a clean file with something planted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(carrier, folder / "0001.dcm")
    plant(folder / "0001.dcm")
    inventory, names = Inventory(), Pseudonyms(b"k" * 32)
    (entry,) = list_files(folder).entries
    with quiet_parsers():
        seen, data = inventory.add(entry.path)
        read_instance(seen, data, judge=judge, names=names, inventory=inventory, body_part="")
    judge_file_names(inventory.files, folder, judge.policy.deny)
    return seen.reasons


def missed_in(carrier: Path, folder: Path) -> set[str]:
    """Kinds of plants after which nothing is said about who or what a clean file shows; damage is no answer."""
    judge = ElementJudge()
    assert reasons_after(lambda _: None, carrier, folder, judge) == set()
    said = {name: reasons_after(plant, carrier, folder, judge) for name, plant in PLANTS.items()}
    return {
        name
        for name, codes in said.items()
        if not any(code.startswith(FOUND) for code in codes)
        and (name not in DAMAGING or "file.malformed" not in codes)
    }


def test_there_are_many_kinds_of_plants() -> None:
    assert len(PLANTS) == 747


@pytest.mark.parametrize("modality", ["MR", "CT", "DX"])
def test_every_planted_kind_is_found(carriers, tmp_path, modality) -> None:
    assert missed_in(carriers[modality], tmp_path / "source") == set()


@pytest.mark.realdata
@pytest.mark.skipif(not CLEAN.is_file(), reason="SYNTHDATA_REALDATA names no folder with the real scans")
def test_every_planted_kind_is_found_in_a_real_object(tmp_path) -> None:
    kinds = {"DA:", "DT:", "TM:", "IS:", "DS:", "UL:", "FD:", "FL:"}
    declared = {name for name in PLANTS if name.removeprefix("fourth: ")[:3] in kinds} | {
        "UI: moment in a UID",
        "nested three deep: date",
        "functional group: moment",
        "third: OL: date",
        "fourth: functional groups: date",
        "fourth: contributing date",
    }  # its method codes retain dates, and it says that they were modified
    missed = missed_in(CLEAN, tmp_path / "source")
    assert missed <= declared - {"DA: birth"}


@pytest.mark.parametrize("kind", ["mask", "enhanced"])
def test_every_planted_kind_is_found_in_masks_and_enhanced_objects(carriers, build, tmp_path, kind) -> None:
    grid, judge, carrier = build.grid(), ElementJudge(), carriers.get("SEG")
    if kind == "enhanced":
        carrier = tmp_path / "enhanced.dcm"
        save(multiframe_dataset(build.image(grid), grid, build.header("PAT-1")), carrier)
    pixels = {
        name for name in FOURTH if "JPEG" in name or "J2K" in name or "fragment" in name or "table" in name
    }
    for name in FOURTH.keys() - pixels:
        assert reasons_after(FOURTH[name], carrier, tmp_path / "source", judge), name


def test_a_report_on_planted_files_repeats_nothing_of_them(carriers, tmp_path) -> None:
    for number, plant in enumerate(PLANTS.values()):
        (tmp_path / "source" / str(number)).mkdir(parents=True)
        shutil.copy(carriers["MR"], tmp_path / "source" / str(number) / "0001.dcm")
        plant(tmp_path / "source" / str(number) / "0001.dcm")
    report = inspect(tmp_path / "source")
    assert report.quarantined + report.refused == report.seen == len(PLANTS)
    assert not any(token in to_json(report).decode() for token in TOKENS)


@pytest.mark.parametrize("modality", ["MR", "CT", "DX"])
@pytest.mark.parametrize("kind", sorted(CLEAN_CHANGES))
def test_clean_changes_pass(carriers, tmp_path, modality, kind) -> None:
    judge = ElementJudge()
    plant = on_dataset(CLEAN_CHANGES[kind])
    assert reasons_after(plant, carriers[modality], tmp_path / "source", judge) == set()


def test_clean_cohorts_pass(tmp_path) -> None:
    write_cohort(tmp_path / "scans", patients=8, seed=5)
    report = inspect(tmp_path / "scans")
    assert (report.accepted, [reason.code for reason in report.reasons]) == (report.seen, [])


@pytest.mark.parametrize("place", ["Manufacturer", "FrameOfReferenceUID", "SeriesInstanceUID"])
def test_an_entry_of_the_deny_list_is_found_wherever_it_stands(build, scans, place) -> None:
    datasets = build.series("PAT-1")
    for dataset in datasets:
        setattr(dataset, place, "1.2.826.0.4711081.5" if "UID" in place else "Kernel of blørk 77")
    build.write(scans, datasets)
    policy = Policy(deny=DenyList(["47 11 081", "BLORK-77", "Blørk"]))
    assert "deid.deny_list" in {reason.code for reason in inspect(scans, policy=policy).reasons}
    assert "deid.deny_list" not in {reason.code for reason in inspect(scans).reasons}


def test_digests_and_pseudonyms_are_no_names() -> None:
    digests = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4000)]
    assert not any(names_a_person(digest) or names_a_person(f"P-{digest[:16]}") for digest in digests)
    assert names_a_person(f"{digests[0]} Miller")
