"""The recipe of MAISI at our size, from MONAI's own parts: what benchmarks put beside our generators.

An `AutoencoderKL` takes image and distance fields to latents of 8 channels at a quarter of the side; a
`DiffusionModelUNet` learns them as a rectified flow (`RFlowScheduler`); cases are drawn in 30 steps and decoded. The
autoencoder's loss is L1 and a KL term of weight 1e-7, as MAISI's first stage without its perceptual and adversarial
losses, which need weights to be downloaded. Attention of MONAI needs `pip install einops`.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet
from monai.networks.schedulers import RFlowScheduler
from torch import Tensor, nn

LATENTS, SHRINK = 8, 4
TIMES = 1000
STEPS = 30
KL_WEIGHT = 1e-7
LEARNING_RATE = 5e-4  # of several that were tried by hand for 60 s, the best loss; MAISI's 1e-4 needs days


@dataclass(kw_only=True)
class MonaiRecipe:
    """Both networks, and the scale of the latents."""

    autoencoder: nn.Module
    unet: nn.Module
    scheduler: RFlowScheduler
    size: tuple[int, int, int]  # of the latents
    scale: float = 1.0

    @property
    def millions(self) -> float:
        """Parameters of the U-Net, in millions."""
        return sum(p.numel() for p in self.unet.parameters()) / 1e6

    @torch.inference_mode()
    def draw(self, count: int, *, steps: int = STEPS, rng: torch.Generator | None = None) -> Tensor:
        """Images and fields (n, c + l, z, y, x), all in one batch as one call of its inference code."""
        numel = self.size[0] * self.size[1] * self.size[2]
        self.scheduler.set_timesteps(num_inference_steps=steps, input_img_size_numel=numel)
        state = torch.randn((count, LATENTS, *self.size), generator=rng)
        times = [*self.scheduler.timesteps, torch.tensor(0.0)]
        for now, following in itertools.pairwise(times):
            velocity = self.unet(state, timesteps=torch.full((count,), float(now)))
            state, _ = self.scheduler.step(velocity, float(now), state, following)
        decoded: Tensor = self.autoencoder.decode(state / self.scale)
        return decoded


def build_recipe(channels: int, shape: tuple[int, int, int]) -> MonaiRecipe:
    """Networks with random weights for images and fields of so many channels."""
    torch.manual_seed(0)
    unet = DiffusionModelUNet(
        spatial_dims=3,
        in_channels=LATENTS,
        out_channels=LATENTS,
        channels=(64, 128),
        attention_levels=(False, True),
        num_head_channels=(0, 32),
        num_res_blocks=1,
    )
    autoencoder = AutoencoderKL(
        spatial_dims=3,
        in_channels=channels,
        out_channels=channels,
        channels=(16, 32, 64),
        latent_channels=LATENTS,
        num_res_blocks=(1, 1, 1),
        norm_num_groups=16,
        attention_levels=(False, False, False),
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )
    scheduler = RFlowScheduler(
        num_train_timesteps=TIMES, use_discrete_timesteps=False, sample_method="uniform"
    )
    size = tuple(side // SHRINK for side in shape)
    return MonaiRecipe(autoencoder=autoencoder.eval(), unet=unet.eval(), scheduler=scheduler, size=size)


def train_recipe(cases: Tensor, *, cpu_seconds: float, batch: int = 4) -> MonaiRecipe:
    """Train on images and fields (n, c + l, z, y, x): half of the CPU seconds for each network, mirrored as ours."""
    recipe = build_recipe(cases.shape[1], tuple(cases.shape[2:]))
    rng = torch.Generator().manual_seed(0)
    for batch_of, optimizer in _steps(recipe.autoencoder, cases, cpu_seconds / 2, batch, rng):
        rebuilt, mean, sigma = recipe.autoencoder(batch_of)
        kl = 0.5 * (mean**2 + sigma**2 - torch.log(sigma**2 + 1e-8) - 1).flatten(1).sum(1).mean()
        _learn(optimizer, (rebuilt - batch_of).abs().mean() + KL_WEIGHT * kl)
    with torch.inference_mode():
        latents = torch.cat([recipe.autoencoder.encode(part)[0] for part in torch.split(cases, batch)])
    recipe.scale = float(1 / latents.std())
    latents = latents.clone() * recipe.scale
    for batch_of, optimizer in _steps(recipe.unet, latents, cpu_seconds / 2, batch, rng):
        noise = torch.randn(batch_of.shape, generator=rng)
        moments = recipe.scheduler.sample_timesteps(batch_of)
        noisy = recipe.scheduler.add_noise(batch_of, noise, moments)
        wrong = recipe.unet(noisy, timesteps=moments) - (batch_of - noise)
        _learn(optimizer, wrong.square().mean())
    return recipe


def _steps(
    network: nn.Module, items: Tensor, cpu_seconds: float, batch: int, rng: torch.Generator
) -> Iterator[tuple[Tensor, torch.optim.Optimizer]]:
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    began, count = time.process_time(), 0
    while (spent := time.process_time() - began) < cpu_seconds:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (count + 1) / 50) * max(0.05, 1 - spent / cpu_seconds)
        yield items[torch.randint(len(items), (batch,), generator=rng)], optimizer
        count += 1
    network.eval()
    print(f"# {type(network).__name__}: {count} steps of {batch}", flush=True)


def _learn(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
