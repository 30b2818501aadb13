"""A patient's images, mask and clinical record on a grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from synthdata.errors import ConfigError
from synthdata.phantom import law
from synthdata.phantom.head import sample_tissues
from synthdata.phantom.mr import SEQUENCES, render_mr
from synthdata.phantom.patient import STREAM_CHANNELS, STREAM_LABORATORY, Patient
from synthdata.phantom.tissues import Tissue
from synthdata.phantom.xrays import render_ct, render_projection
from synthdata.records.case import Value
from synthdata.records.grid import Grid

CENTRE_MM = (14.0, 0.0, 0.0)  # z, y, x of the middle of the image in the frame of the head
SUBSAMPLE_MM = 3.0  # points of the anatomy are at most this far apart
RAY_DEPTH_MM = (-120.0, 120.0)  # along y
RAY_STEP_MM = 1.5  # coarser steps show as rings
PROJECTION = "XR"

VOLUME_LABELS: Mapping[str, int] = MappingProxyType({"ventricles": 1, "infarct": 2, "haemorrhage": 3})
PROJECTION_LABELS: Mapping[str, int] = MappingProxyType({"cranial_cavity": 1, "skull": 2})
LABEL_TISSUES: Mapping[str, Tissue] = MappingProxyType(
    {
        "ventricles": Tissue.VENTRICLE,
        "infarct": Tissue.INFARCT,
        "haemorrhage": Tissue.HAEMORRHAGE,
    }
)
INTRACRANIAL = (Tissue.CSF, Tissue.GREY, Tissue.WHITE, Tissue.VENTRICLE, Tissue.INFARCT, Tissue.HAEMORRHAGE)
CAVITY_RAY_MM = 5.0  # a ray which goes this far through the cavity counts as inside
BONE_RAY_MM = 4.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rendering:
    """All that is known of one patient."""

    images: Mapping[str, np.ndarray]  # channel to int16 (z, y, x)
    mask: np.ndarray  # uint8 (z, y, x)
    labels: Mapping[str, int]
    grid: Grid
    record: Mapping[str, Value]  # one row of the clinical table, without the identifier


def volume_grid(shape_zyx: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """Axial grid around the middle of the head; a projection is a coronal plane of one slice."""
    z, y, x = ((1 - n) / 2 * step for n, step in zip(shape_zyx, spacing_mm, strict=True))
    if shape_zyx[0] == 1:
        return Grid(
            shape_zyx=shape_zyx,
            spacing_mm=spacing_mm,
            origin_mm=(x, 0.0, -y + CENTRE_MM[0]),
            direction=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0),
        )
    return Grid(
        shape_zyx=shape_zyx,
        spacing_mm=spacing_mm,
        origin_mm=(x + CENTRE_MM[2], y + CENTRE_MM[1], z + CENTRE_MM[0]),
    )


def render(patient: Patient, channels: Sequence[str], grid: Grid, *, ideal: bool = False) -> Rendering:
    """Images, mask and record of one patient.

    Args:
        patient: Who.
        channels: Of T1w, T2w and CT; or XR alone, which is a projection.
        grid: From `volume_grid`.
        ideal: Leave out noise, gain and bias field.

    Returns:
        The rendering. The mask has as many voxels of a label as its volume asks for: those with the largest
        share.

    Raises:
        ConfigError: An unknown channel, or a projection together with volumes.
    """
    check_channels(channels, grid.shape_zyx)
    if PROJECTION in channels:
        return _render_projection(patient, grid, ideal=ideal)
    factors = [max(1, int(np.ceil(step / SUBSAMPLE_MM - 1e-9))) for step in grid.spacing_mm]
    axes = [
        _positions(n, step, factor, centre)
        for n, step, factor, centre in zip(grid.shape_zyx, grid.spacing_mm, factors, CENTRE_MM, strict=True)
    ]
    tissues = sample_tissues(axes, patient)
    fractions = block_fractions(tissues, factors)
    contrast = patient.lesion.contrast if patient.lesion else 1.0
    images = {}
    for channel in channels:
        rng = patient.stream(STREAM_CHANNELS[channel])
        if channel == "CT":
            images[channel] = render_ct(fractions, contrast=contrast, rng=rng, ideal=ideal)
        else:
            images[channel] = render_mr(fractions, channel, contrast=contrast, rng=rng, ideal=ideal)
    return Rendering(
        images=images,
        mask=volume_mask(fractions),
        labels=VOLUME_LABELS,
        grid=grid,
        record=clinical_record(patient, fractions.sum(axis=(1, 2, 3)) * grid.voxel_mm3 / 1000),
    )


def check_channels(channels: Sequence[str], shape_zyx: tuple[int, int, int]) -> None:
    """Raise ConfigError for channels which cannot be rendered together on such a grid."""
    known = (*SEQUENCES, "CT", PROJECTION)
    if not channels or len(set(channels)) != len(channels) or (set(channels) - set(known)):
        raise ConfigError(
            f"channels are {', '.join(channels) or 'none'}, expected different ones of {', '.join(known)}"
        )
    if (PROJECTION in channels) and (len(channels) > 1 or shape_zyx[0] != 1):
        raise ConfigError(
            f"{PROJECTION} came with channels {', '.join(channels)} and {shape_zyx[0]} slices, "
            "expected it alone and on one slice: write a second cohort for the volumes"
        )
    if PROJECTION not in channels and min(shape_zyx) < 4:
        raise ConfigError(f"shape is {shape_zyx}, expected at least 4 voxels along each axis of a volume")


def block_fractions(tissues: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Share of each tissue in blocks of points, float32 (tissues, z, y, x)."""
    z, y, x = (n // factor for n, factor in zip(tissues.shape, factors, strict=True))
    fz, fy, fx = factors
    voxel = np.arange(z * y * x, dtype=np.int64).reshape(z, 1, y, 1, x, 1) * len(Tissue)
    blocks = tissues.reshape(z, fz, y, fy, x, fx) + voxel
    counts = np.bincount(blocks.ravel(), minlength=z * y * x * len(Tissue)).reshape(z, y, x, len(Tissue))
    return np.ascontiguousarray(np.moveaxis(counts, 3, 0), dtype=np.float32) / np.float32(fz * fy * fx)


def volume_mask(fractions: np.ndarray) -> np.ndarray:
    """Mask of the volume labels, uint8 (z, y, x), which keeps the volume of each label to half a voxel."""
    mask = np.zeros(fractions.shape[1:], np.uint8)
    for label in ("infarct", "haemorrhage", "ventricles"):
        share = np.where(mask == 0, fractions[LABEL_TISSUES[label]], 0).ravel()
        wanted = min(round(float(fractions[LABEL_TISSUES[label]].sum())), int(np.count_nonzero(share)))
        if wanted:
            mask.ravel()[np.argsort(-share, kind="stable")[:wanted]] = VOLUME_LABELS[label]
    return mask


def clinical_record(patient: Patient, volumes_ml: np.ndarray) -> dict[str, Value]:
    """One row of the clinical table.

    Args:
        patient: Who.
        volumes_ml: Volume of each tissue within the image, (tissues,).

    Returns:
        Age, sex, diagnosis, and what was measured: S100B in serum follows the lesion by the phantom's law.
    """
    lesion_ml = float(volumes_ml[Tissue.INFARCT] + volumes_ml[Tissue.HAEMORRHAGE])
    s100b = law.draw_log_normal(
        patient.stream(STREAM_LABORATORY), law.expected_s100b_ug_l(lesion_ml), law.S100B_LOG_SD
    )
    return {
        "age": patient.age_years,
        "sex": patient.sex,
        "diagnosis": patient.diagnosis,
        "s100b_ug_l": round(s100b, 4),
        "ventricle_volume_ml": round(float(volumes_ml[Tissue.VENTRICLE]), 2),
        "lesion_volume_ml": round(lesion_ml, 2),
        "intracranial_volume_ml": round(float(sum(volumes_ml[tissue] for tissue in INTRACRANIAL)), 1),
    }


def _render_projection(patient: Patient, grid: Grid, *, ideal: bool) -> Rendering:
    _, rows, columns = grid.shape_zyx
    _, dz, dx = grid.spacing_mm
    deep = np.arange(RAY_DEPTH_MM[0], RAY_DEPTH_MM[1], RAY_STEP_MM)
    axes = [_positions(rows, dz, 1, CENTRE_MM[0]), deep, _positions(columns, dx, 1, CENTRE_MM[2])]
    tissues = sample_tissues(axes, patient)[::-1]  # rows go down
    lengths = block_fractions(tissues, (1, len(deep), 1))[:, :, 0] * np.float32(RAY_STEP_MM * len(deep))
    contrast = patient.lesion.contrast if patient.lesion else 1.0
    rng = patient.stream(STREAM_CHANNELS[PROJECTION])
    image = render_projection(lengths, contrast=contrast, rng=rng, ideal=ideal)
    cavity = lengths[list(INTRACRANIAL)].sum(axis=0) > CAVITY_RAY_MM
    bone = lengths[Tissue.BONE] + lengths[Tissue.DIPLOE] > BONE_RAY_MM
    mask = np.where(
        cavity, PROJECTION_LABELS["cranial_cavity"], np.where(bone, PROJECTION_LABELS["skull"], 0)
    )
    return Rendering(
        images={PROJECTION: image},
        mask=mask.astype(np.uint8)[None],
        labels=PROJECTION_LABELS,
        grid=grid,
        record=clinical_record(patient, lengths.sum(axis=(1, 2)) * dz * dx / 1000),
    )


def _positions(count: int, step_mm: float, factor: int, centre_mm: float) -> np.ndarray:
    """Middles of the sub-voxels along one axis, (count * factor,)."""
    fine = step_mm / factor
    return centre_mm + (np.arange(count * factor) - (count * factor - 1) / 2) * fine
