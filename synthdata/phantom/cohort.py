"""A cohort of digital heads as a folder of DICOM series, segmentations and one clinical table."""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from synthdata.errors import ConfigError, SourceError
from synthdata.phantom.patient import Patient, draw_patient
from synthdata.phantom.render import PROJECTION, Rendering, check_channels, render, volume_grid
from synthdata.phantom.study import patient_datasets, study_uid
from synthdata.processes import in_order, workers_for
from synthdata.progress import Progress, silent
from synthdata.records.case import Value

CLINICAL = "clinical.csv"
PATIENTS_PER_WORKER = 32  # takes longer than a process to start
DEFAULT_CHANNELS = ("T1w", "CT")
DEFAULT_VOLUME = ((24, 40, 32), (6.0, 5.5, 5.5))
DEFAULT_PROJECTION = ((1, 64, 64), (1.0, 2.75, 2.75))


@dataclass(frozen=True, kw_only=True, slots=True)
class CohortSettings:
    """All that a patient's files depend on, besides the patient's number."""

    seed: int
    channels: tuple[str, ...]
    shape_zyx: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.seed < 0 or min(self.shape_zyx) < 1 or min(self.spacing_mm) <= 0:
            raise ConfigError(
                f"the phantom has seed {self.seed}, shape {self.shape_zyx} and spacing {self.spacing_mm} mm: "
                "expected a seed from 0 on and positive numbers"
            )
        check_channels(self.channels, self.shape_zyx)

    def name(self) -> str:
        """All settings as one line, from which the identifiers follow."""
        return f"{self.seed}|{','.join(self.channels)}|{self.shape_zyx}|{self.spacing_mm}"


def write_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    channels: Sequence[str] = DEFAULT_CHANNELS,
    shape_zyx: tuple[int, int, int] | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
    progress: Progress = silent,
) -> None:
    """Write a cohort: `<patient>/<channel>/*.dcm`, `<patient>/SEG/*.dcm` and `clinical.csv`.

    A patient depends on the seed, the number and the settings alone: more patients leave the first ones as
    they are; the cores share a large cohort. A patient's folder appears when it is whole, so that a killed run is
    taken up by the next; a run over a finished folder changes nothing.

    Args:
        out: Folder; made where it lacks. May hold a smaller or unfinished cohort of the same settings.
        patients: How many, at least 1.
        seed: Of the cohort, from 0 on.
        channels: Of T1w, T2w and CT in any number; or XR alone, which gives one projection per patient.
        shape_zyx: Voxels of the images; None: 24 x 40 x 32, and 64 x 64 for XR.
        spacing_mm: Their distances (z, y, x); None: 6, 5.5 and 5.5 mm, and 2.75 mm for XR.
        progress: Told after each patient.

    Raises:
        ConfigError: A setting which cannot work.
        SourceError: The folder holds something else, or a larger cohort, or cannot be written.
        WorkerError: A process which shared the work was killed.
    """
    shape, spacing = DEFAULT_PROJECTION if PROJECTION in channels else DEFAULT_VOLUME
    settings = CohortSettings(
        seed=seed, channels=tuple(channels), shape_zyx=shape_zyx or shape, spacing_mm=spacing_mm or spacing
    )
    if patients < 1:
        raise ConfigError(f"patients is {patients}, expected at least 1")
    try:
        _write(out, settings, patients, progress)
    except OSError as error:
        raise SourceError(
            f"the phantom could not be written ({error.strerror}): "
            "check the folder, its rights and the free space"
        ) from None


def _write(out: Path, settings: CohortSettings, patients: int, progress: Progress) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cohort = [draw_patient(settings.seed, number) for number in range(patients)]
    _check_folder(out, settings, cohort)
    known = _read_clinical(out / CLINICAL)
    finished = {name for name in known if (out / name).exists()}
    orders = [(out, settings, one.number) for one in cohort if one.patient_id not in finished]
    workers = workers_for(len(orders), least=PATIENTS_PER_WORKER)
    rows = []
    with closing(in_order(_make_patient, orders, workers=workers)) as made:
        for done, patient in enumerate(cohort, start=1):
            name = patient.patient_id
            rows.append(known[name] if name in finished else next(made))
            progress(done, patients, "patients")
    _write_clinical(out / CLINICAL, rows)


def _make_patient(order: tuple[Path, CohortSettings, int]) -> dict[str, str]:
    """Write one patient's files, unless they are there, and give the row of the clinical table."""
    out, settings, number = order
    patient = draw_patient(settings.seed, number)
    grid = volume_grid(settings.shape_zyx, settings.spacing_mm)
    rendering = render(patient, settings.channels, grid)
    folder = out / patient.patient_id
    if not folder.exists():
        _write_patient(folder, patient, rendering, settings)
    return _row(patient, rendering.record)


def _write_patient(folder: Path, patient: Patient, rendering: Rendering, settings: CohortSettings) -> None:
    """All files of a patient, visible under the patient's name only when they are whole."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for series, files in patient_datasets(patient, rendering, settings.name()).items():
        (partial / series).mkdir(parents=True)
        for number, data in enumerate(files, start=1):
            (partial / series / f"{number:04d}.dcm").write_bytes(data)
    partial.replace(folder)


def _check_folder(out: Path, settings: CohortSettings, cohort: Sequence[Patient]) -> None:
    """Refuse a folder whose patients are not those of this cohort; mixed data would be worse than none."""
    expected = {patient.patient_id: patient for patient in cohort}
    found = {path.name for path in out.iterdir() if not (path.name.startswith(".") or path.name == CLINICAL)}
    if strange := len(found - set(expected)):
        raise SourceError(
            f"the folder holds {strange} entries which are no part of a phantom of {len(cohort)} patients: "
            "choose an empty folder, or ask for at least as many patients as it holds"
        )
    for name in sorted(found):
        first = next((out / name).rglob("*.dcm"), None)
        got = dcmread(first, stop_before_pixels=True).StudyInstanceUID if first else ""
        if got != study_uid(expected[name], settings.name()):
            raise SourceError(
                "the folder holds a phantom of another seed, other channels, another grid or version: "
                "choose an empty folder"
            )


def _row(patient: Patient, record: Mapping[str, Value]) -> dict[str, str]:
    return {"patient": patient.patient_id} | {name: str(value) for name, value in record.items()}


def _read_clinical(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a table that an earlier run wrote, by patient."""
    if not path.exists():
        return {}
    return {row["patient"]: row for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))}


def _write_clinical(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    text = buffer.getvalue()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
