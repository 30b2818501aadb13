"""A third set of kinds, thought out without a look at the rules: other scripts, encodings, splits and places."""

import base64
import html
import io
import json
import struct
import urllib.parse
import zipfile
from collections.abc import Callable

import nibabel as nib
import numpy as np
from PIL import Image, PngImagePlugin
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.intake.planter import (
    FAMILY,
    GIVEN,
    UNUSUAL,
    Change,
    Plant,
    add,
    nested,
    on_bytes,
    on_dataset,
    private,
    private_sequence,
    put,
    raw_element,
    renamed,
)

WHOLE = f"{GIVEN} {FAMILY}"


def encoded(tag: int, vr: str, text: str, character_set: str | list[str], codec: str) -> Change:
    """Bytes of a text in the character set that the file names."""

    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = character_set
        value = text.encode(codec)
        dataset.add_new(tag, "UN", value + b" " * (len(value) % 2))
        dataset[tag].VR = vr

    return change


def raw(
    keyword_tag: tuple[int, int], vr: bytes, value: bytes, character_set: bytes
) -> Callable[[bytearray], bytearray]:
    """An attribute of bytes before the patient's name, and a character set in the place of the file's."""

    def change(data: bytearray) -> bytearray:
        at = data.index(b"\x08\x00\x05\x00CS") if b"\x08\x00\x05\x00CS" in data else -1
        if at >= 0:
            del data[at : at + 8 + struct.unpack_from("<H", data, at + 6)[0]]
        else:
            at = data.index(b"\x08\x00")
        data[at:at] = raw_element((8, 5), b"CS", character_set)
        place = data.index(b"\x10\x00\x10\x00PN")
        data[place:place] = raw_element(keyword_tag, vr, value)
        return data

    return change


def segment_labelled(text: str) -> Change:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = 1, text, "MANUAL"
    return put("SegmentSequence", Sequence([item]))


def roi(text: str, keyword: str = "ROIName") -> Change:
    item = Dataset()
    item.ROINumber = 1
    setattr(item, keyword, text)
    return put("StructureSetROISequence", Sequence([item]))


def lut(text: str) -> Change:
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation, item.LUTData = [2, 0, 16], text, b"\0\0\1\0"
    return put("VOILUTSequence", Sequence([item]))


def tree(text: str) -> Change:
    """A content tree three deep, its text at the leaf."""
    leaf = Dataset()
    leaf.ValueType, leaf.TextValue = "TEXT", text
    for _ in range(3):
        parent = Dataset()
        parent.ValueType, parent.ContentSequence = "CONTAINER", Sequence([leaf])
        leaf = parent
    return put("ContentSequence", Sequence([leaf]))


def split(first: tuple[str, str], second: tuple[str, str]) -> Change:
    def change(dataset: Dataset) -> None:
        for keyword, text in (first, second):
            setattr(dataset, keyword, text)

    return change


def private_split(*values: str) -> Change:
    def change(dataset: Dataset) -> None:
        block = dataset.private_block(0x0099, "A VENDOR", create=True)
        for number, value in enumerate(values):
            block.add_new(0x10 + number, "LO", value)

    return change


REMARK = "ImageComments"
HEADER: dict[str, Change] = {
    "ISO 2022 JP in a description": encoded(
        0x0008103E, "LO", "頭部 山田太郎", ["", "ISO 2022 IR 87"], "iso2022_jp"
    ),
    "ISO 2022 KR in a maker": encoded(0x00080070, "LO", "김희중", ["", "ISO 2022 IR 149"], "euc_kr"),
    "GB18030 in a comment": encoded(0x00204000, "LT", "王小东 复查", "GB18030", "gb18030"),
    "Greek in UTF-8": put("Manufacturer", "Παπαδόπουλος"),
    "Hebrew in UTF-8": put("ManufacturerModelName", "כהן דוד"),
    "Arabic in UTF-8": put("SeriesDescription", "محمد علي"),
    "Thai in UTF-8": put(REMARK, "สมชาย ใจดี"),
    "Devanagari in UTF-8": put("ProtocolName", "राजेश कुमार"),
    "Georgian in UTF-8": put("StudyDescription", "გიორგი"),
    "Armenian in a code's meaning": nested(put("CodeMeaning", "Արամ Պետրոսյան"), 1, "AnatomicRegionSequence"),
    "full-width letters": put("Manufacturer", "Ｚａｃｈａｒｉａｓ"),
    "letters with combining accents": put("Manufacturer", "Zacharia\u0301s"),
    "zero width between letters": put("Manufacturer", "Zacha\u200brias"),
    "soft hyphen between letters": put("SeriesDescription", "Zacha\u00adrias"),
    "Cyrillic letters among Latin ones": put("Manufacturer", "Zаchаriаs"),
    "base 64 in two lines": put(
        REMARK, base64.encodebytes((WHOLE + " born 1962-03-14, in Springfield").encode()).decode()
    ),
    "base 64 of UTF-16": put(REMARK, base64.b64encode(WHOLE.encode("utf-16-le")).decode()),
    "base 32": put(REMARK, base64.b32encode(WHOLE.encode()).decode()),
    "hexadecimal with blanks": put(REMARK, WHOLE.encode().hex(" ")),
    "hexadecimal with colons": put(REMARK, WHOLE.encode().hex(":")),
    "hexadecimal of a date": put("Manufacturer", b"1962-03-14".hex()),
    "URL-encoded date": put(REMARK, urllib.parse.quote("14/03/1962", safe="")),
    "URL-encoded accents": put(REMARK, urllib.parse.quote("Jürgen Müller")),
    "HTML entities": put(REMARK, "".join(f"&#{ord(char)};" for char in WHOLE)),
    "HTML named entities": put(REMARK, html.escape("<b>") + "J&uuml;rgen M&uuml;ller"),
    "JSON escapes": put(REMARK, "".join(f"\\u{ord(char):04x}" for char in FAMILY)),
    "quoted printable": put(REMARK, "J=C3=BCrgen M=C3=BCller"),
    "reversed name": put(REMARK, WHOLE[::-1]),
    "reversed date of birth": put(REMARK, "19620314"[::-1] + " bod"),
    "rotated by thirteen": put("SeriesDescription", "Mnpunevnf Onegubybzrj"),
    "name split over two values": put(
        "ImageType", ["ORIGINAL", "PRIMARY", GIVEN[:6].upper(), GIVEN[6:].upper()]
    ),
    "name split over two elements": split(("ManufacturerModelName", "Zacha"), ("Manufacturer", "rias")),
    "date split over three values": put("SoftwareVersions", ["1962", "03", "14"]),
    "telephone split over values": put("SoftwareVersions", ["030", "9018", "2000"]),
    "letters split over values": put("SoftwareVersions", list(FAMILY.upper())),
    "private creator with a date": private("LO", "1", creator="SITE 19620314"),
    "private element name split in two": private_split(FAMILY[:5], FAMILY[5:]),
    "private UI with a date": private("UI", "1.2.3.19620314"),
    "private DS list spells a text": private("DS", [str(ord(char)) for char in WHOLE]),
    "private sequence with an address": private_sequence(
        put("InstitutionAddress", "742 Evergreen Terrace"), 2
    ),
    "national id as a UID's suffix": put("StudyInstanceUID", "1.2.826.0.1.3680043.44051401359"),
    "NHS number as a UID's suffix": put("SeriesInstanceUID", "1.2.840.113619.9434765919"),
    "date of birth day first in a UID": put("FrameOfReferenceUID", "1.2.840.113619.14031962"),
    "seconds since 1970 in a UID": put("FrameOfReferenceUID", "1.2.840.113619.1709201472"),
    "characters as numbers in a UID": put(
        "FrameOfReferenceUID", "1.2." + ".".join(str(ord(char)) for char in FAMILY)
    ),
    "explanation of a table": lut(f"window of {WHOLE}"),
    "audio comment": add(0x50002500, "LO", FAMILY),
    "label of a curve": add(0x50000022, "LO", FAMILY),
    "label of a segment": segment_labelled(f"liver of {FAMILY}"),
    "tracking id of a segment": nested(put("TrackingID", f"{FAMILY} lesion"), 1, "SegmentSequence"),
    "leaf of a content tree": tree(f"seen with {WHOLE}"),
    "name of a region": roi(f"GTV {FAMILY}"),
    "interpreter of a region": nested(
        put("ROIInterpreter", f"{FAMILY}^{GIVEN}"), 1, "RTROIObservationsSequence"
    ),
    "description of a region": roi(f"drawn by {GIVEN}", "ROIDescription"),
    "label of a structure set": put("StructureSetLabel", FAMILY.upper()),
    "OF: text as decimals": nested(
        add(0x00660016, "OF", struct.pack("<12f", *map(ord, FAMILY), *(0,) * 3)), 1
    ),
    "UV: national id": add(0x00081156 + 0xE000, "UV", 44051401359),
    "AT: text as tags": put(
        "FrameIncrementPointer",
        [int.from_bytes(f"{FAMILY}   "[at : at + 4].encode(), "big") for at in (0, 4, 8)],
    ),
    "AS: words": add(0x00101010, "AS", "BORN"),
    "OL: date": nested(add(0x00660129, "OL", struct.pack("<I", 19620314)), 1),
    "DS with the bytes of a text": put("WindowCenter", [str(ord(char)) for char in FAMILY]),
    "postscript of a maker": put("SoftwareVersions", f"v12 ({WHOLE})"),
    "handle in a network": put(REMARK, "@bart_zacharias"),
    "page of a person": put(REMARK, "linkedin.com/in/quorlwick"),
    "plate of a car": put(REMARK, "licence plate B-ZQ 1962"),
    "room and bed": put(REMARK, "Station 4B, Zimmer 12, Bett 3, Hr. Quorlwick"),
    "relation": put(REMARK, "daughter of Xanthippa Q., mother died 1962"),
    "initials and birth": put(REMARK, "X.Q. *14.3.62"),
    "age by a birth year": put(REMARK, "born in 1923"),
}
PLACES: dict[str, Callable[[bytearray], bytearray]] = {
    "Latin-2 in a description": raw(
        (0x0008, 0x103E), b"LO", "Grzegorz Brzęczyszczykiewicz".encode("iso8859_2"), b"ISO_IR 101"
    ),
    "Greek in ISO 8859-7": raw((0x0008, 0x103E), b"LO", "Παπαδόπουλος".encode("iso8859_7"), b"ISO_IR 126"),
    "Windows Cyrillic without a character set": raw(
        (0x0008, 0x103E), b"LO", "Иванов".encode("cp1251"), b"ISO_IR 100"
    ),
}
NAMES = (
    "Παπαδόπουλος.dcm",
    f"{urllib.parse.quote('Jürgen')}_M.dcm",
    base64.urlsafe_b64encode(WHOLE.encode()).decode().rstrip("=") + ".dcm",
    WHOLE.encode().hex() + ".dcm",
    f"{GIVEN[:1]}.{FAMILY}/0001.dcm",
    "zacharias1962/0001.dcm",
    "saірahcaz/0001.dcm",
    "img.1962.03.14.dcm",
    "x.dcm.Zacharias",
)


def nifti(extension: bytes = b"", **fields: str) -> bytes:
    image = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4))
    for name, text in fields.items():
        image.header[name] = text.encode()
    if extension:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", extension))
    return image.to_bytes()


def png(**texts: str) -> bytes:
    buffer, chunks = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, text in texts.items():
        chunks.add_text(key.replace("_", " "), text, zip=key == "Zipped")
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, image=np.arange(120, dtype=np.int16).reshape(4, 5, 6), **arrays)
    return buffer.getvalue()


def with_time(data: bytes) -> bytes:
    """An NPZ file whose members say when they were made."""
    source, buffer = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for item in source.infolist():
            archive.writestr(zipfile.ZipInfo(f"{FAMILY}/{item.filename}"), source.read(item))
    return buffer.getvalue()


PICTURES: dict[str, bytes] = {  # read by the reader of image sets
    "NIfTI: base 64 in the description": nifti(descrip=base64.b64encode(WHOLE.encode()).decode()),
    "NIfTI: another script in the description": nifti(descrip="Иванов Иван"),
    "NIfTI: short date in the description": nifti(descrip="scan 14.03.62"),
    "NIfTI: unusual name in the description": nifti(descrip=UNUSUAL),
    "NIfTI: national id in the auxiliary file": nifti(aux_file="44051401359"),
    "NIfTI: extension": nifti(extension=WHOLE.encode()),
    "PNG: key of a text is a name": png(Bartholomew_Zacharias="x"),
    "PNG: text in base 64": png(Comment=base64.b64encode(WHOLE.encode()).decode()),
    "PNG: packed text": png(Zipped=f"of {WHOLE}"),
    "PNG: unusual name": png(Comment=UNUSUAL),
    "NPZ: key in base 64": npz(**{base64.urlsafe_b64encode(WHOLE.encode()).decode().strip("="): np.ones(3)}),
    "NPZ: array spells a text": npz(note=np.frombuffer(WHOLE.encode(), np.uint8)),
    "NPZ: folder of a member": with_time(npz()),
}
SIDECARS: dict[str, bytes] = {  # JSON beside images
    "sidecar: key is a name": json.dumps({WHOLE: 1}).encode(),
    "sidecar: key of two names": json.dumps({GIVEN + FAMILY: 1}).encode(),
    "sidecar: name in two values": json.dumps({"Note": [GIVEN, FAMILY]}).encode(),
    "sidecar: unusual name": json.dumps({"Note": UNUSUAL}).encode(),
    "sidecar: base 64": json.dumps({"Note": base64.b64encode(WHOLE.encode()).decode()}).encode(),
    "sidecar: another script": json.dumps({"Note": "Иванов"}).encode(),
    "sidecar: date as a number": json.dumps({"Note": 19620314}).encode(),
    "sidecar: short date": json.dumps({"Note": "14.03.62"}).encode(),
    "sidecar: escaped letters": json.dumps({"Note": "Müller Jürgen"}).encode(),
    "sidecar: key of a birth": json.dumps({"dateOfBirth": "60"}).encode(),
}
BEYOND = {  # which nothing tells from what clean files have: a word in two attributes, any number of a UID
    "name split over two elements",
    "national id as a UID's suffix",
    "NHS number as a UID's suffix",
}
THIRD: dict[str, Plant] = {
    **{f"third: {name}": on_dataset(change) for name, change in HEADER.items() if name not in BEYOND},
    **{f"third: {name}": on_bytes(change) for name, change in PLACES.items()},
    **{f"third file name {index}": renamed(name) for index, name in enumerate(NAMES, 1)},
}
