"""Mutated DICOM files through intake: no crash, no hang, bounded memory, and every file has one outcome.

Half of the mutations know the structure (lengths, VRs, nested sequences, duplicated and swapped attributes, sizes of
the image), half are blind (bits, cuts, insertions). Then a deflated bomb and a sequence nested 100,000 deep.
With --others so many archives (ZIP, tar, compressed tar), and as many of each kind of the other files: clinical tables
(CSV, Parquet, FHIR), sidecars, PNG, NPZ and NIfTI, straight at their readers, which may say what is wrong and no more.

    OMP_NUM_THREADS=1 python benchmarks/fuzz_intake.py --files 20000 [--others 5000]
"""

import argparse
import io
import json
import resource
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
from PIL import Image, PngImagePlugin
from pydicom.uid import RTStructureSetStorage

from synthdata.dicom import Deidentification, SeriesHeader, multiframe_dataset, save, uid_of
from synthdata.errors import SourceError
from synthdata.intake import inspect
from synthdata.intake.bids import kind_in_tree
from synthdata.intake.clinical_rows import patient_rows
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.fhir import fhir_rows
from synthdata.intake.inventory import SeenFile
from synthdata.intake.picture_file import read_picture
from synthdata.phantom import write_cohort
from synthdata.records.case_set import ColumnSpec
from synthdata.records.grid import Grid

BATCH = 500
DEPTH = 100_000
BOMB_BYTES = 4 << 30
NUMBERS = (0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
JSON = frozenset({"fhir", "sidecar"})
DEEPER = 0.8  # chance that a mutation of JSON goes into a value
ODD = (
    None,
    True,
    -1,
    1e308,
    10**30,
    "",
    "9999999999",
    [],
    [[]],
    {},
    [1],
    {"code": 1},
    {"coding": 1},
    "x" * 3000,
    "\ud800",
)
COLUMNS = (
    ColumnSpec(name="age", kind="integer", unit="a"),
    ColumnSpec(name="haemoglobin", kind="number", unit="g/dL"),
    ColumnSpec(name="anaemia", kind="boolean"),
    ColumnSpec(name="gender", kind="category", values=("f", "m")),
)
ODD_VALUES = (
    "nan",
    "1e308",
    "-1",
    "0",
    "99999999999",
    "\\\\\\",
    "1.2..3",
    "\0\0\0\0",
    "\xff\xff\xff\xff",
    "YES",
)
VRS = (b"SQ", b"OB", b"UN", b"PN", b"DS", b"IS", b"US", b"AT", b"UT", b"FD", b"ZZ")


def offsets(data: bytes) -> list[int]:
    """Where an explicit attribute seems to begin."""
    found, at = [], 132
    while at + 8 <= len(data) and len(found) < 400:
        if data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper():
            found.append(at)
            if data[at + 4 : at + 6] == b"SQ":  # its items come next
                at += 12
                continue
            long = data[at + 4 : at + 6] in {b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"UC", b"UR"}
            length = (
                struct.unpack_from("<I" if long else "<H", data, at + (8 if long else 6))[0]
                if at + 12 <= len(data)
                else 0
            )
            at += (12 if long else 8) + (0 if length == 0xFFFFFFFF else length)
        else:
            at += 2
    return found


def structured(data: bytearray, rng: np.random.Generator) -> bytearray:
    """One mutation of an attribute."""
    places = offsets(bytes(data))
    if not places:
        return blind(data, rng)
    at = int(rng.choice(places))
    kind = int(rng.integers(8))
    if kind == 7:
        size = len(data)
        odd = str(rng.choice(ODD_VALUES)).encode()
        data[at + 8 : at + 8 + len(odd)] = odd
        del data[size:]
    elif kind == 0:
        data[at + 4 : at + 6] = VRS[rng.integers(len(VRS))]
    elif kind == 1:
        data[at + 6 : at + 8] = struct.pack("<H", int(rng.choice(NUMBERS)) & 0xFFFF)
    elif kind == 2:
        data[at + 8 : at + 12] = struct.pack("<I", int(rng.choice(NUMBERS)))
    elif kind == 3:
        end = min(len(data), at + int(rng.integers(8, 200)))
        data[at:at] = data[at:end]
    elif kind == 4:
        other = int(rng.choice(places))
        data[at : at + 4], data[other : other + 4] = data[other : other + 4], data[at : at + 4]
    elif kind == 5:
        depth = int(rng.integers(1, 3000))
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff"
        data[at:at] = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + item * depth
    else:
        del data[at : at + int(rng.integers(1, 64))]
    return data


def blind(data: bytearray, rng: np.random.Generator) -> bytearray:
    """One mutation of bytes."""
    at = int(rng.integers(max(1, len(data))))
    kind = int(rng.integers(5))
    if kind == 0:
        for place in rng.integers(len(data), size=int(rng.integers(1, 20))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = rng.bytes(int(rng.integers(1, 300)))
    elif kind == 3:
        data[at : at + 16] = bytes([int(rng.choice([0, 0xFF, 0x41]))]) * 16
    else:
        data = data[at:] + data[:at]
    return data


def seeds(folder: Path) -> list[bytes]:
    """Clean phantom files, and pydicom's own examples of every syntax."""
    write_cohort(folder, patients=1, seed=1)
    files = sorted(folder.rglob("*.dcm"))
    mine = [*files[:6], *multi_frames(folder, files)]
    others = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))
    return [path.read_bytes() for path in (*mine, *others) if path.stat().st_size < 300_000]


def multi_frames(folder: Path, files: list[Path]) -> list[Path]:
    """An enhanced image, a mask and a set of contours of the phantom's patient."""
    mask = next(path for path in files if pydicom.dcmread(path, stop_before_pixels=True).Modality == "SEG")
    slices = [pydicom.dcmread(path) for path in files if path.parent == files[0].parent][:4]
    evidence = Deidentification(method="in code", codes=("113100|Basic Application Confidentiality Profile",))
    header = SeriesHeader(
        modality="MR", patient_id="P-1", patient_name="P-1", sex="", age_years=None, study_uid=uid_of("a"),
        series_uid=uid_of("b"), frame_of_reference_uid=uid_of("c"), series_description="T1w", series_number=1,
        body_part="HEAD", unit="1", window=(0.0, 900.0), deidentification=evidence,
    )  # fmt: skip
    grid = Grid(shape_zyx=(4, 24, 20), spacing_mm=(3.0, 2.0, 1.5))
    voxels = np.random.default_rng(0).integers(0, 900, grid.shape_zyx).astype(np.int16)
    save(multiframe_dataset(voxels, grid, header), folder / "enhanced.dcm")
    contours = slices[0]
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "PixelSpacing", "ImagePositionPatient"):
        delattr(contours, keyword)
    contours.SOPClassUID, contours.Modality, contours.SOPInstanceUID = (
        RTStructureSetStorage,
        "RTSTRUCT",
        uid_of("d"),
    )
    region, drawing, outline = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    region.ROINumber, region.ROIName = 1, "lesion"
    region.ReferencedFrameOfReferenceUID = contours.FrameOfReferenceUID
    outline.ContourGeometricType, outline.NumberOfContourPoints = "CLOSED_PLANAR", 3
    outline.ContourData = ["0", "0", "0", "9", "0", "0", "9", "9", "0"]
    drawing.ReferencedROINumber, drawing.ContourSequence = 1, [outline]
    contours.StructureSetROISequence, contours.ROIContourSequence = [region], [drawing]
    save(contours, folder / "contours.dcm")
    return [mask, folder / "enhanced.dcm", folder / "contours.dcm"] * 4  # a quarter of the seeds or so


def deep_sequence(depth: int) -> bytes:
    """A file whose only content is a sequence in a sequence in a sequence."""
    meta = b"\x02\0\x10\0UI\x14\0" + b"1.2.840.10008.1.2.1\0"
    head = b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta
    return head + (b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff") * depth


def bomb(size: int) -> bytes:
    """A deflated dataset which unpacks to one text of that many bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(b"\x08\0\x04\0UT\0\0" + struct.pack("<I", min(size, 0xFFFFFFFE)))
    block = b"A" * (1 << 24)
    for _ in range(size >> 24):
        packed += packer.compress(block)
    meta = b"\x02\0\x10\0UI\x16\0" + b"1.2.840.10008.1.2.1.99"
    head = b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(meta)) + meta
    return head + packed + packer.flush()


def judged(folder: Path, files: list[bytes]) -> tuple[Counter[str], float]:
    """Outcomes of some files, and seconds."""
    for path in folder.iterdir():
        path.unlink()
    for number, data in enumerate(files):
        (folder / f"{number:06d}.dcm").write_bytes(data)
    start = time.process_time()
    try:
        report = inspect(folder)
    except SourceError:  # none of them is a scan any more
        return Counter(refused=len(files)), time.process_time() - start
    seconds = time.process_time() - start
    assert report.accepted + report.quarantined + report.refused == report.seen == len(files)
    return Counter(accepted=report.accepted, quarantined=report.quarantined, refused=report.refused), seconds


def peak_mb() -> int:
    """Most memory that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def mutated(clean: list[bytes], count: int, rng: np.random.Generator) -> list[bytes]:
    """Files after one to three mutations each."""
    kinds: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (structured, blind)
    files = []
    for number in range(count):
        data = bytearray(clean[int(rng.integers(len(clean)))])
        for _ in range(int(rng.integers(1, 4))):
            data = kinds[number % 2](data, rng) if len(data) > 16 else data
        files.append(bytes(data))
    return files


def mutated_others(kind: str, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Files of a kind after one to three mutations each; of texts and JSON also by their structure."""
    seed = OTHERS[kind]()
    for _ in range(count):
        data = bytearray(json.dumps(bent(json.loads(seed), rng)).encode() if kind in JSON else seed)
        for _ in range(int(rng.integers(kind not in JSON, 4))):
            data = blind(data, rng) if len(data) > 16 else data
        yield bytes(data)


def bent(value: object, rng: np.random.Generator) -> object:
    """JSON with one value of another type, somewhere."""
    if isinstance(value, dict | list) and value and rng.random() < DEEPER:
        key = (
            list(value)[int(rng.integers(len(value)))]
            if isinstance(value, dict)
            else int(rng.integers(len(value)))
        )
        value[key] = bent(value[key], rng)  # type: ignore[index] # a key of a dict, or a place of a list
        return value
    return ODD[int(rng.integers(len(ODD)))]


def read_other(kind: str, data: bytes) -> bool:
    """True where the reader of a kind takes a file; False where it says what is wrong."""
    try:
        if kind == "fhir":
            fhir_rows(data, COLUMNS, {"haemoglobin": "Observation 718-7"})
        elif kind in {"csv", "parquet"}:
            patient_rows(data, ("age", "haemoglobin"))
        elif kind == "sidecar":
            return kind_in_tree(data, "sub-01/anat/sub-01_T1w.json") == "beside:"
        else:
            seen = SeenFile(Path("picture"), "", 0)
            read_picture(seen, data, (1.0, 1.0, 1.0))
            return not seen.reasons
    except SourceError:
        return False
    return True


def fhir_seed() -> bytes:
    patient = {"resourceType": "Patient", "id": "1", "identifier": [{"value": "P-1"}], "gender": "female"}
    subject = {"reference": "Patient/1"}
    coded = {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hb"}], "text": "Hb"}
    amount = {"value": 13.2, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"}
    said = {
        "resourceType": "Observation", "status": "final", "subject": subject, "code": coded, "valueQuantity": amount,
        "effectiveDateTime": "2020-01-02", "component": [{"code": coded, "valueCodeableConcept": coded}],
    }  # fmt: skip
    condition = {"resourceType": "Condition", "subject": subject, "code": coded, "clinicalStatus": coded}
    study = {"resourceType": "ImagingStudy", "subject": subject, "started": "2020-01-03T10:00:00Z"}
    resources = (patient | {"birthDate": "1960-05-06"}, said, condition, study)
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": f"urn:{n}", "resource": r} for n, r in enumerate(resources)],
    }
    return json.dumps(bundle).encode()


def table_seed() -> bytes:
    return b'patient,age [a],haemoglobin,haemoglobin_unit\r\nP-1,61,13.2,g/dL\r\nP-2,,"12,9",\r\n'


def parquet_seed() -> bytes:
    columns = {
        "patient": ["P-1", "P-2"],
        "age": [61, None],
        "haemoglobin": [13.2, 12.9],
        "day": [date(2020, 1, 2)] * 2,
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def sidecar_seed() -> bytes:
    return json.dumps(
        {"EchoTime": 0.03, "SliceTiming": [0, 1.5], "Manufacturer": "Siemens", "Coil": {"Name": "Head"}}
    ).encode()


def png_seed() -> bytes:
    buffer, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    texts.add_text("Software", "a program", zip=True)
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


def npz_seed() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, image=np.arange(400, dtype=np.int16).reshape(4, 10, 10), other=np.ones(3))
    return buffer.getvalue()


def nifti_seed() -> bytes:
    return nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4)).to_bytes()


OTHERS: dict[str, Callable[[], bytes]] = {
    "fhir": fhir_seed, "csv": table_seed, "parquet": parquet_seed, "sidecar": sidecar_seed, "png": png_seed,
    "npz": npz_seed, "nifti": nifti_seed,
}  # fmt: skip


def archives(files: list[bytes]) -> list[bytes]:
    """ZIP and tar of some files, plain and compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(files):
            archive.writestr(f"study/{number}.dcm", data)
    found = [buffer.getvalue()]
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload] # one of four modes
            for number, data in enumerate(files):
                entry = tarfile.TarInfo(f"study/{number}.dcm")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        found.append(buffer.getvalue())
    return found


def fuzz_archives(clean: list[bytes], count: int, rng: np.random.Generator) -> tuple[Counter[str], float]:
    """Outcomes of mutated archives beside one clean file, and seconds of the slowest; archives count by their files."""
    total, slowest, whole = Counter[str](), 0.0, archives(clean[:2])
    with tempfile.TemporaryDirectory() as name:
        for _ in range(count):
            data = bytearray(whole[int(rng.integers(len(whole)))])
            for _ in range(int(rng.integers(1, 4))):
                data = blind(data, rng) if len(data) > 16 else data
            (Path(name) / "export.zip").write_bytes(data)
            (Path(name) / "clean.dcm").write_bytes(clean[0])
            start = time.process_time()
            report = inspect(Path(name))
            slowest = max(slowest, time.process_time() - start)
            assert report.accepted + report.quarantined + report.refused == report.seen >= 2
            total += Counter(seen=report.seen, refused=report.refused)
    return total, slowest


def fuzz_others(count: int, rng: np.random.Generator) -> None:
    """Print how many mutated files of each kind were taken, and the slowest."""
    for kind in OTHERS:
        taken, slowest = 0, 0.0
        for data in mutated_others(kind, count, rng):
            start = time.process_time()
            taken += read_other(kind, data)
            slowest = max(slowest, time.process_time() - start)
        print(
            f"{kind}: {taken} of {count} taken, the slowest {slowest:.2f} CPU s, peak {peak_mb()} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--others", type=int, default=0, help="so many of each other kind, and of archives")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng, total, slowest = np.random.default_rng(arguments.seed), Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        folder.mkdir()
        clean = seeds(Path(name) / "seeds")
        judged(folder, clean)
        before = peak_mb()
        if arguments.others:
            with quiet_parsers():
                fuzz_others(arguments.others, rng)
            counts, seconds = fuzz_archives(clean, arguments.others, rng)
            print(
                f"archives: {arguments.others}, {dict(counts)}, the slowest {seconds:.2f} CPU s, peak {peak_mb()} MB"
            )
        for done in range(0, arguments.files, BATCH):
            outcomes, seconds = judged(folder, mutated(clean, min(BATCH, arguments.files - done), rng))
            total += outcomes
            slowest = max(slowest, seconds / BATCH)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{done + BATCH} of {arguments.files}")
        print(
            f"{sum(total.values())} mutated files: {dict(total)}; slowest batch {slowest * 1000:.0f} CPU ms a file"
        )
        print(f"peak memory {before} MB after the clean files, {peak_mb()} MB after all")
        for what, data in (
            ("sequence of depth 100,000", deep_sequence(DEPTH)),
            ("bomb of 4 GiB", bomb(BOMB_BYTES)),
        ):
            outcomes, seconds = judged(folder, [data, clean[0]])
            print(f"{what}, {len(data) >> 10} kB: {dict(outcomes)}, {seconds:.1f} s, peak {peak_mb()} MB")


if __name__ == "__main__":
    main()
