"""Identifiers which are planted in clean objects are found, wherever they stand; clean objects pass."""

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from synthdata.intake import inspect
from synthdata.intake.confidentiality import load_rules
from synthdata.intake.person_names import has_foreign_words, names_a_person
from synthdata.intake.text_patterns import is_dummy, is_technical, looks_identifying
from synthdata.records import to_json

SECRET = "Zacharias"  # planted as a name, and then looked for in all output


def put(keyword: str, value: object):
    def plant(dataset: Dataset) -> None:
        setattr(dataset, keyword, value)

    return plant


def nest(keyword: str, value: object, depth: int):
    def plant(dataset: Dataset) -> None:
        inner = Dataset()
        setattr(inner, keyword, value)
        for _ in range(depth):
            outer = Dataset()
            outer.ReferencedInstanceSequence = Sequence([inner])
            inner = outer
        dataset.update(inner)

    return plant


def private_block(value: str, vr: str = "LO"):
    def plant(dataset: Dataset) -> None:
        dataset.private_block(0x0099, "A VENDOR", create=True).add_new(0x10, vr, value)

    return plant


def private_sequence(dataset: Dataset) -> None:
    item = Dataset()
    item.PatientName = f"{SECRET}^Anna"
    dataset.private_block(0x0099, "A VENDOR", create=True).add_new(0x10, "SQ", Sequence([item]))


def overlay(dataset: Dataset) -> None:
    dataset.add_new(0x60003000, "OW", b"\1\0" * 8)


def icon(dataset: Dataset) -> None:
    dataset.IconImageSequence = Sequence([Dataset()])
    dataset.IconImageSequence[0].Rows = 1


PLANTS = {
    "name": (put("PatientName", f"{SECRET}^Anna"), "deid.person_name"),
    "name of a physician": (put("ReferringPhysicianName", f"{SECRET}^Bert"), "deid.person_name"),
    "name of an operator": (put("OperatorsName", f"{SECRET}"), "deid.person_name"),
    "birth date": (put("PatientBirthDate", "19620314"), "deid.birth_date"),
    "study date": (put("StudyDate", "20240229"), "deid.date"),
    "acquisition moment": (put("AcquisitionDateTime", "20240229101112"), "deid.date"),
    "study time": (put("StudyTime", "101112"), "deid.date"),
    "patient id with a blank": (put("PatientID", f"{SECRET} Anna"), "deid.identifying_attribute"),
    "address": (put("PatientAddress", f"{SECRET} Road 3"), "deid.identifying_attribute"),
    "telephone": (put("PatientTelephoneNumbers", "030 1234567"), "deid.identifying_attribute"),
    "institution": (put("InstitutionName", f"St {SECRET} Hospital"), "deid.identifying_attribute"),
    "station": (put("StationName", f"{SECRET}MR"), "deid.identifying_attribute"),
    "comment": (put("ImageComments", f"seen with {SECRET}"), "deid.identifying_attribute"),
    "history": (put("AdditionalPatientHistory", "fell on stairs"), "deid.identifying_attribute"),
    "series text with a name": (put("SeriesDescription", f"T1w {SECRET}"), "deid.identifying_attribute"),
    "other ids": (put("OtherPatientIDs", "12345"), "deid.identifying_attribute"),
    "serial number in words": (put("DeviceSerialNumber", f"{SECRET} 12"), "deid.identifying_attribute"),
    "size without the option": (put("PatientSize", "1.8"), None),
    "e-mail in a public text": (put("ManufacturerModelName", f"{SECRET}@example.org"), "deid.text_pattern"),
    "date in a public text": (put("Manufacturer", "installed 2019-03-02"), "deid.text_pattern"),
    "social security number": (put("Manufacturer", "078-05-1120"), "deid.text_pattern"),
    "age of 97": (put("PatientAge", "097Y"), "deid.age_over_90"),
    "name nested once": (nest("PatientName", f"{SECRET}^Anna", 1), "deid.person_name"),
    "name nested three deep": (nest("PatientName", f"{SECRET}^Anna", 3), "deid.person_name"),
    "address nested three deep": (nest("PatientAddress", f"{SECRET} Road", 3), "deid.identifying_attribute"),
    "date nested twice": (nest("ContentDate", "20240229", 2), "deid.date"),
    "private text": (private_block("harmless"), "deid.private_tag"),
    "private date": (private_block("20240229", "DA"), "deid.date"),
    "name in a private sequence": (private_sequence, "deid.person_name"),
    "overlay": (overlay, "deid.overlay"),
    "icon": (icon, "deid.embedded_document"),
    "document": (put("EncapsulatedDocument", b"%PDF-1.4"), "deid.embedded_document"),
    "burned-in text": (put("BurnedInAnnotation", "YES"), "deid.burned_in"),
    "face": (put("RecognizableVisualFeatures", "YES"), "deid.face"),
    "no evidence": (put("PatientIdentityRemoved", "NO"), "deid.not_declared"),
    "secondary image": (put("ImageType", ["DERIVED", "SECONDARY"]), "source.secondary"),
    "synthetic image": (put("SyntheticData", "YES"), "source.synthetic"),
    "secondary capture": (put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), "deid.sop_class"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_identifier_is_found_and_not_repeated(build, scans, plant) -> None:
    change, code = PLANTS[plant]
    datasets = build.series("PAT-1")
    change(datasets[2])
    build.write(scans, datasets)
    report = inspect(scans)
    codes = {reason.code for reason in report.reasons}
    if code is None:  # an option which the evidence declares allows it
        assert not codes
        return
    assert code in codes
    assert report.accepted == 0
    assert SECRET not in to_json(report).decode()


def test_clean_objects_pass(build, scans) -> None:
    build.write(scans, build.series("PAT-1"))
    report = inspect(scans)
    assert (report.seen, report.accepted, report.reasons) == (5, 5, ())


@pytest.mark.parametrize(
    ("offset", "data", "code"),
    [(5, b"MZ", "deid.preamble"), (None, b"\0" * 5 + b"name", "deid.trailing_bytes")],
)
def test_bytes_outside_the_dataset_are_noticed(build, scans, offset, data, code) -> None:
    path = build.write(scans, build.series("PAT-1"))[0]
    raw = bytearray(path.read_bytes())
    if offset is None:
        raw += data
    else:
        raw[offset : offset + len(data)] = data
    path.write_bytes(raw)
    codes = {reason.code for reason in inspect(scans).reasons}
    assert not codes.isdisjoint({code, "deid.trailing_bytes", "file.malformed", "file.truncated"})


def test_an_application_entity_in_the_file_meta_is_noticed(build, scans) -> None:
    path = build.write(scans, build.series("PAT-1"))[0]
    dataset = dcmread(path)
    dataset.file_meta.SourceApplicationEntityTitle = SECRET
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())
    assert "deid.file_meta" in {reason.code for reason in inspect(scans).reasons}


def test_every_attribute_to_be_removed_is_noticed_when_it_holds_text() -> None:
    from pydicom.datadict import dictionary_VR

    from synthdata.intake.elements import ElementJudge

    judge, missed = ElementJudge(), []
    for keyword, rule in load_rules().items():
        if (
            not rule.action.startswith("X")
            or len(keyword) < 5
            or dictionary_VR(keyword) not in {"LO", "SH", "ST", "LT", "UT", "PN"}
        ):
            continue
        dataset = Dataset()
        setattr(dataset, keyword, "Zacharias Bart")
        if not any(not options & {"113100"} for _, options in judge.judge(dataset)):
            missed.append(keyword)
    assert missed == []


@pytest.mark.parametrize(
    "text", ["25.04.2024", "2024-04-25", "call +49 30 1234567", "DOB unknown", "Dr. Miller", "14 Mar 1962"]
)
def test_texts_which_date_or_name_a_person_are_noticed(text) -> None:
    assert looks_identifying(text)


@pytest.mark.parametrize(
    "text",
    [
        "T1w",
        "axial FLAIR 5 mm",
        "MR Software release:HD16.0_V02_1131.a",
        "TE 3.2 ms TR 900",
        "1.2.840.10008.1",
    ],
)
def test_technical_texts_are_left_alone(text) -> None:
    assert not looks_identifying(text)


def test_dummies_are_told_from_names() -> None:
    assert all(map(is_dummy, ["", "ANONYMOUS", "Anon^Anon", "PGBM-003", "3083564386975476"]))
    assert not any(map(is_dummy, ["Albus^Dumbledore", "Smith", "REMOVED Smith"]))
    assert is_technical("axial T1w post contrast 3 mm")
    assert not is_technical("T1w Dumbledore")


@pytest.mark.parametrize(
    "text",
    [
        "SliceTh-3_SliceInc-1.5_ReconFilter-C",
        "NLST-ACRIN",
        "TOMOGRAFIA KLATKI PIERSIOWEJ",
        "IRM CUISSE GAUCHE",
        "prostaat detectie",
    ],
)
def test_words_of_examinations_in_other_languages_and_compounds_are_no_names(text: str) -> None:
    assert not has_foreign_words(text)


@pytest.mark.parametrize("text", ["Xhemajli Krasniqi", "Wojciechowska Agnieszka", "thorax Oyelaran Adeyemi"])
def test_two_words_that_nobody_knows_are_a_name_still(text: str) -> None:
    assert has_foreign_words(text)


@pytest.mark.parametrize("name", ["Tran", "Kern", "Dias", "Earl", "Stan", "Corona", "Monet", "Singh"])
@pytest.mark.parametrize("text", ["{} Head", "CT Abdomen {}", "{} THORAX", "{} Brown"])
def test_surnames_that_look_like_a_word_cut_short_are_names(name: str, text: str) -> None:
    assert names_a_person(text.format(name), prose=False)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("what", ["data", "equipment"])
def test_synthetic_images_and_what_was_made_from_them_are_refused_at_any_depth(
    build, scans, depth, what
) -> None:
    purpose, inner = Dataset(), Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = (
        "109100",
        "DCM",
        "Synthesizing Equipment",
    )
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [purpose]
    if what == "data":
        inner.SyntheticData = "YES"
    else:
        inner.ContributingEquipmentSequence = [equipment]
    for _ in range(depth):
        outer = Dataset()
        outer.SourceImageSequence = [inner]
        inner = outer
    datasets = build.series("PAT-1")
    for dataset in datasets:
        dataset.update(inner)
    build.write(scans, datasets)
    report = inspect(scans)
    assert (report.refused, report.seen) == (5, 5)
    assert "source.synthetic" in {reason.code for reason in report.reasons}
