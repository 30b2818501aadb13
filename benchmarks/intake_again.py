"""Seconds of a first and a second intake of an archive of many small instances, and of one with ten new studies.

Reads of files are counted, so "reads nothing" is measured and not believed. Give the files some seconds to settle: one
that was written within the last two is read again, as its next change could leave the same time.

    OMP_NUM_THREADS=1 python benchmarks/intake_again.py --instances 100000
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthdata.dicom import Deidentification, SeriesHeader, image_datasets, save, uid_of
from synthdata.intake import inventory, take_in
from synthdata.records.grid import Grid
from synthdata.records.intake import IntakeReport
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore

SLICES = 40
GRID = Grid(shape_zyx=(SLICES, 16, 16), spacing_mm=(3.0, 2.0, 2.0))
EVIDENCE = Deidentification(
    method="benchmark data in code",
    codes=(
        "113100|Basic Application Confidentiality Profile",
        "113108|Retain Patient Characteristics Option",
    ),
)
SPEC = DatasetSpec(
    name="archive",
    title="Archive",
    source=Source(kind="folder", uri="unused"),
    channels=(Channel(name="T1w", modality="MR"),),
    grid=GridSpec(shape_zyx=GRID.shape_zyx, spacing_mm=GRID.spacing_mm),
    sampling=Sampling(cases=1),
    release=Release(licence="CC0-1.0"),
)


def write_study(folder: Path, number: int, slices: int = SLICES) -> None:
    """One patient with one series."""
    grid = replace(GRID, shape_zyx=(slices, *GRID.shape_zyx[1:]))
    patient = f"PAT-{number:06d}"
    voxels = np.random.default_rng(number).integers(0, 900, grid.shape_zyx).astype(np.int16)
    header = SeriesHeader(
        modality="MR",
        patient_id=patient,
        patient_name=patient,
        sex="",
        age_years=None,
        study_uid=uid_of(patient, "study"),
        series_uid=uid_of(patient, "series"),
        frame_of_reference_uid=uid_of(patient, "frame"),
        series_description="T1w",
        series_number=1,
        body_part="CHEST",
        unit="1",
        window=(0.0, 900.0),
        deidentification=EVIDENCE,
    )
    (folder / patient).mkdir(parents=True)
    for index, dataset in enumerate(image_datasets(voxels, grid, header)):
        save(dataset, folder / patient / f"{index:04d}.dcm")


def measured(folder: Path, store: FolderStore, what: str) -> IntakeReport:
    """One intake; prints its seconds and how many files it read."""
    reads, original = [0], inventory.read_file

    def counted(path: Path) -> tuple[bytes, object, str]:
        reads[0] += 1
        return original(path)

    inventory.read_file = counted
    start = time.perf_counter()
    report = take_in(SPEC, folder, store, pseudonym_key=bytes(32))
    seconds = time.perf_counter() - start
    inventory.read_file = original
    counts = f"{reads[0]:9} reads in this process {report.seen:8} files {report.cases.cases:6} cases"
    print(f"{what:24}{seconds:9.2f} s {counts}", flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    arguments = parser.parse_args()
    studies = arguments.instances // SLICES
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name) / "scans", FolderStore(Path(name) / "store")
        for number in range(studies):
            write_study(folder, number)
        time.sleep(2.5)
        first = measured(folder, store, "first run")
        assert measured(folder, store, "second run, unchanged") == first
        for number in range(studies, studies + 10):
            write_study(folder, number)
        time.sleep(2.5)
        more = measured(folder, store, "ten new studies")
        assert more.cases.cases == first.cases.cases + 10
        assert measured(folder, store, "unchanged again") == more


if __name__ == "__main__":
    main()
