"""The fourth set: value types, places in an object, and what stands around it."""

import struct
import zlib

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.intake.planter import (
    Change,
    Plant,
    add,
    nested,
    on_bytes,
    on_dataset,
    on_meta,
    private,
    put,
    raw_element,
    renamed,
)
from tests.intake.planter_hidden import HIDDEN, floats, item
from tests.intake.planter_people import DATES, FILE_NAMES, NUMBERS, PEOPLE


def seq(keyword, *items):
    return put(keyword, Sequence(list(items)))


def deep(change, *keywords):
    """Nest through a path of different sequences."""

    def outer(ds):
        inner = Dataset()
        change(inner)
        if any(not str(e.value).isascii() for e in inner if isinstance(e.value, str)):
            ds.SpecificCharacterSet = "ISO_IR 192"
        for kw in reversed(keywords):
            parent = Dataset()
            setattr(parent, kw, Sequence([inner]))
            inner = parent
        for e in inner:
            ds[e.tag] = e

    return outer


def text_in_pixels(ds):
    px = bytearray(ds.PixelData)
    s = b"OKONKWO^OLUWASEUN 19580319"
    px[: len(s)] = s
    ds.PixelData = bytes(px)


def pdf(text):
    body = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    z = zlib.compress(body)
    return (
        b"%%PDF-1.7\n1 0 obj<</Length %d/Filter/FlateDecode>>stream\n" % len(z)
        + z
        + b"\nendstream endobj\n%%EOF\n"
    )


def encap(sop, mime, data):

    def c(ds):
        ds.SOPClassUID = sop
        if hasattr(ds, "file_meta"):
            ds.file_meta.MediaStorageSOPClassUID = sop
        for kw in ("PixelData",):
            if kw in ds:
                delattr(ds, kw)
        ds.MIMETypeOfEncapsulatedDocument = mime
        ds.EncapsulatedDocument = data + b"\x00" * (len(data) % 2)

    return c


TYPES: dict[str, Change] = {
    "AE: name in a nested title": nested(put("RetrieveAETitle", "OKONKWO_PC"), 3),
    "AE: private": private("AE", "ADEBAYO"),
    "AS: 93 years nested": nested(add(0x00101010, "AS", "093Y"), 3),
    "AS: private 1200 months": private("AS", "1200M"),
    "AT: bytes of a name": private("AT", [0x4F6B6F6E, 0x6B776F20]),
    "CS: surname as position": put("PatientPosition", "KOWALCZYK"),
    "CS: surname nested": nested(put("ImageLaterality", "ADEBAYO"), 3),
    "DA: calibration": put("DateOfLastCalibration", "20230711"),
    "DA: private": private("DA", "19580319"),
    "DA: nested three deep unknown place": nested(add(0x00189074, "DA", "19580319"), 3),
    "DS: telephone": put("ImagingFrequency", "5125550143"),
    "DS: social security": nested(put("ImagingFrequency", "078051120"), 3),
    "DS: date with fraction": private("DS", "19580319.5"),
    "DT: nested": nested(put("FrameReferenceDateTime", "20230711093000.000000+0200"), 3),
    "DT: private": private("DT", "195803191200"),
    "FL: date": nested(add(0x00189306, "FD", 19580319.0), 2),
    "FL: private date": private("FL", 19580319.0),
    "FD: letters as numbers": private("FD", [float(ord(c)) for c in "Okonkwo Ade"]),
    "FD: seconds since 1970": put("FrameAcquisitionDuration", 1689062400.0),
    "IS: national number": put("SeriesNumber", "78051120"),
    "IS: date nested": nested(put("InstanceNumber", "19580319"), 3),
    "LO: maker": put("Manufacturer", "Okonkwo"),
    "LT: prose": put("ImageComments", "Mr Adebayo from Ibadan, seen again on Tuesday"),
    "OB: text": private("OB", b"\0\1Oluwaseun Okonkwo\0"),
    "OB: latin-1": private("OB", "Müller Jürgen Häußler".encode("latin-1")),
    "OD: letters": private("OD", floats("Oluwaseun Okonkwo", "d")),
    "OF: letters": private("OF", floats("Oluwaseun Okonkwo")),
    "OF: bytes": private("OF", b"Oluwaseun Okonkwo..."),
    "OL: letters": private("OL", struct.pack("<17I", *map(ord, "Oluwaseun Okonkwo"))),
    "OL: bytes": private("OL", b"Oluwaseun Okonkwo..."),
    "OV: bytes": private("OV", b"Oluwaseun Okonkwo\0\0\0\0\0\0\0"),
    "OW: UTF-16": private("OW", "Oluwaseun Okonkwo".encode("utf-16-le")),
    "OW: swapped bytes": private("OW", b"lOwusaue nkOnowk o"),
    "PN: nested": nested(put("PersonName", "Okonkwo^Oluwaseun"), 3),
    "PN: phonetic": put("PatientName", "==やまだ^たろう"),
    "PN: private": private("PN", "Mkhize^Thandiwe"),
    "SH: station": put("StationName", "MKHIZE-MR1"),
    "SH: nested": nested(put("CodeValue", "MKHIZE"), 3),
    "SL: date": private("SL", 19580319),
    "SS: letters": private("SS", [ord(c) for c in "Okonkwo^Ade"]),
    "ST: address": put("InstitutionAddress", "ul. Marszałkowska 27, 00-639 Warszawa"),
    "SV: date and time": private("SV", 20230711093000),
    "SV: milliseconds since 1970": private("SV", 1689062400000),
    "TM: nested": nested(put("ContentTime", "093015.25"), 3),
    "TM: private": private("TM", "093015"),
    "UC: nested": nested(put("LongCodeValue", "Okonkwo, Oluwaseun"), 3),
    "UI: private dated": private("UI", "1.3.12.2.1107.5.2.43.20230711093015123"),
    "UI: nested": nested(put("ReferencedSOPInstanceUID", "1.2.840.113619.2.55.3.19580319"), 3),
    "UI: month first": put("FrameOfReferenceUID", "1.2.826.0.1.03191958.7"),
    "UL: date": nested(add(0x00189079 + 0x10000, "UL", 19580319), 2),
    "UL: private date": private("UL", 19580319),
    "UN: name": add(0x00189999, "UN", b"Okonkwo^Oluwaseun "),
    "UN: private sequence of implicit items": add(
        0x00991001, "UN", b"\xfe\xff\x00\xe0\x1a\0\0\0" + b"\x10\0\x10\0\x12\0\0\0" + b"Okonkwo^Oluwaseun "
    ),
    "UR: page": put("RetrieveURL", "http://10.0.0.7/pacs?patient=okonkwo"),
    "US: letters": private("US", [ord(c) for c in "Okonkwo^Oluwaseun"]),
    "UT: prose": nested(put("TextValue", "The patient, Thandiwe Mkhize, lives with her sister."), 3),
    "UV: phone": private("UV", 447700900123),
    "UV: nested seconds": private("UV", 20230711),
}
PLACES: dict[str, Change] = {
    "three sequences: name": deep(
        put("Manufacturer", "Oluwaseun Okonkwo"),
        "SourceImageSequence",
        "PurposeOfReferenceCodeSequence",
        "EquivalentCodeSequence",
    ),
    "functional groups: name": deep(
        put("FrameComments", "Oluwaseun Okonkwo"), "SharedFunctionalGroupsSequence", "FrameContentSequence"
    ),
    "functional groups: date": deep(
        put("FrameAcquisitionDateTime", "20230711093000"),
        "PerFrameFunctionalGroupsSequence",
        "FrameContentSequence",
    ),
    "functional groups: label": deep(
        put("FrameLabel", "OKONKWO"), "PerFrameFunctionalGroupsSequence", "FrameContentSequence"
    ),
    "dimension: description": deep(
        put("DimensionDescriptionLabel", "Okonkwo Oluwaseun"), "DimensionIndexSequence"
    ),
    "stack id": deep(put("StackID", "OKONKWO"), "PerFrameFunctionalGroupsSequence", "FrameContentSequence"),
    "acquisition context": deep(put("TextValue", "Thandiwe Mkhize"), "AcquisitionContextSequence"),
    "acquisition context person": deep(put("PersonName", "Mkhize^Thandiwe"), "AcquisitionContextSequence"),
    "request attributes": deep(
        put("RequestedProcedureDescription", "MR for Mkhize"), "RequestAttributesSequence"
    ),
    "performed protocol": deep(put("CodeMeaning", "as Dr Mkhize wants"), "PerformedProtocolCodeSequence"),
    "admitting diagnosis": put("AdmittingDiagnosesDescription", "Mkhize: seizure"),
    "contributing equipment": deep(
        put("InstitutionName", "St Mary Hospital"), "ContributingEquipmentSequence"
    ),
    "contributing equipment operator": deep(
        put("OperatorsName", "Mkhize^T"), "ContributingEquipmentSequence"
    ),
    "contributing date": deep(put("ContributionDateTime", "20230711093000"), "ContributingEquipmentSequence"),
    "original attributes source": deep(
        put("SourceOfPreviousValues", "Mkhize clinic"), "OriginalAttributesSequence"
    ),
    "encrypted attributes": seq(
        "EncryptedAttributesSequence",
        item(EncryptedContentTransferSyntaxUID="1.2.840.10008.1.2", EncryptedContent=b"Okonkwo^Oluwaseun "),
    ),
    "MAC parameters and signature": seq(
        "DigitalSignaturesSequence",
        item(MACIDNumber=1, DigitalSignatureUID="1.2.3.4", CertificateOfSigner=b"CN=Oluwaseun Okonkwo"),
    ),
    "specimen": deep(put("SpecimenShortDescription", "liver of Okonkwo"), "SpecimenDescriptionSequence"),
    "device serial": put("DeviceSerialNumber", "35177"),
    "gantry id": put("GantryID", "OKONKWO"),
    "detector id": put("DetectorID", "DX-Mkhize"),
    "plate id": put("PlateID", "MKHIZE-7"),
    "protocol name": put("ProtocolName", "Mkhize knee protocol"),
    "contrast agent": put("ContrastBolusAgent", "Gd for Okonkwo"),
    "scan options": put("ScanOptions", "OKONKWO"),
    "sequence name": put("SequenceName", "*tfl_okonkwo"),
    "coil name": put("ReceiveCoilName", "OKONKWO COIL"),
    "filter type": put("FilterType", "MKHIZE"),
    "image type": put("ImageType", ["ORIGINAL", "PRIMARY", "M", "MKHIZE"]),
    "view position": put("ViewPosition", "MKHIZE"),
    "units": put("RescaleType", "MKHIZE"),
    "window explanation": put("WindowCenterWidthExplanation", "FOR MKHIZE"),
    "explanation of a window": deep(put("LUTExplanation", "for Thandiwe Mkhize"), "VOILUTSequence"),
    "real world map": deep(put("LUTLabel", "MKHIZE"), "RealWorldValueMappingSequence"),
    "presentation LUT": deep(put("LUTExplanation", "Mkhize Thandiwe"), "PresentationLUTSequence"),
    "patient ids list": seq("OtherPatientIDsSequence", item(PatientID="00123456", TypeOfPatientID="TEXT")),
    "issuer": put("IssuerOfPatientID", "St Mary Hospital"),
    "patient species": put("PatientSpeciesDescription", "Okonkwo's dog"),
    "ethnic group": put("EthnicGroup", "Yoruba"),
    "occupation": put("Occupation", "chief of Ibadan"),
    "military": put("MilitaryRank", "Colonel"),
    "religion": put("PatientReligiousPreference", "Anglican"),
    "insurance": put(
        "PatientInsurancePlanCodeSequence",
        Sequence([item(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="Okonkwo family plan")]),
    ),
    "country": put("CountryOfResidence", "Nigeria"),
    "region": put("RegionOfResidence", "Oyo State"),
    "phones": put("PatientTelephoneNumbers", "+234 803 123 4567"),
    "allergies": put("Allergies", "penicillin, says Okonkwo"),
    "trial site": put("ClinicalTrialSiteName", "St Mary Hospital"),
    "trial coordinator": put("ClinicalTrialCoordinatingCenterName", "Mkhize Institute"),
    "trial subject": put("ClinicalTrialSubjectID", "Mkhize T"),
    "study id": put("StudyID", "Mkhize"),
    "confidentiality": put("ConfidentialityConstraintOnPatientDataDescription", "VIP: Okonkwo"),
    "deidentification method": put("DeidentificationMethod", "done by Thandiwe Mkhize 11.07.2023"),
    "deidentification code": deep(
        put("CodeMeaning", "Okonkwo Oluwaseun"), "DeidentificationMethodCodeSequence"
    ),
    "structured display": put("ContentLabel", "MKHIZE"),
    "content creator": put("ContentCreatorName", "Mkhize^Thandiwe"),
    "content description": put("ContentDescription", "lesion of Okonkwo"),
    "annotation unformatted": seq(
        "GraphicAnnotationSequence", item(TextObjectSequence=Sequence([item(UnformattedTextValue="Okonkwo")]))
    ),
    "graphic layer": seq("GraphicLayerSequence", item(GraphicLayer="OKONKWO", GraphicLayerOrder=1)),
    "overlay 6002 rows only": add(0x60020010, "US", 16),
    "overlay label": add(0x60001500, "LO", "Okonkwo"),
    "overlay 601E data": add(0x601E3000, "OW", b"\1\0" * 32),
    "curve 501E": add(0x501E3000, "OW", b"\1\0" * 32),
    "icon with pixels": seq(
        "IconImageSequence",
        item(
            Rows=4,
            Columns=4,
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
            PixelRepresentation=0,
            PixelData=b"\1" * 16,
        ),
    ),
    "icon nested": deep(
        lambda d: setattr(d, "IconImageSequence", Sequence([item(Rows=1)])), "ReferencedImageSequence"
    ),
    "float pixels": put("FloatPixelData", b"\0\0\0\0" * 4),
    "waveform": deep(put("ChannelLabel", "Okonkwo"), "WaveformSequence", "ChannelDefinitionSequence"),
    "audio": add(0x50002000, "US", 1),
    "trailing padding": put("DataSetTrailingPadding", b"Okonkwo Oluwaseun\0"),
    "trailing padding in digits": put("DataSetTrailingPadding", b"\0\0\0\x31\x39\x35\x38\x30\x33\x31\x39\0"),
    "trailing padding not zero": put("DataSetTrailingPadding", b"\x91\x22\x07\x05" * 4),
    "pdf beside the image": put("EncapsulatedDocument", pdf("Okonkwo Oluwaseun").ljust(400)),
    "pdf object": encap("1.2.840.10008.5.1.4.1.1.104.1", "application/pdf", pdf("Okonkwo")),
    "cda object": encap(
        "1.2.840.10008.5.1.4.1.1.104.2",
        "text/XML",
        b"<ClinicalDocument><name><given>Thandiwe</given></name></ClinicalDocument>",
    ),
    "stl object": encap(
        "1.2.840.10008.5.1.4.1.1.104.3", "model/stl", b"solid okonkwo".ljust(80) + struct.pack("<I", 0)
    ),
    "obj object": encap("1.2.840.10008.5.1.4.1.1.104.4", "model/obj", b"o okonkwo\nv 0 0 0\n"),
    "document title": put("DocumentTitle", "Letter to Okonkwo"),
    "source instance document": put("ListOfMIMETypes", "text/okonkwo"),
    "palette": put("BluePaletteColorLookupTableData", b"Okonkwo Oluwaseun\0"),
    "icc": put("ICCProfile", b"\0\0\1\0" + b"copyright Oluwaseun Okonkwo\0"),
    "first pixels spell a name": text_in_pixels,
}
META = {
    "meta: sending title": put("SendingApplicationEntityTitle", "OKONKWO"),
    "meta: receiving title": put("ReceivingApplicationEntityTitle", "MKHIZE"),
    "meta: address": put("SourcePresentationAddress", "dicom://10.0.0.7:104"),
    "meta: implementation uid dated": put("ImplementationClassUID", "1.2.3.20230711"),
    "meta: version": put("ImplementationVersionName", "MKHIZE_1"),
    "meta: private": lambda m: (
        m.add_new(0x00020100, "UI", "1.2.3"),
        m.add_new(0x00020102, "OB", b"Okonkwo\0"),
    ),
    "meta: unknown element": lambda m: m.add_new(0x00020099, "LO", "Okonkwo"),
}


def pre_tiff(d):
    d[:8] = b"II*\x00\x08\x00\x00\x00"
    d[20:37] = b"Okonkwo Oluwaseun"
    return d


def pre_exe(d):
    d[:2] = b"MZ"
    d[10:27] = b"Okonkwo Oluwaseun"
    return d


def pre_last(d):
    d[121:128] = b"Okonkwo"
    return d


def between(d):
    at = d.index(b"(\x00\x10\x00US")
    d[at:at] = raw_element((40, 5), b"LO", b"Okonkwo")
    return d


def nul_inside(d):
    at = d.index(b"\x08\x00`\x00CS")
    ln = struct.unpack_from("<H", d, at + 6)[0]
    val = bytes(d[at + 8 : at + 8 + ln]).strip() + b"\x00OKONKWO"
    val += b" " * (len(val) % 2)
    d[at : at + 8 + ln] = d[at : at + 6] + struct.pack("<H", len(val)) + val
    return d


def group_length(d):
    at = d.index(b"\x08\x00\x05\x00CS") if b"\x08\x00\x05\x00CS" in d else d.index(b"\x08\x00\x08\x00CS")
    d[at:at] = b"\x08\x00\x00\x00UL\x04\x00" + b"1958"
    return d


BYTES = {
    "preamble tiff": pre_tiff,
    "preamble exe": pre_exe,
    "preamble end": pre_last,
    "command group element": lambda d: (
        d.__setitem__(slice(len(d), len(d)), b""),
        d.extend(b"\xfc\xff\xfc\xffOB\0\0\x12\0\0\0Okonkwo^Oluwaseun "),
        d,
    )[2],
    "after the end: second DICOM": lambda d: d + d,
    "after the end: text": lambda d: d + b"Okonkwo^Oluwaseun ",
    "after the end: zeros and text": lambda d: d + b"\0" * 512 + b"Okonkwo",
    "behind a NUL in a coded string": nul_inside,
    "group length with digits": group_length,
    "out of order": between,
    "UTF-8 BOM and text ahead": lambda d: bytearray(b"\xef\xbb\xbfOkonkwo".ljust(128, b"\0")) + d[128:],
}
ALLOWED = {  # by the options that the clean files declare, or by nothing that tells them from clean ones
    "device serial",
    "ethnic group",
    "occupation",
    "allergies",
    "IS: national number",
    "first pixels spell a name",
    "name: two letters",
    "name: leetspeak",
    "date: Julian",
    "split: halves of a family",
    "split: initials in three",
    "group length with digits",
}
HEADER: dict[str, Change] = {
    **TYPES,
    **PLACES,
    **HIDDEN,
    **{f"name: {what}": put("SeriesDescription", text) for what, text in PEOPLE.items()},
    **{f"number: {what}": put("ImageComments", text) for what, text in NUMBERS.items()},
    **{f"date: {what}": put("ImageComments", text) for what, text in DATES.items()},
}
ALL: dict[str, Plant] = {
    **{name: on_dataset(change) for name, change in HEADER.items()},
    **{name: on_meta(change) for name, change in META.items()},
    **{name: on_bytes(change) for name, change in BYTES.items()},
    **{f"file {name}": renamed(name) for name in FILE_NAMES},
}
FOURTH = {f"fourth: {name}": plant for name, plant in ALL.items() if name not in ALLOWED}
