"""Do masks belong to their images? In how many cases the own mask lies better on the image than another case's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.validation.features.agreement import OTHER, OWN
from synthdata.validation.features.table import Features

FEWEST_CASES = 8  # with the label, in each role
VISIBLE = 0.75  # share of real cases which fit their own mask better: below it, the label cannot be judged


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelFit:
    """Whether each case fits its own mask of one label better than another one; NaN where the label is absent."""

    label: str
    better: Mapping[str, np.ndarray]  # role to (n,), 0 or 1
    real_share: float  # of train and test together

    @property
    def visible(self) -> bool:
        """Whether real cases show the label, so that a mix-up could be seen."""
        return self.real_share >= VISIBLE


def fits_of(tables: Mapping[str, Features], labels: Sequence[str]) -> list[LabelFit]:
    """Fit of each label that enough cases have.

    Args:
        tables: Agreement features by role: generated, train and test.
        labels: Names.

    Returns:
        One entry per label of which enough is known. The direction in which the own mask differs from another is
        learnt from training cases: mean difference over its covariance, Fisher's discriminant of paired measurements.
    """
    found = []
    for label in labels:
        known = {role: _differences(table, label) for role, table in tables.items()}
        train = known["train"][np.isfinite(known["train"]).all(axis=1)]
        test = known["test"][np.isfinite(known["test"]).all(axis=1)]
        made = np.isfinite(known["generated"]).all(axis=1).sum()
        if min(len(train), len(test), made) < FEWEST_CASES:  # a label which is missing is a dropped mode
            continue
        spread = np.atleast_2d(np.cov(train.T)) + 1e-3 * np.eye(train.shape[1])
        direction = np.linalg.solve(spread, train.mean(axis=0))
        better = {role: _better(values, direction) for role, values in known.items()}
        real = np.concatenate([better["train"], better["test"]])
        found.append(LabelFit(label=label, better=better, real_share=float(np.nanmean(real))))
    return found


def _differences(table: Features, label: str) -> np.ndarray:
    """Own minus other measurements of one label (n, k); NaN where either mask lacks it."""
    columns = {name: index for index, name in enumerate(table.names)}
    prefix = f"{label}/{OWN}/"
    kinds = [name[len(prefix) :] for name in table.names if name.startswith(prefix)]
    values = [
        table.values[:, columns[f"{label}/{OWN}/{kind}"]]
        - table.values[:, columns[f"{label}/{OTHER}/{kind}"]]
        for kind in kinds
        if kind != "present"
    ]
    both = [table.values[:, columns[f"{label}/{whose}/present"]] > 0 for whose in (OWN, OTHER)]
    found: np.ndarray = np.where((both[0] & both[1])[:, None], np.stack(values, axis=1), np.nan)
    return found


def _better(differences: np.ndarray, direction: np.ndarray) -> np.ndarray:
    known = np.isfinite(differences).all(axis=1)
    return np.where(known, (np.nan_to_num(differences) @ direction > 0).astype(float), np.nan)
