import numpy as np
import pytest
import torch

from synthdata.models.fields import mask_fields
from synthdata.models.focal import FocalLaw
from synthdata.models.groups import FEWEST_PATIENTS

SHAPE = (16, 24, 24)


def cohort(n: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """Label 1 in every patient; label 2 in those whose condition is 1, at the left or the right, never between."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(SHAPE)
    fields, conditions = [], []
    for index in range(n):
        mask = np.zeros(SHAPE, dtype=np.uint8)
        mask[6:10, 10:14, 10:14] = 1
        ill = index % 3 == 0
        if ill:
            centre = (8 + rng.normal(), 12 + 2 * rng.normal(), 4.5 if index % 2 else 18.5)
            radius = rng.uniform(2.0, 3.5)
            inside = sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)) < radius**2
            mask[inside] = 2
        fields.append(torch.from_numpy(mask_fields(mask, (1, 2))))
        conditions.append([float(ill), rng.normal()])
    return torch.stack(fields), torch.tensor(conditions, dtype=torch.float32)


def fitted() -> tuple[FocalLaw, torch.Tensor]:
    fields, conditions = cohort()
    law = FocalLaw(labels=2, shape_zyx=SHAPE, conditions=2)
    law.fit(fields, conditions, torch.tensor([0.0, 1.0]), torch.arange(len(fields)))
    return law, fields


def test_findings_are_drawn_for_those_who_have_them_and_in_their_size() -> None:
    law, fields = fitted()
    rng = torch.Generator().manual_seed(0)
    ill = torch.stack([law.draw(torch.tensor([1.0, 0.0]), rng) for _ in range(60)])
    well = torch.stack([law.draw(torch.tensor([0.0, 0.0]), rng) for _ in range(60)])
    present = (ill[:, 1].amax(dim=(1, 2, 3)) > 0).float().mean()
    assert float(present) > 0.9
    assert float((well[:, 1].amax(dim=(1, 2, 3)) > 0).float().mean()) < 0.1
    assert float(ill[:, 0].max()) == -1  # the common label is not its business
    real = (fields[::3, 1] > 0).flatten(1).sum(1).float()
    drawn = (ill[:, 1] > 0).flatten(1).sum(1).float()
    assert 0.7 < float(drawn.mean() / real.mean()) < 1.4
    assert 0.5 < float(drawn.std() / real.std()) < 2


def test_findings_lie_where_they_are_found_and_copy_none() -> None:
    law, fields = fitted()
    rng = torch.Generator().manual_seed(1)
    ill = torch.stack([law.draw(torch.tensor([1.0, 0.0]), rng) for _ in range(60)])[:, 1]
    along_x = torch.arange(SHAPE[2], dtype=torch.float32)
    weights = (ill > 0).flatten(1, 2).sum(1).float()
    middle = (weights * along_x).sum(1) / weights.sum(1).clamp_min(1)
    assert float(((middle - 11.5).abs() > 2.5).float().mean()) > 0.8  # two sides, not their mean
    drawn, real = (ill > 0).flatten(1).float(), (fields[:, 1] > 0).flatten(1).float()
    overlap = 2 * drawn @ real.T / (drawn.sum(1)[:, None] + real.sum(1)[None]).clamp_min(1)
    assert float(overlap.max()) < 1


def test_without_findings_nothing_is_drawn() -> None:
    law = FocalLaw(labels=1, shape_zyx=SHAPE, conditions=1)
    law.fit(torch.full((5, 1, *SHAPE), -1.0), torch.zeros(5, 1), torch.ones(1), torch.arange(5))
    assert float(law.draw(torch.zeros(1), torch.Generator()).max()) == -1


def ball(centre: tuple[float, float, float]) -> torch.Tensor:
    """Field (1, z, y, x) of a finding of two voxels' radius."""
    apart = np.indices(SHAPE).T - np.array(centre)
    return torch.from_numpy(mask_fields(((apart**2).sum(axis=-1).T < 4.0).astype(np.uint8), (1,)))


def law_of(fields: list[torch.Tensor], patient: list[int]) -> FocalLaw:
    law = FocalLaw(labels=1, shape_zyx=SHAPE, conditions=1)
    owners = torch.tensor(patient)
    law.fit(torch.stack(fields), owners[:, None].float(), torch.ones(1), owners)
    return law


@pytest.mark.parametrize("patients", [1, FEWEST_PATIENTS - 1])
@pytest.mark.parametrize("variants", [1, 10])
def test_findings_of_few_patients_are_not_in_the_law_and_not_drawn(patients: int, variants: int) -> None:
    ill = [ball((8, 12, 12))] * patients * variants
    well = [torch.full((1, *SHAPE), -1.0)] * 20
    owners = [index // variants for index in range(len(ill))]
    law = law_of(ill + well, [*owners, *range(100, 120)])
    told = {name: value for name, value in law.state_dict().items() if name != "mean_condition"}
    assert not any(value.any() for value in told.values())
    assert float(law.draw(torch.zeros(1), torch.Generator().manual_seed(0)).max()) == -1


def test_variants_of_one_patient_are_no_group_of_findings() -> None:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(24), 10)  # ten variants of each
    along_x = np.where(patient == 23, 20.0, 5.0)
    fields = [ball((8 + rng.normal(), 12 + rng.normal(), x + rng.normal() / 2)) for x in along_x]
    law = law_of(fields, patient.tolist())
    assert float(law.means[0, law.groups[0] > 0, 2].max()) < 15
