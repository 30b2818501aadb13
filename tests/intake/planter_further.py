"""More kinds of identifiers and hiding places, as an attacker would look for them: numbers, encodings, codestreams."""

import base64
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.intake.planter import (
    FAMILY,
    GIVEN,
    UNUSUAL,
    Change,
    Plant,
    add,
    code,
    jpeg,
    nested,
    on_bytes,
    on_dataset,
    on_meta,
    private,
    put,
    raw_element,
    renamed,
)

WHOLE = f"{GIVEN} {FAMILY}"
BYTES = WHOLE.encode() + b" " * (len(WHOLE) % 2)
OPTIONS = [f"1131{number:02d}" for number in range(1, 13)]
PATIENT_NAME = b"\x10\x00\x10\x00PN"
CLASS = raw_element((0x0008, 0x1150), b"UI", b"1.2.840.10008.5.1.4.1.1.4\0")
INSTANCE = raw_element((0x0008, 0x1155), b"UI", b"1.2.3.4\0")
NAMED = raw_element((0x0008, 0x1155), b"UI", FAMILY.encode())
NUMBERS = {
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "IBAN without blanks": "GB82WEST12345698765432",
    "US Medicare": "1EG4-TE5-MK73",
    "British National Insurance": "AB 12 34 56 C",
    "Irish PPSN": "1234567FA",
    "Czech birth number": "736028/5163",
    "Romanian CNP": "1800101221144",
    "Korean registration": "900101-1234568",
    "Singapore NRIC": "S1234567D",
    "Hong Kong identity card": "A123456(3)",
    "South African": "8001015009087",
    "Mexican CURP": "HEGG560427MVZRRL04",
    "Mexican RFC": "HEGG560427AB1",
    "Chilean RUT": "12.345.678-5",
    "Argentine CUIL": "20-12345678-6",
    "Estonian": "37605030299",
    "Slovene EMŠO": "0101006500006",
    "Greek AMKA": "01013099997",
    "Turkish": "10000000146",
    "Indian PAN": "ABCPE1234F",
    "Australian Medicare": "2123 45670 1",
    "Hungarian TAJ": "123 456 788",
    "Japanese My Number": "1234 5678 9018",
    "card of a bank": "4111 1111 1111 1111",
    "Portuguese NIF by its label": "NIF 123456789",
    "New Zealand NHI by its label": "NHI ZAC5361",
    "Swedish": "811228-9874",
    "Swiss AHV": "756.9217.0769.85",
    "Dutch BSN": "1112.22.333",
    "Aadhaar": "2341 2341 2346",
    "Danish CPR": "010180-1234",
    "Belgian": "85.07.30-033.28",
    "Finnish": "131052-308T",
    "Norwegian": "01010750160",
    "Spanish NIE": "X1234567L",
    "Chinese": "11010519491231002X",
    "passport as machines read it": "P<GBRQUORLWICK<<XANTHIPPA<<<<",
}
TEXTS = {
    "telephone with extension": "555-867-5309 x123",
    "telephone with area and direct line": "Tel. 089/4400-71234",
    "pager": "pager 4711-22",
    "e-mail beyond ASCII": "jürgen@klinik-müller.de",
    "e-mail of another alphabet": "x@больница.рф",
    "e-mail hidden from machines": "quorlwick [at] hospital [dot] org",
    "address in a network": "192.168.12.34",
    "address of a network card": "00:1A:2B:3C:4D:5E",
    "share of a file server": "//pacs01/share/quorlwick",
    "folder of a user": "C:/Users/xquorlwick/scan",
    "home folder": "/home/xquorlwick/scan",
    "page without its scheme": "pacs.hospital.org/wado?studyUID=1",
    "file transfer": "sftp://pacs/x",
    "serial number": "S/N 35177",
    "policy": "Policy 4711-081-5512",
    "accession": "Accession# 20-118345",
    "month and year": "March 1962",
    "year of two digits": "14.03.62",
    "year of two digits first": "62/03/14",
    "date between blanks": "14 03 1962",
    "date between blanks, year first": "1962 03 14",
    "date between underscores": "1962_03_14",
    "date without separators, day first": "14031962",
    "date and month in one word": "14MAR1962",
    "age in German": "94 Jahre",
    "age in French": "94 ans",
    "age by its label": "Age: 94",
    "age behind a word": "aged 94",
    "age in words": "ninety-four years old",
    "JSON": '{"PatientName":"Xu Li"}',
    "XML": "<PatientName>Xu Li</PatientName>",
    "HL7": "PID|1||4711||Xu^Li||19620314|F",
    "key and value": "PatientName=Xu Li",
    "base 64": base64.b64encode(WHOLE.encode()).decode(),
    "base 64 of a title and a date": base64.b64encode(b"Dr. Quorlwick, 1962-03-14").decode(),
    "hexadecimal": WHOLE.encode().hex(),
    "percent signs": f"{FAMILY}%20{GIVEN}",
    "spelled": " ".join(FAMILY.upper()),
    "spelled with points": ".".join(FAMILY.upper()),
    "short family and given name": "Xu^Li",
    "place on the globe": "48°08'14\"N 11°34'31\"E",
    "Dutch street": "Keizersgracht 12",
}


def functional(change: Change) -> Change:
    def outer(dataset: Dataset) -> None:
        inner, frame = Dataset(), Dataset()
        change(inner)
        frame.FrameContentSequence = Sequence([inner])
        dataset.PerFrameFunctionalGroupsSequence = Sequence([frame])

    return outer


def declared(change: Change) -> Change:
    """With all options of the profile declared, which forgive much."""

    def outer(dataset: Dataset) -> None:
        items = list(dataset.DeidentificationMethodCodeSequence)
        for option in OPTIONS:
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = option, "DCM", "Option"
            items.append(item)
        dataset.DeidentificationMethodCodeSequence = Sequence(items)
        change(dataset)

    return outer


def empty_of_siemens(number: int, vr: str) -> Change:
    """A private attribute which PS3.15 or the dictionary of the vendor knows as a quantity."""
    return lambda dataset: dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(
        number, vr, None
    )


def syntax(uid: str, change: Change) -> Change:
    def outer(dataset: Dataset) -> None:
        if uid == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
        change(dataset)
        dataset.file_meta.TransferSyntaxUID = uid

    return outer


def frame_of(dataset: Dataset) -> bytes:
    return next(iter(generate_frames(dataset.PixelData, number_of_frames=1)))


def encapsulated(dataset: Dataset, value: bytes) -> None:
    dataset.PixelData = value
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True


def in_jpeg(wrap: Callable[[bytes], bytes]) -> Change:
    def change(dataset: Dataset) -> None:
        jpeg(b"")(dataset)
        encapsulated(dataset, encapsulate([wrap(frame_of(dataset))]))

    return change


def in_jpeg_2000(wrap: Callable[[bytes], bytes]) -> Change:
    def change(dataset: Dataset) -> None:
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        encapsulated(dataset, encapsulate([wrap(frame_of(dataset).rstrip(b"\0"))]))

    return change


def in_rle(wrap: Callable[[bytes], bytes]) -> Change:
    """Wraps the value of Pixel Data around the one fragment."""

    def change(dataset: Dataset) -> None:
        dataset.compress(RLELossless, generate_instance_uid=False)
        encapsulated(dataset, wrap(frame_of(dataset)))

    return change


def item(data: bytes) -> bytes:
    return b"\xfe\xff\0\xe0" + struct.pack("<I", len(data)) + data


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def exif() -> bytes:
    found = Image.Exif()
    found[0x013B] = WHOLE
    return found.tobytes()


def tile_comment(stream: bytes) -> bytes:
    """A comment in the header of the first tile."""
    said, tile = segment(0x64, b"\0\1" + BYTES), stream.index(b"\xff\x90")
    size = struct.unpack_from(">I", stream, tile + 6)[0] + len(said)
    stream = stream[: tile + 6] + struct.pack(">I", size) + stream[tile + 10 :]
    at = stream.index(b"\xff\x93")
    return stream[:at] + said + stream[at:]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def boxed(stream: bytes) -> bytes:
    """As a JP2 file with a text in XML."""
    header = box(b"jp2h", box(b"colr", b"\1\0\0" + struct.pack(">I", 17)))
    marks = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return marks + header + box(b"xml ", BYTES) + box(b"jp2c", stream)


def sequence(*items: bytes, undefined: bool = False) -> bytes:
    content = b"".join(map(item, items))
    if undefined:
        return b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + content + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<I", len(content)) + content


def before_the_patient(blob: bytes) -> Callable[[bytearray], bytearray]:
    def change(data: bytearray) -> bytearray:
        at = data.index(PATIENT_NAME)
        data[at:at] = blob
        return data

    return change


def untyped(text: str) -> bytes:
    """A Referenced SOP Instance UID without its type."""
    value = text.encode() + b"\0" * (len(text) % 2)
    return b"\x08\x00\x55\x11" + struct.pack("<I", len(value)) + value


def without_meta_length(data: bytearray) -> bytearray:
    return data[:132] + data[144:]


def wrong_meta_length(data: bytearray) -> bytearray:
    data[140:144] = struct.pack("<I", len(data) - 150)
    return data


def unknown_sequence() -> bytes:
    """A sequence under the type UN, whose items have no types."""
    name = b"\x10\0\x10\0" + struct.pack("<I", len(FAMILY) + 1) + FAMILY.encode() + b" "
    return b"\x08\x00\x40\x11UN\0\0\xff\xff\xff\xff" + item(name) + b"\xfe\xff\xdd\xe0\0\0\0\0"


def words(data: bytes) -> list[int]:
    return [int(number) for number in np.frombuffer(data, "<u2")]


HEADER: dict[str, Change] = {
    **{f"number: {name}": put("Manufacturer", text) for name, text in NUMBERS.items()},
    **{f"prose: {name}": put("ImageComments", text) for name, text in TEXTS.items()},
    "PN: three groups": put("OperatorsName", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "functional group: operator": functional(put("OperatorsName", f"{FAMILY}^{GIVEN}")),
    "functional group: comment": functional(put("FrameComments", WHOLE)),
    "functional group: moment": functional(put("FrameAcquisitionDateTime", "19620314101112.123456")),
    "functional group: address": functional(put("PatientAddress", "742 Evergreen Terrace")),
    "functional group: meaning of a code": functional(code(WHOLE)),
    "code which is a name": put("LongCodeValue", UNUSUAL),
    "overlay nested": nested(add(0x60003000, "OW", b"\1\0" * 8), 1),
    "last overlay": add(0x601E3000, "OW", b"\1\0" * 8),
    "audio": add(0x5000200C, "OW", b"\1\0" * 8),
    "retired second image": add(0x7F020010, "OW", b"\1\2" * 64),
    "second image of decimals": put("FloatPixelData", b"\1\2\3\4" * 64),
    "image in a sequence": nested(add(0x7FE00010, "OW", b"\1\2" * 64), 1, "SourceImageSequence"),
    "spectroscopy data": add(0x56000020, "OF", (WHOLE + "   ").encode()),
    "OB: UTF-8 with accents": put("ICCProfile", "....Jürgen Müller....".encode()),
    "OB: Latin-1 with accents": put("ICCProfile", "....Jürgen Müller....".encode("latin-1")),
    "OB: UTF-16 with accents": put("ICCProfile", b"mluc" + "Jürgen Müller".encode("utf-16-be")),
    "OB: Cyrillic": put("ICCProfile", "....Иванов Иван....".encode()),
    "OB: Cyrillic in UTF-16": put("ICCProfile", b"mluc" + "Иванов Иван".encode("utf-16-le")),
    "OB: Chinese": put("ICCProfile", "....山田太郎さん....".encode()),
    "OB: deflated": put("ICCProfile", zlib.compress(f"{WHOLE} 1962-03-14".encode()) + b"\0\0"),
    "OB: one name alone": put("ICCProfile", b"\0\0desc\0\0" + FAMILY.encode() + b"\0"),
    "US: text as numbers": nested(add(0x00283006, "US", words(BYTES)), 1, "VOILUTSequence"),
    "UL: date": put("ReferencedFrameNumber", 19620314),
    "FD: date": put("FrameAcquisitionDuration", 19620314.0),
    "DS: date with decimals": put("RepetitionTime", "19620314.0"),
    "DS: date with an exponent": put("RepetitionTime", "1.9620314E7"),
    "SH: date of birth as a study id": put("StudyID", "14031962"),
    "LO: date of birth behind a digest": put("PatientID", "a3f9-19620314-77"),
    "UI: date of birth": put("StudyInstanceUID", "1.2.840.113619.19560412.7"),
    "UI: date of birth in three parts": put("StudyInstanceUID", "1.2.840.113619.2.1956.4.12.5"),
    "UI: name": add(0x00200052, "UI", FAMILY),
    "all options: word for a date": declared(add(0x00080022, "DA", FAMILY)),
    "all options: word for a time": declared(add(0x00080032, "TM", FAMILY)),
    "all options: word for a moment": declared(add(0x0008002A, "DT", FAMILY)),
    "all options: date of birth": declared(put("PatientBirthDate", "19620314")),
    "all options: operator": declared(put("OperatorsName", f"{FAMILY}^{GIVEN}")),
    "all options: comment": declared(put("ImageComments", WHOLE)),
    "all options: number": declared(put("PatientComments", "219-09-9999")),
    "all options: age": declared(put("PatientAge", "097Y")),
    "all options: private text": declared(private("LO", WHOLE, creator="SIEMENS MR HEADER")),
    "implicit: operator": syntax(ImplicitVRLittleEndian, put("OperatorsName", f"{FAMILY}^{GIVEN}")),
    "big endian: nested operator": syntax(ExplicitVRBigEndian, nested(put("OperatorsName", FAMILY), 3)),
    "deflated: nested operator": syntax(
        DeflatedExplicitVRLittleEndian, nested(put("OperatorsName", FAMILY), 3)
    ),
    "JPEG: EXIF": in_jpeg(lambda stream: stream[:2] + segment(0xE1, exif()) + stream[2:]),
    "JPEG: IPTC": in_jpeg(lambda stream: stream[:2] + segment(0xED, b"8BIM By-line " + BYTES) + stream[2:]),
    "JPEG: comment in UTF-8": in_jpeg(
        lambda stream: stream[:2] + segment(0xFE, "Jürgen Müller".encode()) + stream[2:]
    ),
    "JPEG: comment behind the scan": in_jpeg(lambda stream: stream[:-2] + segment(0xFE, BYTES) + stream[-2:]),
    "JPEG: two ends": in_jpeg(lambda stream: stream + FAMILY.encode() + b"\xff\xd9"),
    "JPEG 2000: comment in a tile": in_jpeg_2000(tile_comment),
    "JPEG 2000: behind the end": in_jpeg_2000(lambda stream: stream + BYTES),
    "JPEG 2000: box with a text": in_jpeg_2000(boxed),
    "RLE: behind the last segment": in_rle(lambda stream: encapsulate([stream + BYTES])),
    "RLE: a fragment too many": in_rle(lambda stream: item(b"") + item(stream) + item(BYTES)),
    "RLE: text for an offset table": in_rle(lambda stream: item(BYTES) + item(stream)),
}
META: dict[str, Change] = {
    "file meta: sender": put("SendingApplicationEntityTitle", FAMILY),
    "file meta: address": put("SourcePresentationAddress", "http://pacs"),
    "file meta: dated program": put("ImplementationClassUID", "1.2.3.20240101"),
}
FILES: dict[str, Callable[[bytearray], bytearray]] = {
    "preamble of a TIFF file": lambda data: bytearray(b"II*\0\x08\0\0\0") + data[8:],
    "attribute which comes twice in an item": before_the_patient(sequence(CLASS + NAMED + INSTANCE)),
    "attribute which comes twice at the start of an item": before_the_patient(sequence(NAMED + INSTANCE)),
    "attribute which comes twice behind an open sequence": before_the_patient(
        sequence(CLASS, undefined=True)
        + raw_element((0x0008, 0x2111), b"ST", FAMILY.encode())
        + raw_element((0x0008, 0x2111), b"ST", b"")
    ),
    "attribute which comes twice in an open sequence": before_the_patient(
        sequence(CLASS + NAMED + INSTANCE, undefined=True)
    ),
    "sequence of unknown type": before_the_patient(unknown_sequence()),
    "attribute which comes twice in an item without types": before_the_patient(
        sequence(untyped(FAMILY) + untyped("1.2.3.4"))
    ),
    "attribute which comes twice in an item of a file without the length of its meta information": (
        lambda data: without_meta_length(before_the_patient(sequence(NAMED + INSTANCE))(data))
    ),
    "attribute which comes twice in an item, the length of the meta information is wrong": (
        lambda data: wrong_meta_length(before_the_patient(sequence(NAMED + INSTANCE))(data))
    ),
}
NAMES = (
    "1962_03_14/0001.dcm",
    "14MAR1962.dcm",
    "MR.1.2.840.19560412101112.dcm",
    "DE89370400440532013000.dcm",
    "PatientName=XuLi.dcm",
    "Xu^Li.dcm",
    "S1234567D/0001.dcm",
    f"{FAMILY}%5E{GIVEN}.dcm",
    "山田太郎.dcm",
    "94yo/0001.dcm",
)
FURTHER: dict[str, Plant] = {
    **{name: on_dataset(change) for name, change in HEADER.items()},
    **{name: on_meta(change) for name, change in META.items()},
    **{name: on_bytes(change) for name, change in FILES.items()},
    **{f"further file name {index}": renamed(name) for index, name in enumerate(NAMES, 1)},
}
CLEAN: dict[str, Change] = {  # what must pass
    "JPEG": jpeg(b""),
    "JPEG 2000": in_jpeg_2000(lambda stream: stream),
    "RLE": in_rle(lambda stream: encapsulate([stream])),
    "version of a program": put("SoftwareVersions", "12.03.10"),
    "quantities": put("SeriesDescription", "b 0 500 1000 TE 12 2000"),
    "whole number with a point": put("AcquisitionNumber", "12.0"),
    **{
        f"empty private {vr}": declared(empty_of_siemens(number, vr))
        for number, vr in ((0x0A, "US"), (0x0B, "DS"), (0x0C, "IS"), (0x0E, "FD"), (0x12, "SL"))
    },
}
