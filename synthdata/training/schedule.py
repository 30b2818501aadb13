"""Learning rates over the budget."""

import math


def learning_rate(
    base: float, step: int, steps: int, *, schedule: str = "cosine", warmup: float = 0.02
) -> float:
    """Linear warm-up over a share of the steps; then constant, or a cosine down to 1 % of the base."""
    rise = max(1, int(warmup * steps))
    if step < rise:
        return base * (step + 1) / rise
    if schedule == "constant":
        return base
    part = (step - rise) / max(1, steps - rise)
    return base * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, part))))
