import torch
from torch.nn import functional

from synthdata.models.alignment import Alignment

SHAPE = (16, 24, 24)


def heads(n: int, seed: int = 0) -> torch.Tensor:
    """Smooth ellipsoids of differing size and place, (n, 1, z, y, x)."""
    rng = torch.Generator().manual_seed(seed)
    z, y, x = torch.meshgrid(*[torch.arange(side) - (side - 1) / 2 for side in SHAPE], indexing="ij")
    volumes = []
    for _ in range(n):
        radii = torch.tensor([5.0, 8.0, 7.0]) * (0.85 + 0.3 * torch.rand(3, generator=rng))
        shift = 2 * torch.rand(3, generator=rng) - 1
        rho = sum(((a - s) / r) ** 2 for a, s, r in zip((z, y, x), shift, radii, strict=True)) ** 0.5
        volumes.append(torch.tanh(4 * (1 - rho)))
    return torch.stack(volumes)[:, None]


def fitted() -> tuple[Alignment, torch.Tensor, torch.Tensor]:
    volumes = heads(12)
    alignment = Alignment(channels=1, shape_zyx=SHAPE, grid=(4, 6, 6))
    return alignment, volumes, alignment.fit(volumes)


def test_aligned_patients_differ_less() -> None:
    alignment, volumes, displacement = fitted()
    aligned = alignment.pull(volumes, displacement)
    assert float(aligned.var(0).mean()) < 0.35 * float(volumes.var(0).mean())


def test_pushing_what_was_pulled_gives_the_patient_back() -> None:
    alignment, volumes, displacement = fitted()
    back = alignment.push(alignment.pull(volumes, displacement), displacement)
    assert float((back - volumes).square().mean()) < 0.05 * float(volumes.var(0).mean())


def test_a_new_patient_is_registered_to_the_template_alone() -> None:
    alignment, _, _ = fitted()
    others = heads(4, seed=5)
    together = alignment.register(others)
    alone = torch.cat([alignment.register(volume[None]) for volume in others])
    assert torch.allclose(together, alone, atol=0.02)
    pulled = alignment.pull(others, together)
    template = functional.interpolate(alignment.template, size=SHAPE, mode="trilinear")
    assert float((pulled - template).square().mean()) < 0.5 * float((others - template).square().mean())


def test_a_slice_stays_a_slice() -> None:
    flat = heads(6)[:, :, 8:9]
    alignment = Alignment(channels=1, shape_zyx=(1, 24, 24), grid=(1, 12, 12))
    displacement = alignment.fit(flat)
    assert displacement.shape == (6, 3, 1, 12, 12)
    assert float(displacement[:, 0].abs().max()) < 1e-3
    assert float(alignment.pull(flat, displacement).var(0).mean()) < 0.6 * float(flat.var(0).mean())
