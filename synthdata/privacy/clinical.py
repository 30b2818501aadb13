"""Risks of the clinical table: singling out, linkability, attribute inference, each beside a control group.

An attack that succeeds on training patients as often as on control patients, whom the generator never saw, has learnt
about people in general and not about these. The risk is what it gains on top:
r = (r_train - r_control) / (1 - r_control).

Source: Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PETS 2023, arXiv:2211.10459;
the rates are computed anew here, seeded, with relative tolerance by the size of the true value.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.errors import ConfigError
from synthdata.privacy.limits import MEMORY_MB
from synthdata.records import ColumnSpec, Estimate
from synthdata.records.case import Value

ATTACKS = 300  # per kind of attack, at most
PREDICATES = 3  # columns of a multivariate predicate
TOLERANCE = 0.05  # of the true value, within which a number counts as guessed
FEWEST_PREDICATES = 20  # which single out a generated record; fewer say nothing
RARE_CELLS = 3  # a category of fewer training patients is rare
FEWEST = 10  # records of each group
BYTES_OF_PAIR = 64  # of records that are compared: five arrays

Rows = Sequence[Mapping[str, Value]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Risk:
    """One kind of attack."""

    name: str
    attack: Estimate  # success rate on training patients, Wilson interval
    control: Estimate  # the same on control patients
    risk: Estimate  # residual, 0..1


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFindings:
    """Plain counts of the table."""

    exact_train: int  # generated records equal to one of a training patient
    exact_control: int
    smallest_class: int  # k of k-anonymity of the generated records over the conditions
    rare: tuple[str, ...]  # `<column> <value>` of generated values that few training patients have


def table_risks(
    train: Rows, control: Rows, generated: Rows, columns: Sequence[ColumnSpec], *, seed: int
) -> tuple[Risk, ...]:
    """Attack training and control patients with the generated table.

    Args:
        train: Records of the patients that the generator saw.
        control: Records of others.
        generated: The released table.
        columns: Of the records; two or more.
        seed: Of predicates and of who is attacked.

    Returns:
        Singling out by one column and by three (where enough predicates single out a record), linkability of two halves
        of the columns, and inference of each column.

    Raises:
        ConfigError: A group has fewer than `FEWEST` records, or there are fewer than two columns.
    """
    if len(columns) < 2 or min(len(train), len(control), len(generated)) < FEWEST:
        raise ConfigError(
            f"the clinical table has {len(columns)} columns and groups of {len(train)}, {len(control)} and "
            f"{len(generated)} records, expected 2 columns and {FEWEST} records or more: its risks cannot be measured"
        )
    rng = np.random.default_rng(seed)
    coder = _Coder(columns, [*train, *control, *generated])
    people = {"train": coder.code(_some(train, rng)), "control": coder.code(_some(control, rng))}
    made = coder.code(generated)
    found = []
    for name, width in (("singling_out_univariate", 1), ("singling_out_multivariate", PREDICATES)):
        hits = _singled_out(people, made, coder, min(width, len(columns)), rng)
        if len(hits["train"]) >= FEWEST_PREDICATES:
            found.append(_risk(name, hits))
    found.append(_risk("linkability", {group: _linked(rows, made, coder) for group, rows in people.items()}))
    for index, column in enumerate(columns):
        hits = {group: _inferred(rows, made, index, coder) for group, rows in people.items()}
        found.append(_risk(f"inference of {column.name}", hits))
    return tuple(found)


def table_findings(
    train: Rows, control: Rows, generated: Rows, columns: Sequence[ColumnSpec]
) -> TableFindings:
    """Exact matches, k-anonymity over the conditions, and rare categories of the generated table."""
    names = [column.name for column in columns]
    known = {
        group: {_key(row, names) for row in rows} for group, rows in (("train", train), ("control", control))
    }
    conditions = [column.name for column in columns if column.role == "condition"]
    classes = Counter(_key(row, conditions) for row in generated)
    rare = []
    for column in columns:
        if column.kind == "category":
            real = Counter(str(row.get(column.name)) for row in train)
            values = {str(row.get(column.name)) for row in generated}
            rare += [f"{column.name} {value}" for value in sorted(values) if real[value] < RARE_CELLS]
    return TableFindings(
        exact_train=sum(_key(row, names) in known["train"] for row in generated),
        exact_control=sum(_key(row, names) in known["control"] for row in generated),
        smallest_class=min(classes.values()),
        rare=tuple(rare),
    )


def wilson(hits: int, trials: int, *, level: float = 0.95) -> Estimate:
    """A rate with its Wilson score interval. Source: Wilson, JASA 22 (1927), 209-212."""
    z = float(stats.norm.ppf((1 + level) / 2))
    rate, scale = hits / trials, 1 + z**2 / trials
    centre = (rate + z**2 / (2 * trials)) / scale
    half = z / scale * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    return Estimate(
        value=rate,
        low=float(min(rate, max(0.0, centre - half))),
        high=float(max(rate, min(1.0, centre + half))),
        level=level,
        n=trials,
    )


def _risk(name: str, hits: Mapping[str, np.ndarray]) -> Risk:
    """Success rates of both groups, and what is gained on training patients, errors propagated."""
    attack, control = (wilson(int(hits[group].sum()), len(hits[group])) for group in ("train", "control"))
    room = max(1 - control.value, 1e-9)
    value = (attack.value - control.value) / room
    halves = [(one.high - one.low) / 2 for one in (attack, control)]
    half = float(np.hypot(halves[0] / room, halves[1] * (1 - attack.value) / room**2))
    clipped = [float(np.clip(end, 0, 1)) for end in (value, value - half, value + half)]
    return Risk(
        name=name,
        attack=attack,
        control=control,
        risk=Estimate(value=clipped[0], low=clipped[1], high=clipped[2], n=attack.n),
    )


class _Coder:
    """Records as numbers: categories by their place among the values, NaN where unknown."""

    def __init__(self, columns: Sequence[ColumnSpec], rows: Rows) -> None:
        self.columns = tuple(columns)
        self.category = np.array([column.kind in {"category", "boolean"} for column in columns])
        self.places = [
            {value: place for place, value in enumerate(sorted({str(row.get(column.name)) for row in rows}))}
            for column in columns
        ]
        raw = self.code(rows)
        spread = np.nan_to_num(_extreme(raw, np.fmax) - _extreme(raw, np.fmin))
        self.spread = np.where(spread > 0, spread, 1.0)

    def code(self, rows: Rows) -> np.ndarray:
        """Shape (n, columns)."""
        found = np.full((len(rows), len(self.columns)), np.nan)
        for index, column in enumerate(self.columns):
            for place, row in enumerate(rows):
                value = row.get(column.name)
                if value is not None:
                    found[place, index] = (
                        self.places[index][str(value)] if self.category[index] else float(value)
                    )
        return found


def _extreme(values: np.ndarray, which: np.ufunc) -> np.ndarray:
    """Largest or smallest known value of each column; NaN where none is known."""
    found: np.ndarray = which.reduce(values, axis=0)
    return found


def gower(a: np.ndarray, b: np.ndarray, category: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Gower's distances of coded rows (n, k) and (m, k), 0..1; two unknown values are equal, one is not."""
    total = np.zeros((len(a), len(b)))
    for index in range(a.shape[1]):
        x, y = a[:, index, None], b[None, :, index]
        apart = (x != y).astype(float) if category[index] else np.minimum(np.abs(x - y) / spread[index], 1)
        unknown = np.isnan(x).astype(int) + np.isnan(y)
        total += np.where(unknown == 2, 0.0, np.where(unknown == 1, 1.0, apart))
    mean: np.ndarray = total / a.shape[1]
    return mean


def _some(rows: Rows, rng: np.random.Generator) -> Rows:
    chosen = rng.permutation(len(rows))[:ATTACKS]
    return [rows[int(index)] for index in chosen]


def _singled_out(
    people: Mapping[str, np.ndarray], made: np.ndarray, coder: _Coder, width: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Predicates which hold for exactly one generated record: does each hold for exactly one patient of a group?"""
    hits: dict[str, list[bool]] = {group: [] for group in people}
    tried = set[tuple[int, ...]]()
    for _ in range(10 * ATTACKS):
        if len(hits["train"]) == ATTACKS:
            break
        who = int(rng.integers(len(made)))
        row, chosen = made[who], np.sort(rng.permutation(made.shape[1])[:width])
        signs = rng.random(width) < 0.5
        predicate = (who, *chosen.tolist(), *signs.tolist())
        if predicate in tried or _holds(made, row, chosen, signs, coder.category).sum() != 1:
            continue
        tried.add(predicate)  # the same one twice is no second attack
        for group, rows in people.items():
            hits[group].append(bool(_holds(rows, row, chosen, signs, coder.category).sum() == 1))
    return {group: np.array(found, bool) for group, found in hits.items()}


def _holds(
    rows: np.ndarray, row: np.ndarray, chosen: np.ndarray, signs: np.ndarray, category: np.ndarray
) -> np.ndarray:
    """Equal for a category, at least or at most the value for a number."""
    fits = np.ones(len(rows), bool)
    for index, sign in zip(chosen, signs, strict=True):
        values = rows[:, index]
        if category[index] or np.isnan(row[index]):
            fits &= (values == row[index]) | (np.isnan(values) & np.isnan(row[index]))
        else:
            fits &= values >= row[index] if sign else values <= row[index]
    return fits


def _nearest_record(
    rows: np.ndarray, made: np.ndarray, columns: slice | list[int], coder: _Coder
) -> np.ndarray:
    """Generated record that is nearest in some columns to each of the rows, (n,)."""
    category, spread = coder.category[columns], coder.spread[columns]
    step = max(1, (MEMORY_MB << 20) // (BYTES_OF_PAIR * len(made)))
    parts = [
        gower(rows[start : start + step, columns], made[:, columns], category, spread).argmin(axis=1)
        for start in range(0, len(rows), step)
    ]
    return np.concatenate(parts)


def _linked(rows: np.ndarray, made: np.ndarray, coder: _Coder) -> np.ndarray:
    """Do both halves of a patient's columns have the same generated record as nearest one?"""
    one, other = (_nearest_record(rows, made, half, coder) for half in (slice(0, None, 2), slice(1, None, 2)))
    return np.asarray(one == other)


def _inferred(rows: np.ndarray, made: np.ndarray, index: int, coder: _Coder) -> np.ndarray:
    """Is a column guessed right from the generated record that is nearest in all other columns?"""
    others = [place for place in range(rows.shape[1]) if place != index]
    guess, truth = made[_nearest_record(rows, made, others, coder), index], rows[:, index]
    if coder.category[index]:
        right: np.ndarray = guess == truth
        return right
    near: np.ndarray = np.abs(guess - truth) <= TOLERANCE * np.abs(truth)
    return near


def _key(row: Mapping[str, Value], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in names)
