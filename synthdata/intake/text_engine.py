"""Finds and reads printed text in a grey image: PP-OCRv4, whose models come inside the package rapidocr-onnxruntime.

The package is used for its model files alone (Apache-2.0, no network), through onnxruntime.
"""

import os
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

DETECTOR, READER = "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx"
STRIDE = 32  # sides of the detector's input are multiples of it
LEAST_SIDE, LARGEST_SIDE = 736, 2560  # px of the detector's input
LARGEST_ZOOM = 3.0
LIKELY = 0.3  # probability of a text pixel
SURE = 0.5  # mean probability of a box
UNCLIP = 1.6  # the detector paints the core of a line. Source: Liao et al., AAAI 2020, arXiv:1911.08947
READ_HEIGHT = 48  # px of the reader's input
LEAST_PIXELS = 3  # height and width of a box
MOST_BOXES = 24  # read at most so many of an image


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line that was read; its text stays in the process."""

    text: str
    confidence: float  # 0 to 1
    height_px: float


def _silent_runtime() -> ModuleType:
    """The package onnxruntime, which from 1.29 on tells its maker of each session unless this is set before."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return import_module("onnxruntime")


class TextEngine:
    """Detector and reader, each loaded with its first image; one thread, since the cores are shared by files."""

    def __init__(self, models: Path) -> None:
        self._models = models

    @cached_property
    def _detector(self) -> Any:
        return self._session(DETECTOR)

    @cached_property
    def _reader(self) -> Any:
        return self._session(READER)

    @cached_property
    def _alphabet(self) -> list[str]:
        characters = self._reader.get_modelmeta().custom_metadata_map["character"].splitlines()
        return ["", *characters, " "]

    def _session(self, model: str) -> Any:
        onnxruntime = _silent_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # a plan for each size of image holds memory and saves no time
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(self._models / model, options, providers=["CPUExecutionProvider"])

    def lines(self, image: np.ndarray, *, zoom: float = LARGEST_ZOOM) -> list[TextLine]:
        """Lines of text, the surest boxes first.

        Args:
            image: Grey values (y, x), uint8.
            zoom: At most so many times the image is enlarged.
        """
        found = [self._read(image, box) for box in self._boxes(image, zoom)]
        return [line for line in found if line.text]

    def _boxes(self, image: np.ndarray, most: float) -> list[tuple[int, int, int, int]]:
        """Boxes (y0, x0, y1, x1) in pixels of the image."""
        from scipy import ndimage

        scaled, zoom = _fitted(image, most)
        batch = np.broadcast_to((scaled / 127.5 - 1).astype(np.float32), (1, 3, *scaled.shape))
        (answer,) = self._detector.run(None, {self._detector.get_inputs()[0].name: batch})
        likely = answer[0, 0]
        labels, count = ndimage.label(ndimage.binary_dilation(likely > LIKELY, np.ones((2, 2), bool)))
        boxes = []
        for index, place in enumerate(ndimage.find_objects(labels), 1):
            height, width = (side.stop - side.start for side in place)
            score = float(likely[place][labels[place] == index].mean()) if count else 0.0
            if min(height, width) < LEAST_PIXELS or score < SURE:
                continue
            grow = UNCLIP * height * width / (2 * (height + width))
            edges = (place[0].start - grow, place[1].start - grow, place[0].stop + grow, place[1].stop + grow)
            scale = (*zoom, *zoom)
            limits = (*image.shape, *image.shape)
            box = [
                int(np.clip(round(edge / by), 0, top))
                for edge, by, top in zip(edges, scale, limits, strict=True)
            ]
            boxes.append((score, (box[0], box[1], box[2], box[3])))
        return [box for _, box in sorted(boxes, reverse=True)[:MOST_BOXES]]

    def _read(self, image: np.ndarray, box: tuple[int, int, int, int]) -> TextLine:
        """Best reading of a box, lying or, where it is tall, turned either way."""
        crop = image[box[0] : box[2], box[1] : box[3]]
        turns = (0,) if crop.shape[0] < 1.5 * crop.shape[1] else (1, 3)
        return max((self._line(np.rot90(crop, turn)) for turn in turns), key=lambda line: line.confidence)

    def _line(self, crop: np.ndarray) -> TextLine:
        width = max(8, round(crop.shape[1] * READ_HEIGHT / max(1, crop.shape[0])))
        scaled = resized(crop, (READ_HEIGHT, width)) / 127.5 - 1
        padded = np.zeros((READ_HEIGHT, max(width, 160)), np.float32)
        padded[:, :width] = scaled
        batch = np.broadcast_to(padded, (1, 3, *padded.shape))
        (answer,) = self._reader.run(None, {self._reader.get_inputs()[0].name: batch})
        best = answer[0].argmax(axis=1)
        kept = (best != 0) & np.append(True, best[1:] != best[:-1])  # connectionist decoding
        text = "".join(self._alphabet[index] for index in best[kept])
        confidence = float(answer[0].max(axis=1)[kept].mean()) if kept.any() else 0.0
        return TextLine(text, confidence, float(crop.shape[0]))


def _fitted(image: np.ndarray, most: float) -> tuple[np.ndarray, tuple[float, float]]:
    """The image zoomed to a size that the detector likes, and the zoom of y and x."""
    wanted = min(max(1.0, LEAST_SIDE / min(image.shape)), most, LARGEST_SIDE / max(image.shape))
    shape = tuple(max(STRIDE, round(side * wanted / STRIDE) * STRIDE) for side in image.shape)
    return resized(image, (shape[0], shape[1])), (shape[0] / image.shape[0], shape[1] / image.shape[1])


def resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear, pixel centres kept; means of pixels first where it shrinks much. Result float32."""
    values = image.astype(np.float32)
    for axis in (0, 1):
        ratio = values.shape[axis] / shape[axis]
        if ratio >= 2:
            values = _averaged(values, int(ratio), axis)
        at = np.clip(
            (np.arange(shape[axis]) + 0.5) * values.shape[axis] / shape[axis] - 0.5, 0, values.shape[axis] - 1
        )
        low = at.astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        part = (at - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        values = values.take(low, axis) * (1 - part) + values.take(high, axis) * part
    return values


def _averaged(values: np.ndarray, by: int, axis: int) -> np.ndarray:
    length = values.shape[axis] // by * by
    cut = values.take(range(length), axis)
    shape = (length // by, by, cut.shape[1]) if axis == 0 else (cut.shape[0], length // by, by)
    means: np.ndarray = cut.reshape(shape).mean(axis=axis + 1)
    return means


@cache
def text_engine() -> TextEngine | None:
    """The engine, or None where its package is not installed."""
    package: Any = find_spec("rapidocr_onnxruntime")
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        return None
    return TextEngine(Path(package.origin).parent / "models")
