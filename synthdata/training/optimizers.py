"""Which rule changes which weights."""

from collections.abc import Sequence

import torch

from synthdata.training.muon import Muon

ADVERSARIAL_RATE = 0.2  # of generator.learning_rate, for families that learn by a game
Named = Sequence[tuple[str, torch.nn.Parameter]]


def build_optimizers(
    named: Named, rate: float, *, adversarial: bool = False
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the network, AdamW for its ends; for a game, Adam without momentum."""
    if adversarial:
        return (torch.optim.Adam([value for _, value in named], lr=rate, betas=(0.0, 0.99)),)
    inner = [value for name, value in named if value.ndim > 1 and ".blocks." in name]
    known = {id(value) for value in inner}
    outer = [value for _, value in named if id(value) not in known]
    rest = torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    return (Muon(inner, lr=rate), rest) if inner else (rest,)
