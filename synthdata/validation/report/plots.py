"""Plots of the validation report, as PNG bytes; real cases appear as quantiles only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.records.estimate import Estimate
from synthdata.records.reports import FidelityReport, Subgroup, UtilityReport
from synthdata.validation.pictures import figure_png
from synthdata.validation.report.words import metric_name, plain, quantity_name, unit_name

REAL, SYNTHETIC, NEUTRAL = "#0072b2", "#d55e00", "#767676"
QUANTILES = (5, 25, 50, 75, 95)
RANGE = (-1.0, 3.0)  # of the scores' axis at most; what lies beyond is drawn at the edge with an arrow
LEAST_RANGE = (-0.25, 1.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Quantiles (5, 25, 50, 75, 95 %) of one quantity in real and synthetic cases."""

    name: str
    unit: str
    real: tuple[float, ...]
    synthetic: tuple[float, ...]


def spread(name: str, unit: str, real: np.ndarray, synthetic: np.ndarray) -> Spread | None:
    """Quantiles of both samples; None where one has no finite value."""
    a, b = real[np.isfinite(real)], synthetic[np.isfinite(synthetic)]
    if not len(a) or not len(b):
        return None
    quantiles = [tuple(float(q) for q in np.percentile(x, QUANTILES)) for x in (a, b)]
    return Spread(name=name, unit=unit, real=quantiles[0], synthetic=quantiles[1])


def scores(report: FidelityReport, gate: float) -> bytes:
    """Forest plot of all scores: families in bold, their metrics below."""
    from matplotlib.figure import Figure

    rows: list[tuple[str, Estimate, bool]] = []
    for family, score in report.scores.items():
        rows.append((f"{family}: median", score, True))
        shown = [found for found in report.triples if found.family == family]
        rows += [
            (metric_name(found.metric) + ("" if found.gating else " *"), found.score, False)
            for found in shown
        ]
    figure = Figure(figsize=(8.4, 0.235 * len(rows) + 1.3), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    span = _span([score for _, score, _ in rows])
    for index, (_, score, bold) in enumerate(rows):
        if bold:
            axes.axhspan(-index - 0.5, -index + 0.5, color="#eef1f4", zorder=0)
        _draw_interval(axes, -index, score, SYNTHETIC if bold else NEUTRAL, bold=bold, span=span)
    axes.axvline(0, color=REAL, linewidth=1, label="as training cases (0)")
    axes.axvline(1, color="black", linewidth=1, linestyle=":", label="as degraded cases (1)")
    axes.axvline(gate, color="#009e73", linewidth=1, linestyle="--", label=f"gate of the medians ({gate:g})")
    axes.set_yticks([-index for index in range(len(rows))], [name for name, _, _ in rows], fontsize=8)
    for tick, (_, _, bold) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if bold else "normal")
    axes.set(xlim=span, ylim=(-len(rows) + 0.4, 0.6))
    axes.set_xlabel("score, lower is better (* reported only)", fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure_png(figure)


def subgroups(found: Sequence[Subgroup], gate: float) -> bytes:
    """Median scores of every subgroup, one panel per family; the worst one in colour."""
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(family for subgroup in found for family in subgroup.scores))
    size = (max(4.2, 0.9 + 1.75 * len(families)), 0.24 * len(found) + 0.9)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    for place, family in enumerate(families):
        axes = figure.add_subplot(1, len(families), place + 1)
        scores = {
            row: subgroup.scores[family] for row, subgroup in enumerate(found) if family in subgroup.scores
        }
        span = _span(list(scores.values()))
        worst = max(scores, key=lambda row: scores[row].value)
        for row, score in scores.items():
            colour = SYNTHETIC if row == worst else NEUTRAL
            _draw_interval(axes, -row, score, colour, bold=row == worst, span=span)
        axes.axvline(0, color=REAL, linewidth=1)
        axes.axvline(gate, color="#009e73", linewidth=1, linestyle="--")
        names = [plain(subgroup.name) for subgroup in found] if place == 0 else [""] * len(found)
        axes.set_yticks([-row for row in range(len(found))], names, fontsize=8)
        axes.set(xlim=span, ylim=(-len(found) + 0.4, 0.6))
        axes.set_title(plain(family), fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.supxlabel("score; 0 as training cases, dashed: what the gate asks of all cases", fontsize=8)
    return figure_png(figure)


def _span(scores: Sequence[Estimate]) -> tuple[float, float]:
    """Axis that holds all intervals, within `RANGE`."""
    low = min([LEAST_RANGE[0], *(score.low for score in scores)])
    high = max([LEAST_RANGE[1], *(score.high for score in scores)])
    margin = 0.03 * (high - low)
    return max(RANGE[0], low - margin), min(RANGE[1], high + margin)


def spreads(found: Sequence[Spread]) -> bytes:
    """Quantile boxes of real and synthetic cases, one panel per quantity, each in its own unit."""
    from matplotlib.figure import Figure

    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(2.4 * columns, 1.9 * rows), dpi=110, layout="constrained")
    for index, item in enumerate(found):
        axes = figure.add_subplot(rows, columns, index + 1)
        for place, (quantiles, colour) in enumerate(((item.real, REAL), (item.synthetic, SYNTHETIC))):
            low, q25, q50, q75, high = quantiles
            axes.plot([place, place], [low, high], color=colour, linewidth=1.2)
            axes.bar(place, q75 - q25, bottom=q25, width=0.5, color=colour, alpha=0.45)
            axes.plot([place - 0.25, place + 0.25], [q50, q50], color=colour, linewidth=2)
        axes.set_xticks([0, 1], ["real", "synthetic"], fontsize=8)
        axes.set_title(_two_lines(item.name), fontsize=8)
        axes.set_ylabel(unit_name(item.unit), fontsize=8)
        axes.tick_params(axis="y", labelsize=7)
        axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-3, 6))
        axes.set_xlim(-0.6, 1.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def _two_lines(name: str) -> str:
    """Name of a quantity; what it is of stands below."""
    kind, _, of = quantity_name(name).partition(" of ")
    return f"{kind}\n{of}" if of else kind


def utility(report: UtilityReport, gate: float) -> bytes:
    """Bars of both arms, in the mean and per label or class."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    arms: Mapping[str, tuple[Estimate, Estimate]] = {"mean": (report.trtr, report.tstr), **report.per_label}
    figure = Figure(figsize=(max(4.2, 1.3 * len(arms)), 2.8), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for place, pair in enumerate(arms.values()):
        for side, (found, colour) in enumerate(zip(pair, (REAL, SYNTHETIC), strict=True)):
            x = place + (side - 0.5) * 0.36
            axes.bar(x, found.value, width=0.32, color=colour, alpha=0.7)
            axes.plot([x, x], [found.low, found.high], color="black", linewidth=1)
    axes.axhline(gate * report.trtr.value, color="#009e73", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(arms)), [plain(name) for name in arms], fontsize=8)
    axes.set(ylim=(0, 1), ylabel=plain(report.metric))
    handles = [
        Patch(color=colour, alpha=0.7, label=f"trained on {name}")
        for colour, name in ((REAL, "real"), (SYNTHETIC, "synthetic"))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def _draw_interval(
    axes: object, y: float, found: Estimate, colour: str, *, bold: bool, span: tuple[float, float]
) -> None:
    """Point and interval; an arrow at the edge where the point lies beyond the axis."""
    low, high = np.clip([found.low, found.high], *span)
    width = 2.4 if bold else 1.3
    axes.plot([low, high], [y, y], color=colour, linewidth=width, solid_capstyle="round")  # type: ignore[attr-defined]
    beyond = "<" if found.value < span[0] else ">" if found.value > span[1] else "o"
    value = float(np.clip(found.value, *span))
    axes.plot([value], [y], marker=beyond, color=colour, markersize=6 if bold else 4, clip_on=False)  # type: ignore[attr-defined]
