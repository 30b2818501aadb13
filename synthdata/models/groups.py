"""Groups of rows: a mixture of Gaussians of one shape, with as many groups as the rows can tell."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_GROUPS = 6
FEWEST_PATIENTS = 8  # in a group; the mean of fewer would tell of single ones
ROUNDS = 60
FLOOR = 1e-3  # of the variance of a column


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """A mixture whose groups share their covariance; no row is kept."""

    weights: Tensor  # (k,), the sum is 1
    means: Tensor  # (k, d)
    member: Tensor  # (n, k), probability that a row is of a group


def grouped(rows: Tensor, patient: Tensor) -> Groups:
    """The mixture of least BIC of rows (n, d), n at least 1, of patients (n,); the same for the same rows.

    Source:
        Fraley and Raftery, "Model-Based Clustering, Discriminant Analysis, and Density Estimation", JASA 97, 2002:
        model EEE, the number of groups by BIC.
    """
    values = rows.double()
    mean, scale = values.mean(0), values.std(0, correction=0).clamp_min(1e-9)
    standard = (values - mean) / scale
    best, least = _fitted(standard, standard.new_ones(len(rows), 1))
    while len(best.weights) < min(MOST_GROUPS, len(torch.unique(patient)) // FEWEST_PATIENTS):
        tried = [_fitted(standard, start) for start in _split(standard, best.member)]
        kept = [found for found in tried if _fewest(found[0].member, patient) >= FEWEST_PATIENTS]
        more, criterion = min(kept, key=lambda found: found[1], default=(best, math.inf))
        if criterion >= least:
            break
        best, least = more, criterion
    return Groups(
        weights=best.weights.float(),
        means=(best.means * scale + mean).float(),
        member=best.member.float(),
    )


def _fewest(member: Tensor, patient: Tensor) -> int:
    """Patients in the smallest group, each row in its likeliest one."""
    group = member.argmax(1)
    return min(len(torch.unique(patient[group == place])) for place in range(member.shape[1]))


def shrunk_covariance(rows: Tensor) -> Tensor:
    """Covariance (d, d) of centred rows (n, d), drawn to its diagonal the more, the fewer rows there are."""
    return _shrunk(rows.T @ rows / len(rows), len(rows))


def _shrunk(found: Tensor, count: int) -> Tensor:
    share = min(1.0, len(found) / count)
    diagonal = torch.diag(found.diagonal().clamp_min(1e-6))
    covariance: Tensor = (1 - share) * found + share * diagonal + FLOOR * diagonal
    return covariance


def _fitted(rows: Tensor, member: Tensor) -> tuple[Groups, float]:
    """Expectation and maximisation from memberships (n, k); the groups, and their BIC."""
    (size, width), count, likelihood = rows.shape, member.shape[1], -math.inf
    for _ in range(ROUNDS):
        weights = member.mean(0).clamp_min(1e-9)
        means = (member.T @ rows) / member.sum(0).clamp_min(1e-9)[:, None]
        within = rows[:, None] - means
        weighted = (member.sqrt()[:, :, None] * within).flatten(0, 1)
        root = torch.linalg.cholesky(_shrunk(weighted.T @ weighted / size, size))
        white = torch.linalg.solve_triangular(root, within.flatten(0, 1).T, upper=False)
        constant = root.diagonal().log().sum() + width * math.log(2 * math.pi) / 2
        each = weights.log() - white.square().sum(0).view(size, count) / 2 - constant
        total = each.logsumexp(1)
        member = (each - total[:, None]).exp()
        before, likelihood = likelihood, float(total.sum())
        if likelihood - before < 1e-6 * size:
            break
    free = count - 1 + count * width + width * (width + 1) / 2
    found = Groups(weights=weights, means=means, member=member)
    return found, free * math.log(size) - 2 * likelihood


def _split(rows: Tensor, member: Tensor) -> Iterator[Tensor]:
    """Memberships (n, k + 1) in which one group is two, the parts above and below its mean of one column."""
    whole = torch.nn.functional.one_hot(member.argmax(1), member.shape[1]).to(rows)
    for group in range(member.shape[1]):
        of_group = whole[:, group : group + 1]
        means = (of_group.T @ rows) / of_group.sum().clamp_min(1)
        for column in range(rows.shape[1]):
            above = of_group * (rows[:, column : column + 1] > means[:, column])
            both = torch.cat([whole, above], dim=1)
            both[:, group : group + 1] -= above
            yield both
