"""The fourth set: private attributes, character sets, codestreams, and names that are split over attributes."""

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from tests.intake.planter import Change, add, nested, private, private_sequence, put
from tests.intake.planter_third import encoded


def item(**fields):
    one = Dataset()
    for k, v in fields.items():
        setattr(one, k, v)
    return one


def both(*changes):

    def c(ds):
        for x in changes:
            x(ds)

    return c


def floats(text, fmt="f"):
    return struct.pack(f"<{len(text)}{fmt}", *map(ord, text))


def pblock(elements, creator="SIEMENS MR HEADER", group=41):

    def c(ds):
        b = ds.private_block(group, creator, create=True)
        for off, vr, val in elements:
            b.add_new(off, vr, val)

    return c


def eight(ds):
    bits = int(ds.BitsAllocated)
    dt = {8: "u1", 16: "<u2"}[bits]
    px = np.frombuffer(ds.PixelData, dt)
    n = int(ds.Rows) * int(ds.Columns)
    px = px[:n].reshape(ds.Rows, ds.Columns)
    return (px >> bits - 8).astype(np.uint8)


def as_coded(ds, pixels, syntax):
    """Give an object one frame of 8 bits, as its items stand in the pixel data."""
    if "NumberOfFrames" in ds:
        ds.NumberOfFrames = 1
    ds.PixelData = pixels
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (8, 8, 7, 0)
    ds.file_meta.TransferSyntaxUID = syntax


def jpeg_of(ds):
    buf = io.BytesIO()
    Image.fromarray(eight(ds)).save(buf, "JPEG")
    return buf.getvalue()


def j2k(how):

    def c(ds):
        buf = io.BytesIO()
        Image.fromarray(eight(ds)).save(buf, "JPEG2000", no_jp2=True)
        as_coded(ds, encapsulate([how(buf.getvalue())]), JPEG2000Lossless)

    return c


def j2k_comment(s, kind=1):
    com = b"\xffd" + struct.pack(">HH", 4 + 16, kind) + b"Siobhan OMalley_"
    at = 2
    ln = struct.unpack(">H", s[at + 2 : at + 4])[0]
    return s[: at + 2 + ln] + com + s[at + 2 + ln :]


def j2k_binary_comment(s):
    return j2k_comment(s, kind=0)


def jpeg_app(marker, text):

    def c(ds):
        s = jpeg_of(ds)
        seg = bytes([255, marker]) + struct.pack(">H", len(text) + 2) + text
        as_coded(ds, encapsulate([s[:2] + seg + s[2:]]), JPEGBaseline8Bit)

    return c


def fragment(data):
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


def extra_fragment(text):

    def c(ds):
        s = jpeg_of(ds)
        raw, frag = encapsulate([s + bytes(len(s) % 2)]), fragment(text)
        end = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
        pixels = raw[: -len(end)] + frag + end if raw.endswith(end) else raw + frag
        as_coded(ds, pixels, JPEGBaseline8Bit)

    return c


def offset_table(text):

    def c(ds):
        s = jpeg_of(ds)
        as_coded(ds, fragment(bytes(4) + text) + fragment(s + bytes(len(s) % 2)), JPEGBaseline8Bit)

    return c


def zipped(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    data = buffer.getvalue()
    return data + bytes(len(data) % 2)


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


HIDDEN: dict[str, Change] = {
    "siemens csa text": pblock(
        [(0x10, "OB", b"SV10\4\3\2\1" + b"\0" * 8 + b"PatientName\0Okonkwo^Oluwaseun\0")],
        "SIEMENS CSA HEADER",
    ),
    "siemens csa phoenix": pblock(
        [(0x20, "OB", b'tPatientName = "okonkwo"\nulVersion = 0x1\n')], "SIEMENS CSA HEADER"
    ),
    "ge private": pblock([(0x10, "LO", "Okonkwo")], "GEMS_IDEN_01", 0x0009),
    "ge protocol gz": pblock(
        [(0x1B, "OB", b"\x40\0\0\0" + gzip.compress(b'set PATNAME "Okonkwo Oluwaseun"'))],
        "GEMS_SERS_01",
        0x0025,
    ),
    "philips private sequence": lambda ds: ds.private_block(
        0x2005, "Philips MR Imaging DD 005", create=True
    ).add_new(0x0E, "SQ", Sequence([item(PatientName="Okonkwo^O")])),
    "private bz2": private("OB", bz2.compress(b"Okonkwo Oluwaseun 19580319")),
    "private xz": private("OB", lzma.compress(b"Okonkwo Oluwaseun 19580319")),
    "private zip": private("OB", zipped("okonkwo.txt")),
    "private raw deflate": private("OB", deflated(b"Okonkwo Oluwaseun 19580319 " * 4)),
    "private base64": private("OB", base64.b64encode(b"Okonkwo Oluwaseun 19580319")),
    "private utf-16": private("OB", "\ufeffOkonkwo Oluwaseun".encode("utf-16-be")),
    "private utf-32": private("OB", "Okonkwo Oluwaseun".encode("utf-32-le")),
    "private EBCDIC": private("OB", "Okonkwo Oluwaseun".encode("cp500")),
    "private XML": private("UT", "<Patient><Name>Okonkwo</Name></Patient>"),
    "private JSON": private("UT", json.dumps({"patient": {"family": "Okonkwo"}})),
    "private HL7": private("LT", "PID|1||00123||OKONKWO^OLUWASEUN||19580319|M"),
    "private creator name": private("LO", "1", creator="Oluwaseun Okonkwo"),
    "private creator number": private("LO", "1", creator="943 476 5919"),
    "private group 0x0011 no creator": add(0x00110005, "LO", "Okonkwo"),
    "private element without creator": add(0x00111005, "LO", "Okonkwo"),
    "private sequences 3 deep: date": private_sequence(put("Manufacturer", "19.03.1958"), 3),
    "private sequences 3 deep: bytes": private_sequence(private("OB", b"Oluwaseun Okonkwo\0"), 3),
    "private inside public 3 deep": nested(private("LO", "Okonkwo"), 3),
    "public 3 deep inside private": private_sequence(nested(put("PatientName", "Okonkwo^O"), 3), 1),
    "private LO list": private("LO", ["O", "k", "o", "n", "k", "w", "o"]),
    "private UI suffix letters": private("UI", "1.2.79.107.111.110.107.119.111"),
    "charset: Cyrillic": encoded(0x0008103E, "LO", "Кузнецова Светлана", "ISO_IR 144", "iso8859_5"),
    "charset: Arabic": encoded(0x0008103E, "LO", "أحمد الفارسي", "ISO_IR 127", "iso8859_6"),
    "charset: Greek": encoded(0x00080070, "LO", "Παππά Κατερίνα", "ISO_IR 126", "iso8859_7"),
    "charset: Hebrew": encoded(0x00080070, "LO", "ישראל כהן", "ISO_IR 138", "iso8859_8"),
    "charset: Turkish": encoded(0x00080070, "LO", "Çağlar Yıldız", "ISO_IR 148", "iso8859_9"),
    "charset: Thai": encoded(0x00080070, "LO", "สมหญิง", "ISO_IR 166", "tis_620"),
    "charset: GBK": encoded(0x00080070, "LO", "王秀英", "GBK", "gbk"),
    "charset: Japanese kanji": encoded(0x00080070, "LO", "佐藤花子", ["", "ISO 2022 IR 87"], "iso2022_jp"),
    "charset: half-width kana": encoded(0x00080070, "LO", "ﾔﾏﾀﾞ", "ISO_IR 13", "shift_jis"),
    "charset: Latin-2": encoded(0x00080070, "LO", "Małgorzata Szczepańska", "ISO_IR 101", "iso8859_2"),
    "charset: Baltic": encoded(0x00080070, "LO", "Jānis Bērziņš", "ISO_IR 110", "iso8859_4"),
    "charset: Korean": encoded(0x00080070, "LO", "김영희", ["", "ISO 2022 IR 149"], "euc_kr"),
    "charset: unknown name": encoded(0x00080070, "LO", "Okonkwo", "OKONKWO", "ascii"),
    "JPEG APP1 EXIF": jpeg_app(0xE1, b"Exif\0\0MM\0*Oluwaseun Okonkwo"),
    "JPEG APP13": jpeg_app(0xED, b"Photoshop 3.0\0Oluwaseun Okonkwo"),
    "JPEG APP1 XMP": jpeg_app(0xE1, b"http://ns.adobe.com/xap/1.0/\0<dc:creator>Okonkwo</dc:creator>"),
    "JPEG comment": jpeg_app(0xFE, b"Thandiwe Mkhize"),
    "J2K comment": j2k(j2k_comment),
    "J2K binary comment": j2k(j2k_binary_comment),
    "J2K tail": j2k(lambda s: s + b"Okonkwo Oluwaseun "),
    "further fragment": extra_fragment(b"Okonkwo Oluwaseun "),
    "offset table": offset_table(b"Okonkwo Oluwaseun AB"),
    "split: family and given in two": both(
        put("Manufacturer", "Mkhize"), put("ManufacturerModelName", "Thandiwe")
    ),
    "split: rare family, common given": both(
        put("StationName", "Quorlwick"), put("SoftwareVersions", "Anna")
    ),
    "split: everyday family and given in two": both(
        put("Manufacturer", "Baker"), put("ManufacturerModelName", "Rose")
    ),
    "split: everyday family in protocol, given in body": both(
        put("ProtocolName", "Young"), put("SequenceName", "Grace")
    ),
    "split: halves of a family": both(put("Manufacturer", "Mkh"), put("ManufacturerModelName", "ize")),
    "split: initials in three": both(
        put("Manufacturer", "O"), put("ManufacturerModelName", "A"), put("StationName", "OA1958")
    ),
}
