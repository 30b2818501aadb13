"""Contact sheets of cases and small curves, as PNG bytes without any text of a case."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from synthdata.errors import ConfigError
from synthdata.records.case import Case
from synthdata.records.training import ChannelScale

LABEL_COLOURS = (  # Okabe and Ito's, which those tell apart who see few colours
    ("#e69f00", "orange"), ("#56b4e9", "sky blue"), ("#009e73", "bluish green"), ("#f0e442", "yellow"),
    ("#d55e00", "vermilion"), ("#cc79a7", "reddish purple"), ("#0072b2", "blue"), ("#ffffff", "white"),
)  # fmt: skip
TILE_PX = 112  # longest side of one view
GAP_PX = 4


class LabelColour(NamedTuple):
    """How the outline of one label is drawn."""

    label: str
    colour: str  # as in CSS
    word: str  # for those who do not see it


def label_colours(labels: Mapping[str, int]) -> list[LabelColour]:
    """Colour of the outline of each label, in the order of the mask values; after eight labels they repeat."""
    names = sorted(labels, key=lambda name: labels[name])
    return [LabelColour(name, *LABEL_COLOURS[place % len(LABEL_COLOURS)]) for place, name in enumerate(names)]


def spread_places(cases: int, count: int) -> frozenset[int]:
    """Places of at most `count` cases, evenly spread over a set: plans stand in the order of their classes."""
    many = min(count, cases)
    return frozenset(place * cases // many for place in range(many))


def case_sheet(
    cases: Iterable[Case], scales: Sequence[ChannelScale], labels: Mapping[str, int], *, columns: int = 6
) -> bytes:
    """Draw cases side by side: per channel the slice with most mask, its label contours on top.

    Args:
        cases: Cases encoded by `scales`; a volume shows an axial and a coronal slice, an image itself.
        scales: One per channel; their range is shown as black to white.
        labels: Name to mask value; contours are coloured in the order of the values.
        columns: Cases per row, at least 1.

    Returns:
        A PNG without text, so that it holds nothing but the pixels of the cases.

    Raises:
        ConfigError: There is no case, or columns is below 1.
    """
    if columns < 1:
        raise ConfigError(f"columns is {columns}, expected at least 1")
    tiles = [_tile(case, scales, labels) for case in cases]
    if not tiles:
        raise ConfigError("a contact sheet got no case, expected at least one")
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    rows = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    canvas = np.zeros((rows * (height + GAP_PX) - GAP_PX, across * (width + GAP_PX) - GAP_PX, 3))
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + GAP_PX), (index % columns) * (width + GAP_PX)
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return png(canvas)


def curve(points: Sequence[tuple[float, float]], title: str, *, x_name: str = "", y_name: str = "") -> bytes:
    """Draw one curve of (x, y) points; the y axis is logarithmic where the values span a decade."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.8), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    finite = [(x, y) for x, y in points if np.isfinite(x) and np.isfinite(y)]
    if finite:
        x, y = zip(*finite, strict=True)
        axes.plot(x, y, color="#0072b2", linewidth=1.4, marker="." if len(finite) < 30 else "")
        if min(y) > 0 and max(y) / min(y) > 10:
            axes.set_yscale("log")
    else:
        axes.text(0.5, 0.5, "no points yet", ha="center", va="center", transform=axes.transAxes)
    axes.set(title=title, xlabel=x_name, ylabel=y_name)
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def figure_png(figure: object) -> bytes:
    """PNG of a matplotlib figure, without time stamps, so that equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "synthdata"})  # type: ignore[attr-defined]
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """PNG of an RGB array (h, w, 3) with values of 0 to 1."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    eight_bit = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    imsave(buffer, eight_bit, format="png", metadata={"Software": "synthdata"})
    return buffer.getvalue()


def _tile(case: Case, scales: Sequence[ChannelScale], labels: Mapping[str, int]) -> np.ndarray:
    """All channels (side by side) and views (one below the other) of one case, shape (h, w, 3)."""
    depth = case.grid.shape_zyx[0]
    views = (0,) if depth == 1 else (0, 1)
    blocks = []
    for view in views:
        index = _best_slice(case.mask, view)
        mask = np.take(case.mask, index, axis=view)
        spacing = [mm for axis, mm in enumerate(case.grid.spacing_mm) if axis != view]
        planes = []
        for channel, scale in enumerate(scales):
            plane = np.take(case.image[channel], index, axis=view)
            planes.append(_view(scale.to_network(plane) / 2 + 0.5, mask, labels, spacing, flip=view != 0))
        blocks.append(np.concatenate(planes, axis=1))
    width = max(block.shape[1] for block in blocks)
    padded = [np.pad(block, ((0, 1), (0, width - block.shape[1]), (0, 0))) for block in blocks]
    return np.concatenate(padded)


def _best_slice(mask: np.ndarray, axis: int) -> int:
    """Slice with most labelled voxels; the middle one where there is no label."""
    area = (mask > 0).sum(axis=tuple(other for other in range(3) if other != axis))
    return int(area.argmax()) if area.any() else mask.shape[axis] // 2


def _view(
    grey: np.ndarray, mask: np.ndarray, labels: Mapping[str, int], spacing: Sequence[float], *, flip: bool
) -> np.ndarray:
    """One slice in true proportions as RGB, feet down where `flip`, with the inner outline of each label."""
    from matplotlib.colors import to_rgb

    extent = [size * mm for size, mm in zip(grey.shape, spacing, strict=True)]
    factor = TILE_PX / max(extent)
    index = np.ix_(
        *(
            np.minimum((np.arange(max(1, round(mm * factor))) * size // max(1, round(mm * factor))), size - 1)
            for mm, size in zip(extent, grey.shape, strict=True)
        )
    )
    picture = np.repeat(np.clip(grey, 0, 1)[index][..., None], 3, axis=2).astype(np.float64)
    drawn = mask[index]
    for outline in label_colours(labels):
        picture[_outline(drawn == labels[outline.label])] = to_rgb(outline.colour)
    return picture[::-1] if flip else picture


def _outline(inside: np.ndarray) -> np.ndarray:
    """Pixels of a region which touch its outside."""
    framed = np.pad(inside, 1)
    inner = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    edge: np.ndarray = inside & ~inner
    return edge
