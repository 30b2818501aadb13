"""Volumes per CPU second of each family beside MONAI's latent rectified flow, and memory against the grid.

    python benchmarks/sampling.py speed          # all families and MONAI, one run, one thread
    python benchmarks/sampling.py memory         # peak of resident memory per grid, a process for each
    python benchmarks/sampling.py training       # volumes learnt per CPU second beside a plain loop

The time of a draw does not depend on the weights, so they are random. MONAI's side is the recipe of MAISI at this size:
`DiffusionModelUNet` on a latent of 8 x 10 x 14 x 10, `RFlowScheduler` with 30 steps, and the decoder of an
`AutoencoderKL`, batch 1 as in its inference code, and batch 4.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import time

import torch
from torch import nn

from synthdata.models import Geometry, family_of
from synthdata.records import Grid
from synthdata.training.augment import deform

SHAPE = (40, 56, 40)
GRIDS = ((24, 32, 24), (40, 56, 40), (64, 80, 64))
CASES, BATCH = 8, 4


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


def monai_recipe() -> tuple[nn.Module, nn.Module, object]:
    from monai.networks.nets import AutoencoderKL, DiffusionModelUNet
    from monai.networks.schedulers import RFlowScheduler

    unet = DiffusionModelUNet(
        spatial_dims=3,
        in_channels=8,
        out_channels=8,
        channels=(64, 128, 128),
        attention_levels=(False, False, True),
        num_head_channels=(0, 0, 32),
        num_res_blocks=1,
    ).eval()
    decoder = AutoencoderKL(
        spatial_dims=3,
        in_channels=1,
        out_channels=3,  # image and two labels
        channels=(16, 32, 64),
        latent_channels=8,
        num_res_blocks=(1, 1, 1),
        attention_levels=(False, False, False),
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    ).eval()
    scheduler = RFlowScheduler(
        num_train_timesteps=1000, use_discrete_timesteps=False, sample_method="uniform"
    )
    return unet, decoder, scheduler


@torch.inference_mode()
def draw_monai(
    unet: nn.Module, decoder: nn.Module, scheduler: object, steps: int, batch: int
) -> torch.Tensor:
    scheduler.set_timesteps(num_inference_steps=steps, input_img_size_numel=10 * 14 * 10)
    state = torch.randn(batch, 8, 10, 14, 10)
    times = [*scheduler.timesteps, torch.tensor(0.0)]
    for now, following in itertools.pairwise(times):
        velocity = unet(state, timesteps=torch.full((batch,), float(now)))
        state, _ = scheduler.step(velocity, float(now), state, following)
    return decoder.decode(state)


def speed(rounds: int) -> None:
    rows = []
    for family, preset, steps in (
        ("flow", "small", 8),
        ("flow", "small", 2),
        ("flow", "small", 32),
        ("vae", "small", 1),
        ("gan", "small", 1),
    ):
        model, _ = built(family, preset, SHAPE)
        model.sample(torch.zeros(1, 0), [0], steps=steps, guidance=1.0)  # warm
        began = time.process_time()
        for number in range(rounds):
            seeds = list(range(number * BATCH, (number + 1) * BATCH))
            model.sample(torch.zeros(BATCH, 0), seeds, steps=steps, guidance=1.0)
        rows.append((f"{family}, {steps} steps", rounds * BATCH / (time.process_time() - began)))
    unet, decoder, scheduler = monai_recipe()
    count = sum(p.numel() for p in unet.parameters()) / 1e6
    for batch in (1, BATCH):
        began = time.process_time()
        draw_monai(unet, decoder, scheduler, 30, batch)
        rows.append((f"MONAI, {count:.1f} M, RFlow 30, batch {batch}", batch / (time.process_time() - began)))
    peer = max(rate for name, rate in rows if name.startswith("MONAI"))
    print(f"| {SHAPE} | volumes per CPU second | times MONAI's best |\n|---|---|---|")
    for name, rate in rows:
        print(f"| {name} | {rate:.2f} | {rate / peer:.1f} |")


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


def memory() -> None:
    print(
        "| grid | peak of resident memory, MiB: built | after drawing 4 | after drawing 16 |\n|---|---|---|---|"
    )
    for grid in GRIDS:
        found = subprocess.run(
            [sys.executable, __file__, "one", "--grid", *map(str, grid)],
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"| {grid} | {found.stdout.strip()} |", flush=True)


def one(grid: tuple[int, int, int]) -> None:
    def peak() -> str:
        return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"

    model, _ = built("flow", "small", grid)
    peaks = [peak()]
    for rounds in (1, 3):
        for number in range(rounds):
            model.sample(
                torch.zeros(BATCH, 0), [number * BATCH + i for i in range(BATCH)], steps=4, guidance=1.0
            )
        peaks.append(peak())
    print(" | ".join(peaks))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("speed", "memory", "training", "one"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--grid", type=int, nargs=3, default=SHAPE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "speed":
        speed(options.rounds)
    elif options.what == "training":
        training(options.rounds)
    elif options.what == "memory":
        memory()
    else:
        one(tuple(options.grid))


if __name__ == "__main__":
    main()
