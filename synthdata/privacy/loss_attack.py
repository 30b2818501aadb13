"""Membership inference by whoever has the checkpoint: does the generator know training patients better than others?"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from synthdata.models import Generator, family_of
from synthdata.models.build import load_generator
from synthdata.models.conditions import ConditionCode
from synthdata.models.fields import mask_fields
from synthdata.models.protocol import LossTeller
from synthdata.privacy.membership import auc_by_score_test
from synthdata.privacy.reviews import true_positives_at
from synthdata.records import Case, CaseSet, Checkpoint, Estimate, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore

SEEDS = tuple(range(4))  # of the noise
PATIENTS = 400  # asked about in each group; 1 % of false alarms needs 300
CHUNK = 16  # cases in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class LossAttack:
    """Outcome, with the patient as unit."""

    auc: Estimate  # 0.5: the attacker guesses; 1: every training patient is recognised
    recognised: Estimate  # share of training patients above all but 1 % of control patients
    p_value: float  # one-sided, Mann-Whitney
    others: int  # control patients asked about


def loss_attack(
    checkpoint: Checkpoint, training_set: TrainingSet, private: ObjectStore, *, alpha: float = 0.01
) -> LossAttack | None:
    """Guess membership from the loss that the generator has on each patient's cases.

    Train and control are of one law, so that harder anatomy is as frequent in one as in the other. The score of a
    patient is minus the mean logarithm of its cases' losses, so that each place where a loss is told counts alike.

    Args:
        checkpoint: The generator which was trained on `training_set.train`.
        training_set: Members are the patients of train, the others those of control.
        private: Store of cases and weights.
        alpha: Each limit of the AUC is wrong with this probability at most.

    Returns:
        AUC with its interval over patients; None where the family does not tell losses of single cases.

    Source:
        Matsumoto et al., "Membership Inference Attacks against Diffusion Models", 2023, arXiv:2302.03262, whose loss at
        a fixed time is here that of flow matching.
    """
    if not family_of(checkpoint.family).tells_losses:
        return None
    model = load_generator(checkpoint, private).model
    encoder = cast("torch.nn.Module", load_generator(checkpoint, private).model).to("cpu")
    members, others = (
        patient_scores(losses_of(model, cast("Generator", encoder), training_set, group, private))
        for group in (training_set.train, training_set.control)
    )
    test = stats.mannwhitneyu(members, others, alternative="greater")
    return LossAttack(
        auc=auc_by_score_test(members, others, level=1 - 2 * alpha),
        recognised=true_positives_at(members, others),
        p_value=float(test.pvalue),
        others=len(others),
    )


def patient_scores(losses: Mapping[str, np.ndarray]) -> np.ndarray:
    """One score per patient from the losses (cases, t) of each; higher means more likely a member."""
    return np.array([-np.log(np.maximum(found, 1e-12)).mean() for found in losses.values()])


def losses_of(
    model: Generator, encoder: Generator, training_set: TrainingSet, cases: CaseSet, private: ObjectStore
) -> dict[str, np.ndarray]:
    """Losses (cases, t) of the first `PATIENTS` patients; the encoder is the same generator on the CPU."""
    teller = cast("LossTeller", model)
    device = next(iter(model.parameters())).device
    found: dict[str, list[np.ndarray]] = {}
    source = read_cases(private, cases)
    while chunk := list(islice(source, CHUNK)):
        known = []
        for case in chunk:
            if case.patient_id in found or len(found) < PATIENTS:
                found.setdefault(case.patient_id, [])
                known.append(case)
        if known:
            images, fields, conditions = _tensors(known, training_set)
            items = encoder.encode(images, fields).to(device)
            told = teller.case_losses(items, conditions.to(device), SEEDS).cpu().numpy()
            for case, row in zip(known, told, strict=True):
                found[case.patient_id].append(row)
    return {patient: np.stack(rows) for patient, rows in found.items()}


def _tensors(cases: list[Case], training_set: TrainingSet) -> tuple[Tensor, Tensor, Tensor]:
    """Images (n, c, z, y, x) in network scale, fields (n, l, z, y, x) and conditions (n, k)."""
    code, values = ConditionCode(training_set.columns), tuple(training_set.labels.values())
    images = [
        np.stack(
            [scale.to_network(part) for scale, part in zip(training_set.scales, case.image, strict=True)]
        )
        for case in cases
    ]
    return (
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack([mask_fields(case.mask, values) for case in cases])),
        torch.from_numpy(np.stack([code.encode(case.record) for case in cases])),
    )
