"""The whole intake with all its checks beside readers that check nothing: SimpleITK, a loop of pydicom, dcm2niix.

Writes series of de-identified slices, native and compressed, and lets each reader read all of them in a process of its
own. Seconds are of the processor (user and system, children included), so a busy machine changes them little; rates are
series per such second. The intake also writes its cases, and reads the unchanged folder once more.

    OMP_NUM_THREADS=1 python benchmarks/intake_readers.py --series 40 [--cold] [--beside ../older-checkout]

With --heads the slices show heads of the phantom, in which the look for text and faces has more to do.

With --cold the files are written to disk and dropped from the page cache before each reader, and the rates are per
second of the clock, since a reader that waits for a disk uses no processor. With --clock they stay in the page cache,
rates are per second of the clock too, and both the intake and SimpleITK read in one process and in as many as there are
cores, which the intake uses by itself from some ten series on (`SYNTHDATA_WORKERS` says how many).

    OMP_NUM_THREADS=1 python benchmarks/intake_readers.py --series 300 --encodings native --clock --keep FOLDER
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SLICES = 22
PATIENTS = 5  # of the phantom, whose heads come in turn
ENCODINGS = ("native", "rle", "jpeg-ls")
READERS = ("intake", "intake again", "SimpleITK", "pydicom", "dcm2niix")
ON_THE_CLOCK = ("intake", "intake in one process", "SimpleITK", "SimpleITK on all cores")


def write_series(
    folder: Path, count: int, encoding: str, shape_yx: tuple[int, int] = (256, 256), *, heads: bool = False
) -> None:
    """Smooth random volumes, or heads of the built-in phantom, with noise, as de-identified MR slices."""
    from pydicom.uid import JPEGLSLossless, RLELossless

    from synthdata.dicom import Deidentification, SeriesHeader, image_datasets, save, uid_of
    from synthdata.records import Grid

    rng = np.random.default_rng(1)
    grid = Grid(shape_zyx=(SLICES, *shape_yx), spacing_mm=(5.0, 0.9, 0.9))
    codes = (
        "113100|Basic Application Confidentiality Profile",
        "113108|Retain Patient Characteristics Option",
    )
    smooth = phantom_heads(shape_yx) if heads else smooth_volume(rng, grid.shape_zyx)[None]
    for number in range(count):
        noise = rng.normal(scale=9, size=grid.shape_zyx)
        image = np.clip(smooth[number % len(smooth)] + noise, 0, 4000).astype(np.int16)
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


def smooth_volume(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    smooth: np.ndarray = ndimage.gaussian_filter(rng.normal(size=shape), (1, 8, 8)) * 9000 + 700
    return smooth


def phantom_heads(shape_yx: tuple[int, int]) -> np.ndarray:
    """T1 of some patients (n, z, y, x), from 0 to 1200, enlarged from voxels of 2 mm."""
    from scipy import ndimage

    from synthdata.phantom.patient import draw_patient
    from synthdata.phantom.render import render, volume_grid

    coarse = (SLICES, 112, 112)
    heads = []
    for number in range(PATIENTS):
        grid = volume_grid(coarse, (5.0, 2.0, 2.0))
        image = render(draw_patient(1, number), ("T1w",), grid).images["T1w"].astype(float)
        larger = ndimage.zoom(image, (1, shape_yx[0] / coarse[1], shape_yx[1] / coarse[2]), order=3)
        heads.append(larger * (1200 / np.percentile(larger, 99.5)))
    return np.stack(heads)


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
        grid=GridSpec(shape_zyx=(SLICES, 256, 256), spacing_mm=(5.0, 0.9, 0.9)),
        sampling=Sampling(cases=1),
        release=Release(licence="CC-BY-4.0"),
        body_part="ABDOMEN",
    )
    report = take_in(spec, folder, FolderStore(store), pseudonym_key=bytes(32))
    assert report.cases.cases == len(list(folder.iterdir())), report.reasons


def by_intake_in_one_process(folder: Path, store: Path) -> None:
    os.environ["SYNTHDATA_WORKERS"] = "1"
    by_intake(folder, store / "one process")


def by_simpleitk(folder: Path, _: Path) -> None:
    for series in sorted(folder.iterdir()):
        read_by_simpleitk(series)


def by_simpleitk_on_all_cores(folder: Path, _: Path) -> None:
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        list(pool.imap_unordered(read_by_simpleitk, sorted(folder.iterdir())))
        pool.close()
        pool.join()


def read_by_simpleitk(series: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

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
    "intake in one process": by_intake_in_one_process,
    "SimpleITK": by_simpleitk,
    "SimpleITK on all cores": by_simpleitk_on_all_cores,
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
    reader: str, folder: Path, store: Path, *, clock: str = "", code: Path | None = None
) -> tuple[float, float]:
    """Seconds and peak memory in MB of a reader in a new process; its imports are not counted.

    `clock` is empty for seconds of the processor, `cold` or `warm` for those of the clock.
    """
    command = [sys.executable, __file__, "--reader", reader, "--folder", str(folder), "--store", str(store)]
    command += [{"cold": "--cold", "warm": "--clock"}[clock]] if clock else []
    path = str((code or Path(__file__).parents[1]).resolve())
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
    )
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def read_here(reader: str, folder: Path, store: Path, *, clock: str) -> tuple[float, float]:
    """What `measured` asks for; a first reading of one series takes the imports and codecs."""
    with tempfile.TemporaryDirectory() as name:
        first, other = Path(name) / "first", Path(name) / "store"
        first.mkdir()
        other.mkdir()
        one = min(folder.iterdir())
        (first / one.name).mkdir()
        for path in one.iterdir():
            (first / one.name / path.name).write_bytes(path.read_bytes())
        READ[reader](first, other)
    if clock == "cold":
        forget(folder)
    now = time.perf_counter if clock else seconds_of_processor
    start = now()
    READ[reader](folder, store)
    return now() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(folder: Path, store: Path, clock: str, beside: Path | None) -> dict[str, tuple[float, float]]:
    """Seconds and memory of each reader."""
    readers = ON_THE_CLOCK if clock == "warm" else READERS
    found = {reader: measured(reader, folder, store, clock=clock) for reader in readers}
    if beside:
        other = store / "other"
        other.mkdir()
        found["intake of the other checkout"] = measured("intake", folder, other, clock=clock, code=beside)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=40)
    parser.add_argument("--reader", choices=READ)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--store", type=Path)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--cold", action="store_true", help="files out of the page cache, seconds of the clock"
    )
    kinds.add_argument("--clock", action="store_true", help="seconds of the clock, on all cores")
    parser.add_argument("--keep", type=Path, help="folder for the series, which are written once")
    parser.add_argument("--beside", type=Path, help="another checkout, whose intake is measured too")
    parser.add_argument("--encodings", nargs="+", choices=ENCODINGS, default=ENCODINGS)
    parser.add_argument("--heads", action="store_true", help="heads of the phantom, instead of smooth noise")
    parser.add_argument("--shape", nargs=2, type=int, default=(256, 256), help="rows and columns of a slice")
    arguments = parser.parse_args()
    clock = "cold" if arguments.cold else "warm" if arguments.clock else ""
    if arguments.reader:
        print(json.dumps(read_here(arguments.reader, arguments.folder, arguments.store, clock=clock)))
        return
    seconds_are = {"": "the processor", "cold": "the clock, cold", "warm": "the clock"}[clock]
    rows, columns = arguments.shape
    kind = "heads of the phantom" if arguments.heads else "smooth noise"
    print(
        f"{arguments.series} series of {SLICES} x {rows} x {columns}, {kind}; series per second of {seconds_are}"
    )
    for encoding in arguments.encodings:
        with tempfile.TemporaryDirectory() as name:
            folder, store = (arguments.keep or Path(name) / "scans") / encoding, Path(name) / "store"
            store.mkdir()
            if not folder.exists():
                folder.mkdir(parents=True)
                write_series(folder, arguments.series, encoding, (rows, columns), heads=arguments.heads)
            found = compare(folder, store, clock, arguments.beside)
        rates = {reader: arguments.series / seconds for reader, (seconds, _) in found.items()}
        shown = [f"{reader} {rate:.1f} ({found[reader][1]:.0f} MB)" for reader, rate in rates.items()]
        print(
            f"{encoding:8} {', '.join(shown)}; intake is {rates['intake'] / rates['SimpleITK']:.2f} x SimpleITK"
        )


if __name__ == "__main__":
    main()
