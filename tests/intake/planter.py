"""Puts identifiers of a person who never lived into clean DICOM files, one kind at a time, wherever one can hide."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from synthdata.intake.dicom_file import quiet_parsers

FAMILY, GIVEN = "Zacharias", "Bartholomew"
UNUSUAL = "Xanthippa Quorlwick"  # in no list of names
TOKENS = (FAMILY, GIVEN, "Xanthippa", "Quorlwick", "19620314", "1962-03-14", "4711-0815", "943 476 5919")
Change = Callable[[Dataset], None]
Plant = Callable[[Path], None]


def put(keyword: str, value: object) -> Change:
    def change(dataset: Dataset) -> None:
        setattr(dataset, keyword, value)
        if isinstance(value, str) and not value.isascii():
            dataset.SpecificCharacterSet = "ISO_IR 192"

    return change


def add(tag: int, vr: str, value: object) -> Change:
    return lambda dataset: dataset.add_new(tag, vr, value)


def nested(change: Change, depth: int, keyword: str = "ReferencedInstanceSequence") -> Change:
    def outer(dataset: Dataset) -> None:
        inner = Dataset()
        change(inner)
        for _ in range(depth):
            parent = Dataset()
            setattr(parent, keyword, Sequence([inner]))
            inner = parent
        dataset.update(inner)

    return outer


def private(vr: str, value: object, creator: str = "A VENDOR") -> Change:
    return lambda dataset: dataset.private_block(0x0099, creator, create=True).add_new(0x10, vr, value)


def private_sequence(change: Change, depth: int = 1) -> Change:
    def outer(dataset: Dataset) -> None:
        inner = Dataset()
        change(inner)
        for _ in range(depth):
            parent = Dataset()
            parent.private_block(0x0099, "A VENDOR", create=True).add_new(0x10, "SQ", Sequence([inner]))
            inner = parent
        dataset.update(inner)

    return outer


def code(meaning: str) -> Change:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-A0100", "SRT", meaning
    return put("AnatomicRegionSequence", Sequence([item]))


def on_dataset(change: Change) -> Plant:
    def plant(path: Path) -> None:
        with quiet_parsers():
            dataset = dcmread(path)
            change(dataset)
            dcmwrite(path, dataset, enforce_file_format=True)

    return plant


def on_meta(change: Change) -> Plant:
    def plant(path: Path) -> None:
        buffer = io.BytesIO()
        with quiet_parsers():
            dataset = dcmread(path)
            change(dataset.file_meta)
            dataset.save_as(buffer, enforce_file_format=False)
        path.write_bytes(buffer.getvalue())

    return plant


def on_bytes(change: Callable[[bytearray], bytearray]) -> Plant:
    def plant(path: Path) -> None:
        path.write_bytes(change(bytearray(path.read_bytes())))

    return plant


def preamble(data: bytearray) -> bytearray:
    data[: len(FAMILY)] = FAMILY.encode()
    return data


def raw_element(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return (
        tag[0].to_bytes(2, "little") + tag[1].to_bytes(2, "little") + vr + len(value).to_bytes(2, "little")
    ) + value


def twice(data: bytearray) -> bytearray:
    """A second Modality before the real one; readers show the last."""
    at = data.index(b"\x08\x00\x60\x00CS")
    data[at:at] = raw_element((0x0008, 0x0060), b"CS", FAMILY.upper().encode())
    return data


def unordered(data: bytearray) -> bytearray:
    """An attribute at a place where its tag does not belong."""
    at = data.index(b"\x28\x00\x10\x00US")
    data[at:at] = raw_element((0x0008, 0x1090), b"LO", FAMILY.encode())
    return data


def longer_pixels(dataset: Dataset) -> None:
    dataset.PixelData += FAMILY.encode() + b" "


def unused_bits(dataset: Dataset) -> None:
    stored = np.frombuffer(dataset.PixelData, "<u2") & 0x0FFF
    hidden = np.resize(np.frombuffer(FAMILY.encode(), np.uint8).astype(np.uint16) & 0xF, len(stored)) << 12
    dataset.PixelData = (stored | hidden).tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0


def jpeg(comment: bytes, tail: bytes = b"") -> Change:
    def change(dataset: Dataset) -> None:
        from PIL import Image

        pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns) >> 4
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", comment=comment)
        dataset.PixelData = encapsulate([buffer.getvalue() + tail])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    return change


def synthesizer(dataset: Dataset) -> None:
    purpose, item = Dataset(), Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "109100", "DCM", "Synthesizing"
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    dataset.ContributingEquipmentSequence = Sequence([item])


def presentation(sop_class: str) -> Change:
    return put("SOPClassUID", sop_class)


def renamed(name: str) -> Plant:
    def plant(path: Path) -> None:
        target = path.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)

    return plant


HEADER: dict[str, Change] = {
    # names
    "PN: patient": put("PatientName", f"{FAMILY}^{GIVEN}"),
    "PN: patient, with a number": put("PatientName", "Miller1"),
    "PN: physician": put("ReferringPhysicianName", f"{FAMILY}^{GIVEN}"),
    "PN: operator, not in the list of the profile at this place": nested(put("OperatorsName", FAMILY), 1),
    "PN: ideographic": put("PatientName", "=山田^太郎"),
    "PN: mother": put("PatientMotherBirthName", FAMILY),
    "LO: patient id which is a name": put("PatientID", f"{FAMILY}_{GIVEN}"),
    "LO: patient id with a birth date": put("PatientID", "P-19620314"),
    "LO: other patient ids": put("OtherPatientIDs", "4711-0815"),
    "LO: institution": put("InstitutionName", f"{FAMILY} Hospital"),
    "LO: name in a maker's attribute": put("ManufacturerModelName", f"Scanner of {FAMILY}"),
    "LO: name in a code's meaning": code(f"Head of {GIVEN} {FAMILY}"),
    "LO: unusual name in a code's meaning": code(UNUSUAL),
    "LO: series text": put("SeriesDescription", f"T1w {FAMILY}"),
    "LO: name in capitals": put("SoftwareVersions", f"{FAMILY.upper()} {GIVEN.upper()}"),
    "LO: name without a blank": put("Manufacturer", f"{FAMILY}{GIVEN}"),
    "LO: name with accents": put("Manufacturer", "Jürgen Müller"),
    "LO: name in Cyrillic": put("ManufacturerModelName", "Иванов"),
    "LO: name by DICOM's notation": put("Manufacturer", "QUORLWICK^XANTHIPPA"),
    "SH: name in a station": put("StationName", FAMILY[:16]),
    "SH: name in a kernel": put("ConvolutionKernel", FAMILY),
    "SH: accession number": put("AccessionNumber", f"{FAMILY} 1"),
    "CS: name in a coded string": put("BodyPartExamined", FAMILY.upper()),
    "CS: name in an image type": put("ImageType", ["ORIGINAL", "PRIMARY", GIVEN.upper()]),
    "ST: unusual name in a text": put("InstitutionAddress", UNUSUAL),
    "LT: name in a comment": put("ImageComments", f"seen with {FAMILY}"),
    "LT: history": put("AdditionalPatientHistory", f"{UNUSUAL} fell on stairs"),
    "UT: name in an unlimited text": put("SpecimenDetailedDescription", f"tissue of {GIVEN} {FAMILY}"),
    "UC: name in unlimited characters": put("LongCodeValue", f"{FAMILY}, {GIVEN}"),
    "UR: address of an archive": put("RetrieveURL", f"https://pacs.example.org/{FAMILY}"),
    "AE: title of an application": put("RetrieveAETitle", FAMILY.upper()),
    # dates, ages, numbers
    "DA: birth": put("PatientBirthDate", "19620314"),
    "DA: study": put("StudyDate", "20240229"),
    "DT: acquisition": put("AcquisitionDateTime", "20240229101112"),
    "TM: study": put("StudyTime", "101112"),
    "AS: age above ninety": put("PatientAge", "097Y"),
    "IS: date as a number": put("AcquisitionNumber", "19620314"),
    "DS: date as a decimal": put("RepetitionTime", "19620314"),
    "UI: moment in a UID": put("FrameOfReferenceUID", "1.3.12.2.1107.5.2.32.35177.20240229101112"),
    "UI: letters in a UID": add(0x00081140 + 0x10, "UI", f"1.2.{FAMILY}"),
    "text: ISO date": put("Manufacturer", "installed 1962-03-14"),
    "text: German date": put("Manufacturer", "am 14.03.1962"),
    "text: date in words": put("Manufacturer", "14th March 1962"),
    "text: date without separators": put("SoftwareVersions", "19620314"),
    "text: age above ninety": put("ManufacturerModelName", "for a 94 year old"),
    "text: e-mail": put("Manufacturer", f"{FAMILY}@example.org"),
    "text: international telephone": put("Manufacturer", "+49 30 90182 0000"),
    "text: national telephone": put("Manufacturer", "call 030 9018 2000"),
    "text: American telephone": put("Manufacturer", "(555) 867-5309"),
    "text: social security number": put("Manufacturer", "078-05-1120"),
    "text: NHS number": put("Manufacturer", "943 476 5919"),
    "text: Spanish DNI": put("Manufacturer", "12345678Z"),
    "text: Italian tax code": put("Manufacturer", "RSSMRA85T10A562S"),
    "text: French NIR": put("Manufacturer", "2 55 08 14 168 025 38"),
    "text: Polish PESEL": put("Manufacturer", "44051401359"),
    "text: Brazilian CPF": put("Manufacturer", "111.444.777-35"),
    "text: German tax id": put("Manufacturer", "65 929 970 489"),
    "text: record number by its label": put("Manufacturer", "MRN 4711"),
    "text: long number in prose": put("InstitutionAddress", "4711081512"),
    "text: street": put("Manufacturer", "742 Evergreen Terrace"),
    "text: German street": put("Manufacturer", "Hauptstraße 12"),
    "text: French street": put("Manufacturer", "12 rue Lafayette"),
    "text: British postcode": put("Manufacturer", "near SW1A 2AA"),
    "text: American town": put("Manufacturer", "Springfield, IL 62704"),
    "text: titled name": put("Manufacturer", "Dr. Quorlwick"),
    # depth, private, binary
    "nested three deep: name": nested(put("PatientName", f"{FAMILY}^{GIVEN}"), 3),
    "nested three deep: date": nested(put("ContentDate", "19620314"), 3),
    "nested three deep: text": nested(put("Manufacturer", FAMILY), 3),
    "nested three deep: address": nested(put("PatientAddress", f"{FAMILY} Road"), 3),
    "nested ten deep: name": nested(put("PatientName", FAMILY), 10),
    "private text": private("LO", FAMILY),
    "private creator": private("LO", "1", creator=FAMILY),
    "private numbers": private("DS", "19620314"),
    "private bytes": private("OB", f"..{FAMILY}.{GIVEN}".encode()),
    "private unknown": private("UN", FAMILY.encode()),
    "private sequence: name": private_sequence(put("PatientName", FAMILY)),
    "private sequence three deep: text": private_sequence(put("Manufacturer", FAMILY), 3),
    "OB: bytes of a public attribute": put("ICCProfile", f"..copyright {GIVEN} {FAMILY}".encode()),
    "OW: bytes of a table": put("RedPaletteColorLookupTableData", f"{FAMILY}^{GIVEN}\0".encode()),
    "UN: unknown public attribute": add(0x00180002, "UN", FAMILY.encode()),
    "padding after the dataset": put("DataSetTrailingPadding", FAMILY.encode() + b"\0"),
    # things beside the image
    "overlay": add(0x60003000, "OW", b"\1\0" * 8),
    "overlay comment": add(0x60004000, "LT", FAMILY),
    "curve": add(0x50003000, "OW", b"\1\0" * 8),
    "icon": put("IconImageSequence", Sequence([Dataset()])),
    "document": put("EncapsulatedDocument", b"%PDF-1.4 " + FAMILY.encode()),
    "graphic annotation": put("GraphicAnnotationSequence", Sequence([Dataset()])),
    "waveform": put("WaveformSequence", Sequence([Dataset()])),
    "content tree of a report": nested(put("TextValue", f"{GIVEN} {FAMILY}"), 1, "ContentSequence"),
    "digital signature": put("CertificateOfSigner", FAMILY.encode() + b"\0"),
    "original attributes": nested(put("PatientID", f"{FAMILY} 1"), 1, "OriginalAttributesSequence"),
    "unused bits of pixels": unused_bits,
    "bytes after the pixels": longer_pixels,
    "comment of a JPEG": jpeg(f"{GIVEN} {FAMILY}".encode()),
    "bytes after a JPEG": jpeg(b"", FAMILY.encode() + b"..."),
}
STATEMENTS: dict[str, Change] = {  # about the image; none names a person
    "burned-in text declared": put("BurnedInAnnotation", "YES"),
    "face declared": put("RecognizableVisualFeatures", "YES"),
    "identity not removed": put("PatientIdentityRemoved", "NO"),
    "secondary capture": presentation("1.2.840.10008.5.1.4.1.1.7"),
    "ultrasound": presentation("1.2.840.10008.5.1.4.1.1.6.1"),
    "structured report": presentation("1.2.840.10008.5.1.4.1.1.88.11"),
    "secondary image": put("ImageType", ["DERIVED", "SECONDARY"]),
    "synthetic image": put("SyntheticData", "YES"),
    "image of synthesizing equipment": synthesizer,
}
META: dict[str, Change] = {
    "file meta: source": put("SourceApplicationEntityTitle", FAMILY),
    "file meta: private": lambda meta: (
        meta.add_new(0x00020100, "UI", "1.2.3.4"),
        meta.add_new(0x00020102, "OB", FAMILY.encode() + b"\0"),
    ),
    "file meta: version name": put("ImplementationVersionName", FAMILY),
    "file meta: another object": put("MediaStorageSOPInstanceUID", "1.2.3.19620314"),
}
BYTES: dict[str, Callable[[bytearray], bytearray]] = {
    "preamble": preamble,
    "bytes behind the dataset": lambda data: data + b"\0" * 4 + FAMILY.encode(),
    "attribute which comes twice": twice,
    "attribute out of order": unordered,
}
NAMES = (
    f"{FAMILY}_{GIVEN}.dcm",
    "1962-03-14.dcm",
    f"{FAMILY}/0001.dcm",
    f"studies/{FAMILY.lower()}-{GIVEN.lower()}/0001.dcm",
    "MRN 4711/0001.dcm",
    "943 476 5919.dcm",
    f"a/b/c/{FAMILY}{GIVEN}/0001.dcm",
    "030-9018 2000/0001.dcm",
    "scan_555-867-5309.dcm",
    "0049_30_90182000.dcm",
)
PLANTS: dict[str, Plant] = {
    **{name: on_dataset(change) for name, change in {**HEADER, **STATEMENTS}.items()},
    **{name: on_meta(change) for name, change in META.items()},
    **{name: on_bytes(change) for name, change in BYTES.items()},
    **{f"file name {index}": renamed(name) for index, name in enumerate(NAMES, 1)},
}
