"""One training on several processes, each with its part of every batch; one process is the plain case."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """The one which writes checkpoints and tells the progress."""
        return self.rank == 0

    def part(self, index: Tensor) -> Tensor:
        """This process's part of the items of a batch."""
        return index[self.rank :: self.count]

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give everybody the tensors of the first process."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sum over the processes."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()


def join_ranks() -> Ranks:
    """Meet the other processes that `torchrun` started, on GPUs by NCCL and on the CPU by gloo; alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return Ranks(rank=dist.get_rank(), count=count)


def leave_ranks(ranks: Ranks) -> None:
    """Part from the other processes."""
    if ranks.count > 1 and dist.is_initialized():
        dist.destroy_process_group()
