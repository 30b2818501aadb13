"""Generation: from a Checkpoint and a plan to a synthetic CaseSet."""

from synthdata.generation.generate import generate
from synthdata.generation.plan import plan_samples

__all__ = ["generate", "plan_samples"]
