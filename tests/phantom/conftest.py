"""A cohort of phantom patients, rendered once."""

from dataclasses import dataclass

import pytest

from synthdata.phantom import Patient, Rendering, draw_patient, render, volume_grid
from synthdata.records import Grid

SEED = 20261122
PATIENTS = 120


@dataclass(frozen=True)
class Rendered:
    patient: Patient
    noisy: Rendering


@pytest.fixture(scope="session")
def head_grid() -> Grid:
    return volume_grid((24, 40, 32), (6.0, 5.5, 5.5))


@pytest.fixture(scope="session")
def cohort(head_grid: Grid) -> list[Rendered]:
    patients = [draw_patient(SEED, number) for number in range(PATIENTS)]
    return [Rendered(patient, render(patient, ("T1w", "CT"), head_grid)) for patient in patients]
