"""Real pairs as training sets in a temporary store, for benchmarks/translation.py."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthdata.records import Case, CaseSet, ChannelScale, Grid, TrainingSet
from synthdata.records.parquet import commit_shards
from synthdata.storage import ObjectStore

CONTRASTS = ("t1", "t2", "flair")


def scale(channel: str, modality: str) -> ChannelScale:
    return ChannelScale(
        channel=channel,
        modality=modality,
        method="percentile",
        unit="1",
        low=0,
        high=1000,
        percentiles=(0.5, 99.5),
    )


def encoded(volume: np.ndarray) -> np.ndarray:
    """Percentiles of the volume to 0 and 1000."""
    low, high = np.percentile(volume, (0.5, 99.5))
    return np.rint(1000 * np.clip((volume - low) / max(high - low, 1e-6), -0.05, 1.05)).astype(np.int16)


def fitted(volume: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Cut or padded around the middle."""
    for axis, want in enumerate(shape):
        have = volume.shape[axis]
        if have > want:
            first = (have - want) // 2
            volume = np.take(volume, np.arange(first, first + want), axis=axis)
        elif have < want:
            before = (want - have) // 2
            width = [(0, 0)] * volume.ndim
            width[axis] = (before, want - have - before)
            volume = np.pad(volume, width, mode="constant", constant_values=volume.min())
    return volume


def mr_ct(folder: Path) -> tuple[list[Case], list[Case]]:
    """Slices of centre 1BA and of centre 1BB at 2 mm, with the label body."""
    from PIL import Image

    grid = Grid(shape_zyx=(1, 136, 124), spacing_mm=(1.0, 2.0, 2.0))
    groups: dict[str, list[Case]] = {"1BA": [], "1BB": []}
    for path in sorted(folder.iterdir()):
        planes = []
        for name in ("mri", "ct", "mask"):
            plane = np.asarray(Image.open(path / f"{name}.png").convert("RGBA"))[..., 0].astype(np.float32)
            whole = fitted(plane, (272, 248))
            planes.append(whole.reshape(136, 2, 124, 2).mean(axis=(1, 3))[None])
        ct = np.rint(planes[1] * (1000 / 255)).astype(np.int16)
        groups[path.name[:3]].append(
            Case(
                case_id=path.name,
                patient_id=path.name,
                image=np.stack([encoded(planes[0]), ct]),
                mask=(planes[2] > 127).astype(np.uint8),
                grid=grid,
                record={},
            )
        )
    return groups["1BA"], groups["1BB"]


def multicontrast(folder: Path, contrasts: Sequence[str], *, slices: bool) -> list[Case]:
    """Visits as volumes of 24 slices, or slice by slice."""
    import nibabel

    cases = []
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        if not all((path / f"{name}.nii.gz").is_file() for name in contrasts):
            continue  # a visit without one of them
        volumes = []
        for name in contrasts:
            array = np.asarray(nibabel.load(path / f"{name}.nii.gz").dataobj, dtype=np.float32)
            volumes.append(encoded(fitted(array.transpose(2, 1, 0), (24, 112, 112))))
        image = np.stack(volumes)
        pieces = [image[:, z : z + 1] for z in range(24)] if slices else [image]
        for number, piece in enumerate(pieces):
            if (piece > 100).mean() < 0.02:
                continue  # padding, or above the head
            shape = piece.shape[1:]
            cases.append(
                Case(
                    case_id=f"{path.name}-{number:02d}",
                    patient_id=path.name.split("_")[0],
                    image=piece,
                    mask=np.zeros(shape, np.uint8),
                    grid=Grid(shape_zyx=shape, spacing_mm=(6.5, 2.0, 2.0)),
                    record={},
                )
            )
    return cases


def training_set(
    store: ObjectStore,
    train: Sequence[Case],
    test: Sequence[Case],
    scales: Sequence[ChannelScale],
    labels: dict[str, int],
) -> TrainingSet:
    empty = CaseSet(
        dataset="pairs",
        origin="real",
        channels=tuple(one.channel for one in scales),
        modalities=tuple(one.modality for one in scales),
        units=tuple(one.unit for one in scales),
        labels=labels,
        columns=(),
        shards=(),
    )

    def kept(cases: Sequence[Case]) -> CaseSet:
        return replace(empty, shards=commit_shards(store, empty, "prepared", cases))

    return TrainingSet(
        dataset="pairs",
        grid=train[0].grid,
        scales=tuple(scales),
        labels=labels,
        columns=(),
        train=kept(train),
        control=kept(train[:1]),
        test=kept(test),
        patients={},
        dropped={},
    )
