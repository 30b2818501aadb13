"""The whole intake with all its checks beside readers that check nothing: SimpleITK, a loop of pydicom, dcm2niix.

Writes series of de-identified slices, native and compressed, and lets each reader read all of them in a process of its
own. Seconds are of the processor (user and system, children included), so a busy machine changes them little; rates are
series per such second. The intake also writes its cases, and reads the unchanged folder once more.

    OMP_NUM_THREADS=1 python benchmarks/intake_readers.py --series 40 [--cold] [--beside ../older-checkout]

With --cold the files are written to disk and dropped from the page cache before each reader, and the rates are per
second of the clock, since a reader that waits for a disk uses no processor.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SLICES, SIDE = 22, 256
ENCODINGS = ("native", "rle", "jpeg-ls")
READERS = ("intake", "intake again", "SimpleITK", "pydicom", "dcm2niix")


def write_series(folder: Path, count: int, encoding: str) -> None:
    """Smooth random volumes with noise, as de-identified MR slices."""
    from pydicom.uid import JPEGLSLossless, RLELossless
    from scipy import ndimage

    from synthdata.dicom import Deidentification, SeriesHeader, image_datasets, save, uid_of
    from synthdata.records import Grid

    rng = np.random.default_rng(1)
    grid = Grid(shape_zyx=(SLICES, SIDE, SIDE), spacing_mm=(5.0, 0.9, 0.9))
    codes = (
        "113100|Basic Application Confidentiality Profile",
        "113108|Retain Patient Characteristics Option",
    )
    smooth = ndimage.gaussian_filter(rng.normal(size=grid.shape_zyx), (1, 8, 8)) * 9000 + 700
    for number in range(count):
        image = np.clip(smooth + rng.normal(scale=9, size=smooth.shape), 0, 4000).astype(np.int16)
        name = f"P{number:05d}"
        header = SeriesHeader(
            modality="MR",
            patient_id=name,
            patient_name=name,
            sex="",
            age_years=None,
            study_uid=uid_of(name, "study"),
            series_uid=uid_of(name, "series"),
            frame_of_reference_uid=uid_of(name, "frame"),
            series_description="T1w",
            series_number=1,
            body_part="ABDOMEN",
            unit="1",
            window=(0.0, 2000.0),
            deidentification=Deidentification(method="benchmark", codes=codes),
        )
        (folder / name).mkdir()
        for index, dataset in enumerate(image_datasets(image, grid, header)):
            path = folder / name / f"{index:03d}.dcm"
            save(dataset, path)
            if encoding != "native":
                _compress(path, RLELossless if encoding == "rle" else JPEGLSLossless)


def _compress(path: Path, syntax: str) -> None:
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)


def by_intake(folder: Path, store: Path) -> None:
    from synthdata.intake import take_in
    from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
    from synthdata.storage.folder import FolderStore

    spec = DatasetSpec(
        name="benchmark",
        title="Benchmark",
        source=Source(kind="folder", uri="unused"),
        channels=(Channel(name="T1w", modality="MR"),),
        grid=GridSpec(shape_zyx=(SLICES, SIDE, SIDE), spacing_mm=(5.0, 0.9, 0.9)),
        sampling=Sampling(cases=1),
        release=Release(licence="CC-BY-4.0"),
        body_part="ABDOMEN",
    )
    report = take_in(spec, folder, FolderStore(store), pseudonym_key=bytes(32))
    assert report.cases.cases == len(list(folder.iterdir())), report.reasons


def by_simpleitk(folder: Path, _: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    for series in sorted(folder.iterdir()):
        sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)))


def by_pydicom(folder: Path, _: Path) -> None:
    from pydicom import dcmread

    for series in sorted(folder.iterdir()):
        datasets = [dcmread(path) for path in series.iterdir()]
        datasets.sort(key=lambda item: item.ImagePositionPatient[2])
        np.stack([item.pixel_array for item in datasets])


def by_dcm2niix(folder: Path, store: Path) -> None:
    for series in sorted(folder.iterdir()):
        command = ["dcm2niix", "-b", "n", "-z", "n", "-f", series.name, "-o", str(store), str(series)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


READ: dict[str, Callable[[Path, Path], None]] = {
    "intake": by_intake,
    "intake again": by_intake,
    "SimpleITK": by_simpleitk,
    "pydicom": by_pydicom,
    "dcm2niix": by_dcm2niix,
}


def seconds_of_processor() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def forget(folder: Path) -> None:
    """Drop files from the page cache, once they are on the disk."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def measured(
    reader: str, folder: Path, store: Path, *, cold: bool = False, code: Path | None = None
) -> tuple[float, float]:
    """Seconds of the processor and peak memory in MB of a reader in a new process; its imports are not counted."""
    command = [sys.executable, __file__, "--reader", reader, "--folder", str(folder), "--store", str(store)]
    command += ["--cold"] if cold else []
    path = str((code or Path(__file__).parents[1]).resolve())
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
    )
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def read_here(reader: str, folder: Path, store: Path, *, cold: bool) -> tuple[float, float]:
    """What `measured` asks for; a first reading of one series takes the imports and codecs."""
    with tempfile.TemporaryDirectory() as name:
        first, other = Path(name) / "first", Path(name) / "store"
        first.mkdir()
        other.mkdir()
        one = min(folder.iterdir())
        (first / one.name).symlink_to(one) if reader in {"SimpleITK", "dcm2niix", "pydicom"} else None
        if not list(first.iterdir()):
            (first / one.name).mkdir()
            for path in one.iterdir():
                (first / one.name / path.name).write_bytes(path.read_bytes())
        READ[reader](first, other)
    if cold:
        forget(folder)
    clock = time.perf_counter if cold else seconds_of_processor
    start = clock()
    READ[reader](folder, store)
    return clock() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=40)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument(
        "--cold", action="store_true", help="files out of the page cache, seconds of the clock"
    )
    parser.add_argument("--beside", type=Path, help="another checkout, whose intake is measured too")
    parser.add_argument("--encodings", nargs="+", choices=ENCODINGS, default=ENCODINGS)
    arguments = parser.parse_args()
    if arguments.reader:
        print(json.dumps(read_here(arguments.reader, arguments.folder, arguments.store, cold=arguments.cold)))
        return
    seconds_are = "the clock, cold" if arguments.cold else "the processor"
    print(
        f"{arguments.series} series of {SLICES} slices of {SIDE} x {SIDE}; series per second of {seconds_are}"
    )
    for encoding in arguments.encodings:
        with tempfile.TemporaryDirectory() as name:
            folder, store = Path(name) / "scans", Path(name) / "store"
            folder.mkdir()
            store.mkdir()
            write_series(folder, arguments.series, encoding)
            found = {reader: measured(reader, folder, store, cold=arguments.cold) for reader in READERS}
            if arguments.beside:
                other = Path(name) / "other"
                found["intake of the other checkout"] = measured(
                    "intake", folder, other, cold=arguments.cold, code=arguments.beside
                )
        rates = {reader: arguments.series / seconds for reader, (seconds, _) in found.items()}
        shown = [f"{reader} {rate:.1f} ({found[reader][1]:.0f} MB)" for reader, rate in rates.items()]
        print(
            f"{encoding:8} {', '.join(shown)}; intake is {rates['intake'] / rates['SimpleITK']:.2f} x SimpleITK"
        )


if __name__ == "__main__":
    main()
