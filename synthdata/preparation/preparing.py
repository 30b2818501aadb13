"""Accepted cases to a training set: one grid, one encoding, three groups of different patients."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthdata.errors import ConfigError, SourceError
from synthdata.preparation.duplicates import DuplicateSearch
from synthdata.preparation.intensity import encode, native_range, scale_of
from synthdata.preparation.registration import LEAST_OVERLAP, least_overlap
from synthdata.preparation.regrid import apply_regrid, plan_regrid, target_grid
from synthdata.preparation.split import GROUPS, position, split_patients
from synthdata.preparation.spool import Spool
from synthdata.progress import Progress, silent
from synthdata.records.case import Case, Value
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import digest_of
from synthdata.records.grid import Grid
from synthdata.records.intake import IntakeReport
from synthdata.records.parquet import commit_shards, read_cases
from synthdata.records.training import ChannelScale, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.disk import on_disk
from synthdata.storage.protocol import ObjectStore

SHARD_CASES = 64
STAGE = "prepared"
KEY_BYTES = 16


def prepare(
    spec: DatasetSpec,
    report: IntakeReport,
    private: ObjectStore,
    *,
    split_key: bytes,
    progress: Progress = silent,
) -> TrainingSet:
    """Prepare the accepted cases of an intake.

    Args:
        spec: The dataset; says grid, encoding and shares of the split.
        report: Of the intake, with its CaseSet on native grids.
        private: Holds the shards of the intake and takes those of the training set.
        split_key: Secret of at least 16 bytes which places each patient.
        progress: Told how many cases are done.

    Returns:
        The training set: int16 on one axial grid around 0 mm; train and control have equally many patients.
        Cases left out are counted in `dropped` by reason, `not_registered` among them.

    Raises:
        SourceError: The intake accepted no case.
        ConfigError: There are too few patients for three groups, or the key is too short.
        IntegrityError: A shard is not the one that the report names.
        StoreError: A store or the temporary folder cannot be written.
    """
    if len(split_key) < KEY_BYTES:
        raise ConfigError(
            f"the split key has {len(split_key)} bytes, expected at least {KEY_BYTES}: make a new one"
        )
    if not report.cases.cases:
        raise SourceError("intake accepted no case, expected some: read the reasons in its report")
    scales, grid = tuple(scale_of(channel) for channel in spec.channels), target_grid(spec.grid)
    dropped: Counter[str] = Counter()
    with (
        on_disk("the temporary folder (TMPDIR)"),
        tempfile.TemporaryDirectory(prefix="synthdata-") as folder,
        Spool(Path(folder) / "cases") as spool,
    ):
        native = read_cases(private, report.cases)
        search = DuplicateSearch()
        for done, case in enumerate(native, 1):
            prepared = prepare_case(case, spec, scales, grid)
            if prepared is None:
                dropped["constant_image"] += 1
            elif not _registered(prepared, spec):
                dropped["not_registered"] += 1
            else:
                spool.append(prepared)
                search.add(prepared.image, prepared.patient_id)
            progress(done, report.cases.cases, "preparing cases")
        order = _leave_out_duplicates(spool, search, split_key, dropped)
        split = split_patients({spool.light(index).patient_id for index in order}, spec.split, split_key)
        members: dict[str, list[int]] = {name: [] for name in GROUPS}
        for index in order:
            group = split.group.get(spool.light(index).patient_id)
            if group is None:
                dropped["trimmed"] += 1
            else:
                members[group].append(index)
        sets = _write_groups(private, spec, report, spool, members)
    patients = Counter(split.group.values())
    return TrainingSet(
        dataset=spec.name,
        grid=grid,
        scales=scales,
        labels=dict(spec.labels),
        columns=report.cases.columns,
        train=sets["train"],
        control=sets["control"],
        test=sets["test"],
        patients={name: patients[name] for name in GROUPS},
        dropped=dict(sorted(dropped.items())),
        parents=(digest_of(report),),
    )


def prepare_case(case: Case, spec: DatasetSpec, scales: Sequence[ChannelScale], grid: Grid) -> Case | None:
    """One case on the training grid and in its encoding.

    Args:
        case: Native case.
        spec: The dataset.
        scales: Encoding of each channel.
        grid: Of `target_grid`.

    Returns:
        The case as int16, or None where a channel is constant. Its provenance holds the native range of each
        channel encoded by percentiles (`<channel>_low`, `<channel>_high`) and the share of the mask kept.
    """
    plan = plan_regrid(case.grid, spec.grid)
    channels, facts = [], dict[str, Value]()
    for volume, scale in zip(case.image, scales, strict=True):
        native = native_range(volume, scale)
        if native is None:
            return None
        if scale.percentiles is not None:
            facts[f"{scale.channel}_low"], facts[f"{scale.channel}_high"] = native
        fill = native[0] if spec.grid.padding == "lowest" else None
        channels.append(encode(apply_regrid(volume, plan, order=1, fill=fill), native, scale))
    mask = apply_regrid(case.mask, plan, order=0, fill=0)
    labelled = np.count_nonzero(case.mask) * case.grid.voxel_mm3
    facts["mask_kept"] = float(np.count_nonzero(mask) * grid.voxel_mm3 / labelled) if labelled else 1.0
    return Case(
        case_id=case.case_id,
        patient_id=case.patient_id,
        image=np.stack(channels),
        mask=np.ascontiguousarray(mask),
        grid=grid,
        record=case.record,
        provenance=facts,
    )


def _registered(case: Case, spec: DatasetSpec) -> bool:
    """False where channels of a translation between modalities show bodies at different places."""
    if spec.translation is None or spec.translation.degradation != "none":
        return True
    names = [channel.name for channel in spec.channels]
    sources = [names.index(name) for name in spec.translation.source]
    targets = [names.index(name) for name in spec.translation.target]
    return least_overlap(case.image, sources, targets) >= LEAST_OVERLAP


def _leave_out_duplicates(
    spool: Spool, search: DuplicateSearch, split_key: bytes, dropped: Counter[str]
) -> list[int]:
    """Indices of the cases to keep, in the order of case ids; of patients who look alike, one stays."""
    pairs = search.pairs(lambda index: spool.read(index).image)
    out: set[str] = set()
    for cluster in clusters(pairs):
        out |= set(sorted(cluster, key=lambda patient: position(patient, split_key))[1:])
    order = sorted(range(len(spool)), key=lambda index: spool.light(index).case_id)
    kept = [index for index in order if spool.light(index).patient_id not in out]
    if len(kept) < len(order):
        dropped["near_duplicate"] += len(order) - len(kept)
    return kept


def clusters(pairs: Sequence[tuple[str, str]]) -> list[set[str]]:
    """Connected groups of patients, from the pairs who look alike."""
    groups: list[set[str]] = []
    for pair in pairs:
        joined = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if not group & set(pair)]
        groups.append(set(pair).union(*joined))
    return groups


def _write_groups(
    private: ObjectStore,
    spec: DatasetSpec,
    report: IntakeReport,
    spool: Spool,
    members: Mapping[str, Sequence[int]],
) -> dict[str, CaseSet]:
    """Second pass: shards of each group."""
    base = CaseSet(
        dataset=spec.name,
        origin="real",
        channels=report.cases.channels,
        modalities=report.cases.modalities,
        units=tuple(scale_of(channel).unit for channel in spec.channels),
        labels=dict(spec.labels),
        columns=report.cases.columns,
        shards=(),
        parents=(digest_of(report.cases),),
    )

    def stream(indices: Sequence[int]) -> Iterator[Case]:
        return (spool.read(index) for index in indices)

    return {
        name: replace(
            base, shards=commit_shards(private, base, STAGE, stream(members[name]), shard_size=SHARD_CASES)
        )
        for name in GROUPS
    }
