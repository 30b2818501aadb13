"""Names of files: telephone numbers are found in them, names that studies give pass."""

import os
from pathlib import Path

import pytest

from synthdata.intake import inspect
from synthdata.intake.deny_list import DenyList
from synthdata.intake.file_names import identifies, judge_file_names
from synthdata.intake.inventory import SeenFile
from synthdata.intake.person_names import has_foreign_words, is_protocol_path, names_a_person
from synthdata.intake.text_patterns import looks_identifying

PHONES = (
    "030 9018 2000", "030-90182000", "(030) 9018 2000", "0171-1234567", "0921 55 44 33", "01632 960123",
    "01 23 45 67 89", "01.23.45.67.89", "06-12345678", "044 668 18 00", "03-1234-5678", "031-12 34 56",
    "+49 30 90182 0000", "+4917612345678", "0049 30 90182000", "555-867-5309", "(555) 867-5309",
    "555.867.5309", "1-800-555-0199", "tel 9018200", "fax 90182000",
)  # fmt: skip
STUDIES = (
    "PGBM-001_279896/mask.nii.gz", "sub-012_ses-03_T1w.nii.gz", "case_MR_00123.nii", "002_S_0295/t1.nii",
    "IM-0001-0002.dcm", "BraTS20_Training_001_flair.nii.gz", "01_02_03_04.dcm", "032_958188_74.nii",
    "12_marked_01.png", "gre_12_mag.nii", "S012/I0345", "lesion_33_early_phase.nii.gz", "007_123456.nii",
)  # fmt: skip


def is_held(name: str) -> bool:
    seen = SeenFile(Path("/source") / name, "0", 0)
    judge_file_names([seen], Path("/source"), DenyList())
    return "deid.file_name" in seen.reasons


@pytest.mark.parametrize("phone", PHONES)
@pytest.mark.parametrize("place", ["{}.dcm", "{}/0001.dcm", "scan_{}.dcm", "mr-{}-2.dcm"])
def test_a_telephone_number_is_found_in_a_name(phone, place) -> None:
    assert all(is_held(place.format(phone.replace(" ", joint))) for joint in (" ", "_", "-"))


@pytest.mark.parametrize("name", STUDIES)
def test_names_that_studies_give_pass(name) -> None:
    assert not is_held(name)


def held_of(names: list[str]) -> list[str]:
    seen = [SeenFile(Path("/source") / name, str(number), 0) for number, name in enumerate(names)]
    judge_file_names(seen, Path("/source"), DenyList())
    return [one.path.name for one in seen if "deid.file_name" in one.reasons]


def test_a_form_in_which_a_study_numbers_its_subjects_is_no_telephone_number() -> None:
    subjects = ["212_515_2795.dcm", "182_133_0001.dcm", "303_555_4410.dcm", "017_001_9928.dcm"]
    assert held_of(subjects) == ["212_515_2795.dcm", "303_555_4410.dcm"]
    assert held_of([*subjects, "120_044_0017.dcm"]) == []
    assert held_of([*subjects, "120_044_0017.dcm", "(212) 515-2795.dcm"]) == ["(212) 515-2795.dcm"]


def test_an_area_that_no_country_of_north_america_uses_is_no_telephone_number() -> None:
    assert held_of(["291_515_2795.dcm"]) == []
    assert looks_identifying("291 515 2795")


@pytest.mark.parametrize("name", ["baker.dcm", "Ward/0001.dcm", "hall_mri.dcm", "couch_tom.dcm"])
def test_a_surname_is_found_in_a_name_though_it_is_a_word(name) -> None:
    assert is_held(name)


@pytest.mark.parametrize(
    "text",
    [
        "couch removed",
        "COUCH TOP LATERAL",
        "good quality scan",
        "Baker cyst",
        "circle of Willis",
        "EARLY ARTERIAL PHASE",
        "CT ABDO 5mm",
        "ThorRoutine 3.0 B35f",
        "Shoulders",
        "T1_2MIN_5MIN",
        "PET^CC_WholeBody (Adult)",
    ],
)
def test_words_that_are_surnames_too_pass_among_words_of_imaging(text) -> None:
    assert not names_a_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ward",
        "T1w Miller",
        "seen with Ward",
        "HEAD BAKER",
        "Abdo",
        "Smith^PET",
        "PET^Li Xu",
        "McDonald",
        "scan of Ward Good",
        "mr Zacharias",
    ],
)
def test_a_surname_that_nothing_explains_is_found(text) -> None:
    assert names_a_person(text)


@pytest.mark.parametrize(
    "text", ["123-456-7890", "0221-4780", "call 030 9018 2000", "12 mag 2001", "near Springfield, IL 62704"]
)
def test_prose_is_read_more_strictly_than_names(text) -> None:
    assert looks_identifying(text)


def test_levels_of_a_protocol_and_codes_are_no_names() -> None:
    assert is_protocol_path("Head^Routine")
    assert is_protocol_path("Research^MCBI_TESTING")
    assert not is_protocol_path("QUORLWICK^XANTHIPPA")
    assert not has_foreign_words("QMNx85rKkkg")
    assert has_foreign_words("Xanthippa Quorlwick")


@pytest.mark.parametrize(
    "text", ["porotal coronals", "Outiside images", "diagn virt PETCT", "sagitall axials"]
)
def test_words_cut_short_or_with_one_letter_amiss_are_not_foreign(text) -> None:
    assert not has_foreign_words(text)


@pytest.mark.parametrize("letters", ["xa", "lung"])
def test_a_word_without_end_is_one_that_nobody_knows(letters: str) -> None:
    assert has_foreign_words(f"{letters * 20_000}q Quorlwick")


@pytest.mark.parametrize(
    "name",
    [b"M\xfcller_Hans.dcm", b"Jos\xe9_Garc\xeda", "Иванов".encode("cp1251"), "山田太郎".encode("shift_jis")],
)
def test_a_name_that_is_no_utf_8_is_read_or_held(name) -> None:
    assert identifies(os.fsdecode(name))
    assert not identifies(os.fsdecode(b"s\xe9rie_1.dcm"))


def test_folders_below_the_working_folder_are_judged(build, tmp_path, monkeypatch) -> None:
    grid = build.grid(shape_zyx=(3, 8, 6))
    build.write(tmp_path / "Doe_Jane", build.series("PAT-1", grid))
    monkeypatch.chdir(tmp_path)
    assert inspect(Path()).quarantined == 3
