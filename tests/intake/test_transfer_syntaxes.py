"""Every encoding gives the numbers that were encoded; what independent readers decode is the same."""

import base64
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from synthdata.intake import take_in
from synthdata.intake.dicom_file import quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.inventory import Inventory
from synthdata.intake.pixels import stored_slices, values_of
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.records.parquet import read_cases

GREY = [  # of pydicom's wheel: native, big endian, deflated, RLE, JPEG extended, JPEG-LS, JPEG 2000
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
    "JPGExtended.dcm",
    "image_dfl.dcm",
    "693_J2KI.dcm",
    "examples_overlay.dcm",
]


def values_by_intake(path: Path) -> np.ndarray:
    inventory = Inventory()
    seen, data = inventory.add(path)
    with quiet_parsers():
        instance = read_instance(
            seen,
            data,
            judge=ElementJudge(),
            names=Pseudonyms(b"k" * 32),
            inventory=inventory,
            body_part="",
        )
    stored = stored_slices(instance, data, instance.frames)
    values, _ = values_of(stored, instance.pixels, instance.frames[0].scales[0])
    return values


@pytest.mark.parametrize("name", GREY)
def test_pydicoms_files_have_the_values_that_simpleitk_decodes(name) -> None:
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    path = get_testdata_file(name)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(path))
    difference = np.abs(values_by_intake(Path(path)) - expected.reshape(1, *expected.shape[-2:]))
    lossy = name in {"693_J2KI.dcm", "JPGExtended.dcm", "JPEG2000.dcm"}  # decoders may round in their own way
    assert difference.max() <= (1 if lossy else 0)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "SC_rgb_jpeg.dcm", "SC_rgb_rle_16bit_2frame.dcm"])
def test_colour_of_any_kind_is_refused(name) -> None:
    inventory = Inventory()
    seen, data = inventory.add(Path(get_testdata_file(name)))
    with quiet_parsers():
        instance = read_instance(
            seen,
            data,
            judge=ElementJudge(),
            names=Pseudonyms(b"k" * 32),
            inventory=inventory,
            body_part="",
        )
    assert "pixels.colour" in instance.problems


def taken(build, scans, private) -> np.ndarray:
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert report.accepted == report.seen, [reason.code for reason in report.reasons]
    (case,) = read_cases(private, report.cases)
    return case.image[0]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("lowest", [0, -450])
def test_lossless_encodings_give_the_numbers_back(build, scans, private, syntax, lowest) -> None:
    grid = build.grid(shape_zyx=(2, 64, 48))
    image, datasets = build.image(grid) + lowest, build.series("PAT-1", grid)
    for dataset, pixels in zip(datasets, image, strict=True):
        dataset.PixelData = pixels.tobytes()
    for path in build.write(scans, datasets):
        dataset = dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    np.testing.assert_array_equal(taken(build, scans, private), image)


@pytest.mark.service
@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmcjpeg of dcmtk is not installed")
@pytest.mark.parametrize(
    ("option", "syntax", "off"),
    [("+el", JPEGLossless, 0), ("+e1", JPEGLosslessSV1, 0), ("+ee", JPEGExtended12Bit, 1)],
)
def test_jpeg_written_by_dcmtk_has_the_values_that_dcmtk_reads(
    build, scans, private, tmp_path, option, syntax, off
) -> None:
    datasets, expected = build.series("PAT-1", build.grid(shape_zyx=(2, 8, 6))), []
    for dataset in datasets:
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
    for path in build.write(scans, datasets):
        decoded = tmp_path / "decoded.dcm"
        subprocess.run(["dcmcjpeg", option, str(path), str(path)], check=True)
        subprocess.run(["dcmdjpeg", str(path), str(decoded)], check=True)
        expected.append(dcmread(decoded).pixel_array)
        dataset = dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        for keyword in ("ContributingEquipmentSequence", "DerivationDescription", "DerivationCodeSequence"):
            dataset.pop(keyword, None)  # what dcmtk tells of itself
        dataset.save_as(path)
    difference = np.abs(taken(build, scans, private).astype(int) - np.stack(expected))
    assert difference.max() <= off


def formula(lowest: int) -> np.ndarray:
    """The image (y, x) that `ENCODED` holds."""
    y, x = np.mgrid[:20, :16]
    return ((37 * y + 11 * x + (y * x * x) % 29) % 900 + lowest).astype(np.int16)


ENCODED = {  # base 85 of imagecodecs.htj2k_encode(formula(lowest), reversible=True), imagecodecs 2026.3.6 (OpenJPH)
    0: (
        "|4;u>04YEK0000G0000K00000000000000G0000K0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm"
        "&kdTmwh=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001TL1z7lfVEbC;bHnbO68r69CNo0*7<}zyK3K0206e5&+!P0Sj~h`v6"
        "CD0Q@I&0KfnhPyhtb00f|pM574s1DHa!05op?X0rfO$1sxszyKDk00C-"
        "102ZJ}OUIxNfMKEl5Deh{1pAUY6rq>^0D}TCWLhm$H7d^l00+6_tG77-fCx`H0S--FR_UcN$Sd5&i4m6ozyL1t00DQf01LKr(9p-"
        "36Nc#iwhp2&IT}h4VS#!+>I1QflF)Uo$6c|Y#Fob+h687n=m5@F^FH)2M+h2)RT`60uu=grYx>BbaE&5Ol*R}tff<C)bHHLFUM8DoK@B"
        "1U>qRGyVQ^YuNcupiK_r!YzF33PoR=HFE!ODTWa4%KwKp$wb8GUXIcAC_$JpLx@8zboQcQDqL(@8_-tCdX0V%7-"
        "Qd*LPJD8m?1YOEI4<r?0b^-s{"
    ),
    -450: (
        "|4;u>04YEK0000G0000K00000000000000G0000K000000000000EBy0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm"
        "&kdTmwh=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001S^xq6lfVEas{sde0Kfnf0L=UXhjakI024p}62Jfw0Nm683v>Yc07r"
        "BH{3mk&zyK9c00htg1fY&YqX_T=m_oGxG;aQ8vj9`aFp~hl02ZtO0ct=17NAE<$Dj^?VWI#K4B-"
        "9*`;s~op_l*wg90&RS}jyHD$f7_2f5>`w>bcS2v0cy4ozKF>7_BqE8ND35tjhK050+X0e7$f3$}C6(8rk*hUosb4x%tQ8cGpifqFjb1F"
        "?yc&~>iIU9q6Vmd7K8180@!0M1wQKJ+k02pWY|8k176QUNh*`pBSgjUr8y#t12a8HCSsz+xj_CYxtL4I%^UMJJA7a9UwV`aq~bB$a%=S"
        "cB7?mm9w=*67+~;&uVGH!pK@Yx1NyW{M@p*xqLE<)*b#OmlZb(>kc$?UBL(DXYd(T9Sl2n4K^LUCKKTBo$(I0sq+"
    ),
}


@pytest.mark.parametrize("syntax", [HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL])
@pytest.mark.parametrize("lowest", [0, -450])
def test_high_throughput_jpeg_2000_of_another_encoder_gives_the_numbers_back(
    build, scans, private, syntax, lowest
) -> None:
    datasets = build.series("PAT-1", build.grid(shape_zyx=(2, 20, 16)))
    for path in build.write(scans, datasets):
        dataset = dcmread(path)
        dataset.PixelData = encapsulate([base64.b85decode(ENCODED[lowest])])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.PixelRepresentation = int(lowest < 0)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
    np.testing.assert_array_equal(taken(build, scans, private), [formula(lowest)] * 2)
