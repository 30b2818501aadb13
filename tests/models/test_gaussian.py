import torch

from synthdata.models.start import GaussianStart


def test_the_start_has_mean_and_spread_of_the_codes_given_the_condition() -> None:
    """Codes are 3 c + noise along one direction; so must the draws be."""
    rng = torch.Generator().manual_seed(0)
    conditions = torch.rand(400, 1, generator=rng) * 2 - 1
    direction = torch.randn(2, 2, 3, 2, generator=rng)
    direction /= direction.norm()
    amount = 3 * conditions[:, 0] + 0.5 * torch.randn(400, generator=rng)
    items = amount.view(-1, 1, 1, 1, 1) * direction + 0.01 * torch.randn(400, 2, 2, 3, 2, generator=rng)
    start = GaussianStart((2, 2, 3, 2), 1)
    start.fit(items, conditions)
    drawn = torch.stack([start.draw(torch.tensor([0.8]), rng) for _ in range(300)])
    along = (drawn * direction).sum(dim=(1, 2, 3, 4))
    assert abs(float(along.mean()) - 2.4) < 0.2
    assert 0.35 < float(along.std()) < 0.65
