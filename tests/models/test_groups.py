import pytest
import torch

from synthdata.models.groups import FEWEST_PATIENTS, Groups, grouped, shrunk_covariance


def rows_around(*means: tuple[float, ...], each: int = 40, spread: float = 1.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor(means).repeat_interleave(each, dim=0)
    return centres + spread * torch.randn(centres.shape, generator=rng)


def of_single_patients(rows: torch.Tensor) -> Groups:
    return grouped(rows, torch.arange(len(rows)))


@pytest.mark.parametrize("apart", [6.0, 12.0])
def test_groups_that_lie_apart_are_found_with_their_shares(apart: float) -> None:
    rows = torch.cat(
        [rows_around((0.0, 0.0), each=60), rows_around((apart, apart), (0.0, 2 * apart), each=30)]
    )
    found = of_single_patients(rows)
    assert sorted(round(float(share), 2) for share in found.weights) == [0.25, 0.25, 0.5]
    wanted = torch.tensor([[0.0, 0.0], [apart, apart], [0.0, 2 * apart]])
    assert float(torch.cdist(wanted, found.means).amin(1).max()) < 0.5
    assert torch.allclose(found.member.sum(1), torch.ones(len(rows)))


def test_one_cloud_is_one_group() -> None:
    rows = rows_around((5.0, -3.0, 1.0), each=200)
    found = of_single_patients(rows)
    assert len(found.weights) == 1
    assert torch.allclose(found.means[0], rows.mean(0), atol=1e-5)


@pytest.mark.parametrize("rows_each", [1, 20])
def test_findings_of_a_few_patients_are_no_group_of_their_own(rows_each: int) -> None:
    few = FEWEST_PATIENTS - 3
    near, far = rows_around((0.0, 0.0), each=50), rows_around((50.0, 50.0), each=few * rows_each, spread=0.1)
    patient = torch.cat([torch.arange(50), 50 + torch.arange(few).repeat_interleave(rows_each)])
    found = grouped(torch.cat([near, far]), patient)
    assert not torch.isclose(found.means, torch.tensor(50.0), atol=5).any()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_rows_and_columns_that_never_vary_are_one_group(count: int) -> None:
    rows = torch.full((count, 3), 2.0)
    found = of_single_patients(rows)
    assert len(found.weights) == 1
    assert torch.allclose(found.means, torch.full((1, 3), 2.0))


def test_covariance_of_few_rows_is_drawn_to_its_diagonal() -> None:
    rng = torch.Generator().manual_seed(1)
    rows = torch.randn(10_000, 1, generator=rng).expand(-1, 3) + 0.1 * torch.randn(10_000, 3, generator=rng)
    many, few = shrunk_covariance(rows - rows.mean(0)), shrunk_covariance(rows[:4] - rows[:4].mean(0))
    assert float(many[0, 1] / many[0, 0]) > 0.95
    assert float(few[0, 1] / few[0, 0]) < 0.3
    assert float(torch.linalg.eigvalsh(few).min()) > 0
