"""Training of generators: from a TrainingSet to a Checkpoint."""

from synthdata.training.loop import never, train

__all__ = ["never", "train"]
