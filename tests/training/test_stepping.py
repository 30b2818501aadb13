"""Memory, several processes, and a start from given weights."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from synthdata.errors import IntegrityError, TrainingError
from synthdata.spec_generator import GeneratorSpec
from synthdata.training.pretrained import load_pretrained, start_from
from synthdata.training.ranks import Ranks
from synthdata.training.stepping import Stepper

ROOT = Path(__file__).parents[2]


class Line(nn.Module):
    """Learns y = w x; has memory for so many items."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.w, self.room = nn.Parameter(torch.zeros(1)), room

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return ((self.w * items - conditions).square()).mean()


def stepped(room: int) -> tuple[float, Stepper]:
    model: Any = Line(room)
    named = list(model.named_parameters())
    stepper = Stepper(model, named, (torch.optim.SGD(model.parameters(), lr=0.1),), Ranks())
    items = torch.arange(8.0)[:, None]
    stepper.step(items, 0.1 * items, 0, rate=0.01, batch=8)
    return float(model.w.detach()), stepper


def test_a_batch_that_does_not_fit_is_added_up_from_parts_to_the_same_step() -> None:
    whole, one = stepped(room=8)
    parts, four = stepped(room=2)
    assert (one.parts, four.parts) == (1, 4)
    assert parts == pytest.approx(whole, rel=1e-5)
    assert whole != 0


def test_one_item_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TrainingError, match="does not fit into memory"):
        stepped(room=0)


def file_of(path: Path, tensors: dict[str, Tensor]) -> GeneratorSpec:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors}, path)
    return GeneratorSpec(
        pretrained=str(path), pretrained_sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_weights_of_a_bundle_are_taken_where_name_and_shape_fit(tmp_path: Path, name: str) -> None:
    spec = file_of(tmp_path / name, {"module.a.weight": torch.full((2, 3), 7.0), "b.bias": torch.ones(9)})
    model = nn.ModuleDict({"network": nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(3, 2)})})
    assert start_from(model, load_pretrained(spec)) == 1
    assert (model["network"]["a"].weight == 7).all()  # type: ignore[index]


def test_weights_of_another_network_another_digest_or_a_pickle_are_refused(tmp_path: Path) -> None:
    spec = file_of(tmp_path / "a.safetensors", {"x": torch.ones(3)})
    with pytest.raises(TrainingError, match="none of the 1 tensors"):
        start_from(nn.Linear(3, 2), load_pretrained(spec))
    with pytest.raises(IntegrityError, match="SHA-256"):
        load_pretrained(GeneratorSpec(pretrained=spec.pretrained, pretrained_sha256="0" * 64))
    path = tmp_path / "b.pt"
    torch.save({"model": subprocess.Popen}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(TrainingError, match="something else than tensors"):
        load_pretrained(GeneratorSpec(pretrained=str(path), pretrained_sha256=digest))


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env=os.environ | common | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=500)[0].decode() for process in started]
    weights = [
        float(line.split()[1]) for out in outputs for line in out.splitlines() if line.startswith("w ")
    ]
    assert len(weights) == 2
    assert weights == pytest.approx([stepped(room=8)[0]] * 2, rel=1e-5)


RANK = """
import torch
from synthdata.training.ranks import join_ranks, leave_ranks
from synthdata.training.stepping import Stepper
from tests.training.test_stepping import Line

ranks = join_ranks()
model = Line(8)
stepper = Stepper(model, list(model.named_parameters()), (torch.optim.SGD(model.parameters(), lr=0.1),), ranks)
items = ranks.part(torch.arange(8.0)[:, None])
stepper.step(items, 0.1 * items, 0, rate=0.01, batch=8)
print("w", float(model.w.detach()), flush=True)
leave_ranks(ranks)
"""
