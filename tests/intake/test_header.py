import io

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from synthdata.intake.header import Decoder, Header


def written(*, implicit: bool = False, **attributes: object) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def header(data: bytes, decoder: Decoder) -> Header:
    return Header(dcmread(io.BytesIO(data)), decoder)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_header_gives_the_values_of_the_parser_and_leaves_the_bytes_of_the_file(*, implicit: bool) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "113100", "DCM"
    values = {
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PixelSpacing": ["0.5", "0.75"],
        "Rows": 7,
        "PatientName": "A^B",
        "StudyID": "",
        "DeidentificationMethodCodeSequence": [item],
    }
    decoder, data = Decoder(), written(implicit=implicit, **values)
    for _ in range(2):  # decoded, then remembered
        one, plain = header(data, decoder), dcmread(io.BytesIO(data))
        for keyword in values:
            assert one[keyword] == one.get(keyword) == plain[keyword].value
        assert one.raw(0x00280010) is not None
        assert "Columns" not in one
        assert one.get("Columns", 3) == 3
        with pytest.raises(LookupError):
            _ = one["Columns"]


def test_equal_bytes_of_another_character_set_are_decoded_again() -> None:
    decoder = Decoder()
    utf_8 = written(SpecificCharacterSet="ISO_IR 192", StudyDescription="ä")
    latin = written(SpecificCharacterSet="ISO_IR 100", StudyDescription="Ã¤")
    assert [header(one, decoder)["StudyDescription"] for one in (utf_8, latin)] == ["ä", "Ã¤"]


def test_a_value_whose_type_stands_elsewhere_in_the_file_is_not_shared() -> None:
    decoder = Decoder()
    signed, unsigned = (
        written(implicit=True, PixelRepresentation=sign, PixelPaddingValue=value)
        for sign, value in ((1, -2), (0, 65534))
    )
    assert [header(one, decoder)["PixelPaddingValue"] for one in (signed, unsigned)] == [-2, 65534]
