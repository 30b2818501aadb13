"""The closest pairs of a generated and a training case, to look at; for the private store alone."""

import io
import textwrap
from collections.abc import Sequence

import numpy as np

from synthdata.records import CaseSet, ChannelScale
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore

TITLE_WIDTH = 36  # letters that fit above a picture


def images_of(private: ObjectStore, case_set: CaseSet, rows: Sequence[int]) -> dict[int, np.ndarray]:
    """First channel's middle slice (y, x), encoded, of some cases by their row in the set."""
    wanted, found = set(rows), dict[int, np.ndarray]()
    for index, case in enumerate(read_cases(private, case_set)):
        if index in wanted:
            found[index] = np.asarray(case.image[0, case.image.shape[1] // 2])
            if len(found) == len(wanted):
                break
    return found


def draw_pairs(pairs: Sequence[tuple[np.ndarray, np.ndarray, str]], scale: ChannelScale) -> bytes:
    """PNG with a row per pair: generated, training, difference.

    Args:
        pairs: (generated (y, x), training (y, x), title) of each pair, encoded; the title holds no patient data.
        scale: Encoding of the channel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.3 * len(pairs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(pairs), 3, squeeze=False)
    for row, (generated, training, title) in zip(axes, pairs, strict=True):
        left, right = scale.to_network(generated), scale.to_network(training)
        for axis, image, name in zip(row[:2], (left, right), (title, "nearest training case"), strict=True):
            axis.imshow(image, cmap="gray", vmin=-1, vmax=1)
            axis.set_title(textwrap.fill(name, TITLE_WIDTH), fontsize=7, loc="left")
        row[2].imshow(left - right, cmap="coolwarm", vmin=-1, vmax=1)
        row[2].set_title("difference", fontsize=7, loc="left")
        for axis in row:
            axis.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
