"""The two calls of intake: take cases into the private store, or only look at a folder."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from synthdata.errors import ConfigError, SourceError
from synthdata.intake.clinical import ClinicalTable, load_table, table_bytes
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.dicom_source import DicomSource, studies_of
from synthdata.intake.inventory import Inventory, files_below
from synthdata.intake.nifti_source import NiftiSource, survey_pairs
from synthdata.intake.npz_source import NpzSource, Stack, is_npz, read_arrays
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.quarantine import keep_quarantined
from synthdata.intake.survey import survey
from synthdata.progress import Progress, silent
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ShardRef
from synthdata.records.intake import IntakeReport
from synthdata.records.parquet import commit_shard
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore

SHARD_CASES = 64
STAGE = "intake"


class ScanSource(Protocol):
    """A source whose files are booked; what a further format must offer."""

    def cases(self) -> Iterator[Case]:
        """Stream the accepted cases in a stable order, booking reasons for the others."""
        ...


def take_in(
    spec: DatasetSpec,
    folder: Path,
    private: ObjectStore,
    *,
    pseudonym_key: bytes,
    progress: Progress = silent,
) -> IntakeReport:
    """Read a source of scans into the private store.

    Args:
        spec: The dataset; says the format, channels, labels and clinical columns.
        folder: Folder of the scans, or the file for NPZ; only read.
        private: Takes the shards of accepted cases and the files held back.
        pseudonym_key: Secret of at least 16 bytes; the same key gives the same pseudonyms.
        progress: Told how many files and cases are done.

    Returns:
        Counts and reasons of all files, with the accepted cases on their native grids.

    Raises:
        SourceError: The folder is empty or holds nothing of the spec's format, or a table does not fit.
        ConfigError: The key is too short or a pattern of a channel is no regular expression.
        StoreError: The store cannot be written.
    """
    names = Pseudonyms(pseudonym_key)
    _check_patterns(spec)
    with quiet_parsers():
        inventory = Inventory()
        source, table = _open(spec, folder, inventory, names, progress)
        case_set, patients = _write(private, _case_set(spec), source.cases() if source else iter(()))
        inventory.row_counts["clinical.row_without_images"] += table.unused_rows()
        keep_quarantined(private, spec.name, inventory)
    return inventory.report(case_set, patients=patients)


def _check_patterns(spec: DatasetSpec) -> None:
    for channel in spec.channels:
        try:
            re.compile(channel.series)
        except re.error:
            raise ConfigError(
                f"channel {channel.name} has series {channel.series!r}, expected a regular expression"
            ) from None


def _open(
    spec: DatasetSpec, folder: Path, inventory: Inventory, names: Pseudonyms, progress: Progress
) -> tuple[ScanSource | None, ClinicalTable]:
    paths = files_below(folder)
    root = folder if folder.is_dir() else folder.parent
    if spec.source.format == "npz":
        return _open_npz(spec, paths, inventory, names, progress), ClinicalTable((), {})
    tables = _tables(paths, root, (spec.source.clinical, spec.source.patients))
    scans = [path for path in paths if path not in tables]
    for path in tables:
        inventory.add(path)
    clinical = table_bytes(root / spec.source.clinical, "source.clinical") if spec.source.clinical else None
    table = load_table(clinical, spec.clinical, names, inventory)
    if spec.source.format == "nifti":
        pairs = survey_pairs(scans, root, spec, inventory, names, progress)
        return NiftiSource(spec, pairs, table, inventory, progress), table
    instances = survey(scans, inventory, names, body_part=spec.body_part, progress=progress)
    _require_dicom(inventory, instances)
    return DicomSource(spec, studies_of(instances, inventory), table, inventory, progress), table


def _tables(paths: Sequence[Path], root: Path, names: Iterable[str]) -> list[Path]:
    """Those of the paths which are tables of the spec, followed through links; each folder is followed once."""
    wanted = {(root / name).resolve() for name in names if name}
    real = {folder: folder.resolve() for folder in {path.parent for path in paths}}
    return [
        path
        for path in paths
        if (path.resolve() if path.is_symlink() else real[path.parent] / path.name) in wanted
    ]


def _require_dicom(inventory: Inventory, instances: Iterable[object]) -> None:
    """A folder without a single DICOM file is a wrong address rather than a set of bad files."""
    if not list(instances) and not any(
        seen.reasons - {"file.not_an_image", "file.empty", "file.unreadable"} for seen in inventory.files
    ):
        raise SourceError(
            f"the source holds {len(inventory.files)} files, none of them DICOM{inventory.unreadable()}, "
            "expected scans: check the uri"
        )


def _open_npz(
    spec: DatasetSpec, paths: list[Path], inventory: Inventory, names: Pseudonyms, progress: Progress
) -> ScanSource | None:
    stacks = []
    for path in paths:
        seen, data = inventory.add(path)
        if data and not is_npz(data):
            seen.reasons.add("file.not_an_image")
        elif data:
            arrays = read_arrays(seen, data, spec.source.arrays)
            stacks += [Stack(seen=seen, arrays=arrays)] if arrays is not None else []
    if len(stacks) > 1:
        raise SourceError(
            f"the source holds {len(stacks)} NPZ files, expected one: name the file in source.uri"
        )
    if not stacks and not any(seen.reasons & {"file.malformed"} for seen in inventory.files):
        raise SourceError(
            f"the source holds no NPZ file{inventory.unreadable()}, expected one: check source.uri"
        )
    return NpzSource(spec, stacks[0], names, inventory, progress) if stacks else None


def _case_set(spec: DatasetSpec) -> CaseSet:
    return CaseSet(
        dataset=spec.name,
        origin="real",
        channels=tuple(channel.name for channel in spec.channels),
        modalities=tuple(channel.modality for channel in spec.channels),
        units=tuple(channel.unit for channel in spec.channels),
        labels=dict(spec.labels),
        columns=spec.clinical,
        shards=(),
    )


def _write(store: ObjectStore, case_set: CaseSet, cases: Iterator[Case]) -> tuple[CaseSet, int]:
    """Write cases to shards while they come; a shard has one type of voxels, so one is open per type."""
    waiting: dict[str, list[Case]] = {}
    refs: list[ShardRef] = []
    patients: set[str] = set()
    for case in cases:
        patients.add(case.patient_id)
        batch = waiting.setdefault(case.image.dtype.name, [])
        batch.append(case)
        if len(batch) == SHARD_CASES:
            refs.append(commit_shard(store, case_set, STAGE, batch))
            batch.clear()
    rest = (batch for _, batch in sorted(waiting.items()) if batch)
    refs.extend(commit_shard(store, case_set, STAGE, batch) for batch in rest)
    return replace(case_set, shards=tuple(refs)), len(patients)
