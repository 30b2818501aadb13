"""The standard head: which tissue is at which place, deformed for each patient.

The frame has its origin in the middle of the brain; z points up, y to the back, x to the left (LPS), in mm.
Volumes are painted from outside in: skin, fat, skull, fluid, brain, ventricles, lesion.
"""

from collections.abc import Sequence

import numpy as np

from synthdata.phantom import law
from synthdata.phantom.patient import Patient
from synthdata.phantom.shapes import deformed, ellipsoid, folds
from synthdata.phantom.tissues import Tissue

CAVITY_MM = (66.0, 82.0, 64.0, 72.0)  # inner radii of the skull: up, along y, along x, down
SCALP_MM = 6.5
SKIN_MM = 2.2
CORTEX_MM = 5.5
SULCUS_DEPTH_MM = 19.0

VENTRICLES = (  # centre (z, y, |x|) and radii (z, y, x) of the ellipsoids of ventricles of VENTRICLES_ML
    ((16.0, -2.0, 9.0), (7.0, 26.0, 6.0)),  # bodies
    ((11.0, -28.0, 12.0), (8.5, 13.0, 6.0)),  # frontal horns
    ((9.0, 24.0, 19.0), (10.0, 13.0, 7.0)),  # atria
    ((5.0, 40.0, 21.0), (5.0, 13.0, 5.0)),  # occipital horns
    ((-12.0, 4.0, 29.0), (4.0, 15.0, 3.5)),  # temporal horns
    ((1.0, -1.0, 0.0), (9.0, 12.0, 2.6)),  # third ventricle
)
VENTRICLES_ML = 22.0
DEEP_GREY = (
    ((6.0, 10.0, 12.0), (9.0, 14.0, 8.0)),  # thalami
    ((5.0, -6.0, 27.0), (10.0, 17.0, 6.0)),  # lentiform nuclei
    ((11.0, -23.0, 19.0), (8.0, 10.0, 4.5)),  # heads of the caudate nuclei
)
CEREBELLUM = ((-44.0, 44.0, 0.0), (24.0, 31.0, 50.0))
PETROUS = ((-53.0, 14.0, 40.0), (9.0, 10.0, 24.0))
SPHENOID_SINUS = ((-57.0, -42.0, 8.0), (8.0, 13.0, 8.0))
FRONTAL_SINUS = ((-18.0, -84.0, 10.0), (13.0, 9.0, 9.0))  # hollows the bone there


def sample_tissues(axes: Sequence[np.ndarray], patient: Patient) -> np.ndarray:
    """Tissue at each point of a grid.

    Args:
        axes: Positions of the points along z, y and x in mm, each (n,), evenly spaced.
        patient: Whose head.

    Returns:
        Values of `Tissue`, uint8 (z, y, x).
    """
    points = deformed(axes, patient)
    depth = _depth_mm(points)  # below the inner table of the skull
    tissues = _outside(points, depth, patient.skull_mm)
    _paint_brain(tissues, points, depth, folds(axes, patient), patient)
    _paint_base(tissues, points)
    brain = (tissues == Tissue.GREY) | (tissues == Tissue.WHITE)
    ventricles = brain & _ventricles(points, axes, patient)
    tissues[ventricles] = Tissue.VENTRICLE
    if patient.lesion is not None:
        inside = ellipsoid(points, patient.lesion.centre_mm, patient.lesion.radii_mm) < 1
        swollen = brain | ((tissues == Tissue.CSF) & (depth > law.csf_gap_mm(patient.age_years)))
        kind = Tissue.INFARCT if patient.diagnosis == "infarct" else Tissue.HAEMORRHAGE
        tissues[swollen & ~ventricles & inside] = kind  # a lesion closes the sulci within it
    return tissues


def _depth_mm(points: Sequence[np.ndarray]) -> np.ndarray:
    """Distance to the inner table of the skull along the ray from the centre, positive inside."""
    z, y, x = points
    up, long, wide, down = (np.float32(radius) for radius in CAVITY_MM)
    vertical = np.where(z > 0, z / up, z / down)
    lateral = x / (wide * (1 + np.float32(0.06) * np.clip(y / long, -1, 1)))  # wider at the back
    rho = np.sqrt(vertical * vertical + (y / long) ** 2 + lateral * lateral) + np.float32(1e-6)
    radius = np.sqrt(z * z + y * y + x * x)
    result: np.ndarray = radius * (1 / rho - 1)
    return result


def _outside(points: Sequence[np.ndarray], depth: np.ndarray, skull_mm: float) -> np.ndarray:
    """Air, scalp, skull and, within the skull, fluid; uint8 (z, y, x)."""
    z = points[0]
    skin_at = -(skull_mm + SCALP_MM + np.float32(0.35) * np.maximum(0, -18 - z))  # thicker muscles below
    tissues = np.zeros(depth.shape, np.uint8)
    tissues[depth > skin_at] = Tissue.SKIN
    under_skin = depth > skin_at + SKIN_MM
    tissues[under_skin] = Tissue.FAT
    tissues[under_skin & (z < -22) & (depth > skin_at + SKIN_MM + 2)] = Tissue.MUSCLE
    tissues[depth > -skull_mm] = Tissue.BONE
    tissues[(depth > -0.72 * skull_mm) & (depth < -0.3 * skull_mm) & (z > -40)] = Tissue.DIPLOE
    tissues[depth > 0] = Tissue.CSF
    return tissues


def _paint_brain(
    tissues: np.ndarray, points: Sequence[np.ndarray], depth: np.ndarray, field: np.ndarray, patient: Patient
) -> None:
    """Cortex with sulci, white matter, deep nuclei, cerebellum and brain stem."""
    z, y, x = points
    side = np.abs(x)
    gap = np.float32(law.csf_gap_mm(patient.age_years))
    below = depth - gap
    sulcus = np.float32(
        0.07 + 0.04 * gap
    )  # half width in units of the field, whose slope is about 0.2 per mm
    distance = np.abs(field)
    shallow = below < SULCUS_DEPTH_MM
    fluid = shallow & (distance < sulcus)
    fissure = (side < 0.6 * gap) & (below < 26) & ((z > 8) | (y < -30)) & (z > -40)
    opening = (0.6 + 0.5 * gap) * np.clip((side - 32) / 22, 0, 1) * (1 - ((y + 14) / 26) ** 2)
    sylvian = np.abs(z - 4 + 0.25 * y) < opening
    brain = (below > 0) & ~fluid & ~fissure & ~sylvian
    tissues[brain] = Tissue.WHITE
    ribbon = (below < CORTEX_MM) | (shallow & (distance < sulcus + 0.85))
    tissues[brain & ribbon] = Tissue.GREY
    for centre, radii in DEEP_GREY:
        tissues[brain & (ellipsoid((z, y, side), centre, radii) < 1)] = Tissue.GREY
    cerebellum = ellipsoid(points, *CEREBELLUM)
    inside = below > -0.5
    tissues[inside & (cerebellum < 1.12)] = Tissue.CSF
    tissues[inside & (cerebellum < 1)] = Tissue.GREY
    tissues[inside & (cerebellum < 0.42)] = Tissue.WHITE
    stem = np.sqrt(side * side + (y - 14 - 0.15 * z) ** 2)
    low = inside & (z < -12)
    tissues[low & (stem < 20) & (y < 12) & (z < -16)] = Tissue.CSF
    tissues[low & (stem < 13)] = Tissue.WHITE


def _paint_base(tissues: np.ndarray, points: Sequence[np.ndarray]) -> None:
    """Base of the skull: roof of the orbits, petrous bones and the air of the sinuses."""
    z, y, x = points
    side = np.abs(x)
    floor = z + 27 - np.float32(0.12) * np.maximum(0, -20 - y)  # of the anterior fossa: 0 at the bone
    head = tissues != Tissue.AIR
    front = head & (y < -34) & (floor < 0)
    within = front & ((tissues == Tissue.GREY) | (tissues == Tissue.WHITE) | (tissues == Tissue.CSF))
    temporal = (side > 24) & (y > -46)
    tissues[within & ~temporal] = Tissue.FAT
    tissues[within & ~temporal & ((floor > -4) | (side < 13))] = Tissue.BONE
    mirrored = (z, y, side)
    tissues[head & (ellipsoid(mirrored, *PETROUS) < 1)] = Tissue.BONE
    tissues[head & (ellipsoid(mirrored, *SPHENOID_SINUS) < 1)] = Tissue.AIR
    bone = (tissues == Tissue.BONE) | (tissues == Tissue.DIPLOE)
    tissues[bone & (ellipsoid(mirrored, *FRONTAL_SINUS) < 1)] = Tissue.AIR


def _ventricles(points: Sequence[np.ndarray], axes: Sequence[np.ndarray], patient: Patient) -> np.ndarray:
    """Where the ventricles are, bool (z, y, x); widened until they hold the patient's volume."""
    z, y, x = points
    mirrored = (z, y, np.abs(x))
    cell_ml = float(np.prod([axis[1] - axis[0] for axis in axes])) / 1000
    near = _near_the_middle(points)
    local = tuple(coordinate[near] for coordinate in mirrored)
    # brain alone counts, but the ventricles lie deep in it at any size, so the whole shape is counted
    share = patient.ventricle_ml / VENTRICLES_ML
    growth = share
    for _ in range(4):
        inside = _ventricle_shape(local, growth)
        growth *= (patient.ventricle_ml / max(cell_ml * float(inside.sum()), 1e-3)) ** 0.9
    result = np.zeros(z.shape, dtype=bool)
    result[near] = _ventricle_shape(local, growth)
    return result


def _near_the_middle(points: Sequence[np.ndarray]) -> np.ndarray:
    """Points which ventricles of any size can reach, bool (z, y, x)."""
    return ellipsoid(points, (4.0, 4.0, 0.0), (44.0, 68.0, 48.0)) < 1


def _ventricle_shape(points: Sequence[np.ndarray], growth: float) -> np.ndarray:
    """Union of the ellipsoids, which widen more than they lengthen."""
    wide, long = growth**0.4, growth**0.2
    inside = np.zeros(points[0].shape, dtype=bool)
    for centre, (rz, ry, rx) in VENTRICLES:
        inside |= ellipsoid(points, centre, (rz * wide, ry * long, rx * wide)) < 1
    return inside
