import pytest
import torch

from synthdata.models.gaussian import COMPONENTS, MOST_ITEMS, GaussianLaw

SHAPE = (2, 2, 3, 2)


def fitted(noise: float = 0.01) -> tuple[GaussianLaw, torch.Tensor, torch.Generator]:
    """Codes are 3 c + noise along one direction."""
    rng = torch.Generator().manual_seed(0)
    conditions = torch.rand(400, 1, generator=rng) * 2 - 1
    direction = torch.randn(SHAPE, generator=rng)
    direction /= direction.norm()
    amount = 3 * conditions[:, 0] + 0.5 * torch.randn(400, generator=rng)
    items = amount.view(-1, 1, 1, 1, 1) * direction + noise * torch.randn(400, *SHAPE, generator=rng)
    law = GaussianLaw(SHAPE, 1)
    law.fit(items, conditions, torch.arange(400))
    return law, direction, rng


def test_draws_have_mean_and_spread_of_the_codes_given_the_condition() -> None:
    law, direction, rng = fitted()
    drawn = torch.stack([law.draw(torch.tensor([0.8]), rng) for _ in range(300)])
    along = (drawn * direction).sum(dim=(1, 2, 3, 4))
    assert abs(float(along.mean()) - 2.4) < 0.2
    assert 0.35 < float(along.std()) < 0.65


def test_the_guess_is_the_posterior_mean_of_a_dense_gaussian() -> None:
    """Against the textbook formula with the whole covariance matrix."""
    law, _, rng = fitted(noise=0.3)
    basis = law.basis
    covariance = basis.T @ law.root @ law.root.T @ basis
    covariance += torch.diag(law.leftover[law.level].square())
    time = torch.tensor([0.3, 0.8])
    noisy = torch.randn(2, *SHAPE, generator=rng)
    told = torch.tensor([[0.5, 1.0], [0.5, 0.0]])
    guess, error = law.denoise(noisy, time, told)
    for row, t in enumerate(time):
        shift = (told[row, :1] - law.centre) * told[row, 1]
        mean = law.mean + law.slope @ shift
        gain = t * covariance @ torch.linalg.inv(t**2 * covariance + (1 - t) ** 2 * torch.eye(24))
        expected = mean + gain @ (noisy[row].flatten() - t * mean)
        assert torch.allclose(guess[row].flatten(), expected, atol=1e-4)
        left = (covariance - t * gain @ covariance).diagonal()
        for level in law.level.unique():
            of_level = error[row].flatten()[law.level == level]
            assert torch.allclose(of_level, left[law.level == level].mean().sqrt(), atol=1e-4)


def test_without_noise_the_guess_is_the_input() -> None:
    law, _, rng = fitted(noise=0.3)
    clean = torch.randn(1, *SHAPE, generator=rng)
    guess, error = law.denoise(0.999 * clean, torch.tensor([0.999]), torch.zeros(1, 2))
    assert torch.allclose(guess, clean, atol=0.01)
    assert float(error.max()) < 0.01


def test_what_the_components_leave_keeps_its_spread_at_each_place() -> None:
    rng = torch.Generator().manual_seed(0)
    shape = (1, 1, 16, 16)
    spread = torch.ones(shape)
    spread[..., 8:] = 5
    law = GaussianLaw(shape, 1)
    law.fit(spread * torch.randn(60, *shape, generator=rng), torch.zeros(60, 1), torch.arange(60))
    drawn = torch.stack([law.draw(torch.zeros(1), rng) for _ in range(200)]).std(0)
    assert 0.8 < float(drawn[..., :7].mean()) < 1.2
    assert 4 < float(drawn[..., 9:].mean()) < 6


def test_components_that_only_one_patient_shows_are_left_out() -> None:
    rng = torch.Generator().manual_seed(0)
    shape, shared = (2, 4, 6, 5), 3
    directions = torch.linalg.qr(torch.randn(240, shared, generator=rng))[0].T
    amounts = torch.tensor([6.0, 5.5, 5.0]) * torch.randn(160, shared, generator=rng)
    own = 0.4 * torch.randn(160, 240, generator=rng)  # of each patient alone
    items = (amounts @ directions + own).view(-1, *shape).repeat_interleave(2, dim=0)  # two variants of each
    law = GaussianLaw(shape, 1)
    law.fit(items, torch.zeros(320, 1), torch.arange(160).repeat_interleave(2))
    used = law.basis.abs().sum(1) > 0
    assert (
        shared - 1 <= int(used.sum()) <= shared
    )  # of 79 that one half of the patients spans; a neighbour has a say
    assert len(used) == COMPONENTS


def test_a_large_pool_is_thinned_out_before_its_directions_are_sought() -> None:
    rng = torch.Generator().manual_seed(0)
    items = torch.randn(MOST_ITEMS + 500, *SHAPE, generator=rng) + 2
    law = GaussianLaw(SHAPE, 1)
    law.fit(items, torch.zeros(len(items), 1), torch.arange(len(items)))
    assert float(law.mean.mean()) == pytest.approx(2, abs=0.05)
    draws = torch.stack([law.draw(torch.zeros(1), rng) for _ in range(200)])
    assert float(draws.std()) == pytest.approx(1, abs=0.1)


def test_two_scans_of_a_patient_do_not_confirm_each_others_components() -> None:
    rng = torch.Generator().manual_seed(3)
    patients = torch.randn(20, *SHAPE, generator=rng)  # no direction is common to them
    items = patients.repeat_interleave(2, 0) + 0.01 * torch.randn(40, *SHAPE, generator=rng)

    def kept(owner: torch.Tensor) -> int:
        law = GaussianLaw(SHAPE, 0)
        law.fit(items, torch.zeros(40, 0), owner)
        return int((law.root.diagonal() > 0).sum())

    scans, owners = torch.arange(40), torch.arange(20).repeat_interleave(2)
    assert kept(scans) > 3 * kept(owners)
