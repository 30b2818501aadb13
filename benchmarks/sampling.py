"""Volumes per CPU second of each family beside MONAI's latent rectified flow.

    python benchmarks/sampling.py speed          # all families and MONAI, one run, one thread
    python benchmarks/sampling.py training       # volumes learnt per CPU second beside a plain loop

The time of a draw does not depend on the weights, so they are random. MONAI's side is the recipe of MAISI at this size
(`monai_recipe.py`, which needs `pip install einops`), latents of 8 x 10 x 14 x 10, 30 steps, batch 1 as in its
inference code, and the batches 4 and 16; ours draw 16 at once as generation does. Their quality: `families.py`.
"""

import argparse
import time

import torch
from monai_recipe import STEPS, build_recipe
from torch import nn

from synthdata.models import Geometry, family_of
from synthdata.records import Grid
from synthdata.training.augment import deform

SHAPE = (40, 56, 40)
CASES, BATCH = 8, 4
DRAWN = 16  # as `synthdata.generation.worker`


def blobs(shape: tuple[int, int, int], count: int = CASES) -> tuple[torch.Tensor, torch.Tensor]:
    """Ellipsoids with noise, and their distance fields of two labels."""
    rng = torch.Generator().manual_seed(0)
    axes = torch.meshgrid(*[torch.linspace(-1, 1, side) for side in shape], indexing="ij")
    images, fields = [], []
    for _ in range(count):
        radii = 0.5 + 0.3 * torch.rand(3, generator=rng)
        rho = sum((axis / radius) ** 2 for axis, radius in zip(axes, radii, strict=True)).sqrt()
        images.append(torch.tanh(4 * (1 - rho)) + 0.05 * torch.randn(shape, generator=rng))
        fields.append(torch.stack([(1 - rho).clamp(-1, 1), (0.5 - rho).clamp(-1, 1)]))
    return torch.stack(images)[:, None], torch.stack(fields)


def built(family: str, preset: str, shape: tuple[int, int, int]) -> tuple[nn.Module, torch.Tensor]:
    """A fitted generator with random weights, and its items."""
    torch.manual_seed(0)
    grid = Grid(shape_zyx=shape, spacing_mm=(1.0, 1.0, 1.0))
    row = family_of(family)
    model = row.build(row.presets[preset], Geometry(grid=grid, channels=1, labels=2, conditions=0))
    images, fields = blobs(shape)
    model.fit_codec(images, fields)
    items = model.encode(images, fields)
    told = torch.zeros(len(items), 0)
    model.fit_law(items, told, torch.arange(len(items)))
    model.eval()
    model.settle(items, told, torch.Generator().manual_seed(0))
    return model, items


def speed(rounds: int) -> None:
    rows = []
    for family, preset, steps in (
        ("flow", "small", 8),
        ("flow", "small", 1),
        ("flow", "small", 2),
        ("flow", "small", 32),
        ("flow", "large", 8),
        ("vae", "small", 1),
        ("gan", "small", 1),
    ):
        model, _ = built(family, preset, SHAPE)
        model.sample(torch.zeros(1, 0), [0], steps=steps, guidance=1.0)  # warm
        began = time.process_time()
        for number in range(rounds):
            seeds = list(range(number * DRAWN, (number + 1) * DRAWN))
            model.sample(torch.zeros(DRAWN, 0), seeds, steps=steps, guidance=1.0)
        rate = rounds * DRAWN / (time.process_time() - began)
        rows.append((f"{family} ({preset}), {steps} steps", rate))
    recipe = build_recipe(3, SHAPE)
    for batch in (1, BATCH, DRAWN):
        recipe.draw(batch, steps=2)  # warm
        began = time.process_time()
        recipe.draw(batch)
        took = time.process_time() - began
        rows.append((f"MONAI, {recipe.millions:.1f} M, RFlow {STEPS}, batch {batch}", batch / took))
    peers = [rate for name, rate in rows if name.startswith("MONAI")]
    print(f"| {SHAPE} | volumes per CPU second | times MONAI's batch 1 | times its best |\n|---|---|---|---|")
    for name, rate in rows:
        print(f"| {name} | {rate:.2f} | {rate / peers[0]:.1f} | {rate / max(peers):.1f} |")


def training(rounds: int) -> None:
    from monai.transforms import Rand3DElastic, RandAffine

    model, items = built("flow", "small", SHAPE)
    model.train()
    images, fields = blobs(SHAPE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    rng, told = torch.Generator().manual_seed(0), torch.zeros(BATCH, 0)

    def learn(batch: torch.Tensor) -> None:
        optimizer.zero_grad()
        model.loss(batch, told, rng).backward()
        optimizer.step()

    began = time.process_time()
    for _ in range(rounds):
        learn(items[torch.randint(len(items), (BATCH,), generator=rng)])
    ours = rounds * BATCH / (time.process_time() - began)
    began = time.process_time()
    for row in range(len(images)):
        warped = deform(images[row], fields[row], rng, 1.0, flip_x=True)
        model.encode(warped[0][None], warped[1][None])
    pool_s = (time.process_time() - began) / len(images)
    affine = RandAffine(prob=1, rotate_range=0.1, scale_range=0.06, padding_mode="border")
    elastic = Rand3DElastic(sigma_range=(4, 6), magnitude_range=(10, 20), prob=1, padding_mode="border")
    began = time.process_time()
    for _ in range(rounds):
        rows = torch.randint(len(items), (BATCH,), generator=rng)
        both = torch.cat([images[rows], fields[rows]], dim=1)
        warped = torch.stack([torch.as_tensor(elastic(affine(case))) for case in both])
        learn(model.encode(warped[:, :1], warped[:, 1:]))
    plain = rounds * BATCH / (time.process_time() - began)
    print(
        f"our loop, from its pool: {ours:.2f} volumes per CPU second; making the pool: {pool_s:.2f} s per item"
    )
    print(f"plain loop, MONAI's transforms and the code in each step: {plain:.2f}; ratio {ours / plain:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("speed", "training"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "speed":
        speed(options.rounds)
    else:
        training(options.rounds)


if __name__ == "__main__":
    main()
