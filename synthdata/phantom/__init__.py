"""Digital anatomy: MR, CT and X-ray of parametric heads with clinical records, written as DICOM."""

from synthdata.phantom.cohort import write_cohort
from synthdata.phantom.patient import Patient, draw_patient
from synthdata.phantom.render import Rendering, render, volume_grid

__all__ = ["Patient", "Rendering", "draw_patient", "render", "volume_grid", "write_cohort"]
