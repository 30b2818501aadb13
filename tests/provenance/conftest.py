"""Small scans for the tests of provenance, made in code."""

from collections.abc import Callable

import numpy as np
import pytest

from synthdata.records import Case, ChannelScale, Grid

Scan = Callable[..., np.ndarray]
KEY = bytes(range(32))


@pytest.fixture
def key() -> bytes:
    return KEY


@pytest.fixture
def scale() -> ChannelScale:
    return ChannelScale(
        channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(0.5, 99.5)
    )


@pytest.fixture
def scan() -> Scan:
    """Makes a head-like int16 scan (1, z, y, x): a smooth body with fine noise in constant air."""

    def make(seed: int, shape: tuple[int, int, int] = (16, 40, 32), *, noise: float = 12.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
        waves = sum(
            np.cos(z * rng.normal(0, 3) + y * rng.normal(0, 3) + x * rng.normal(0, 3) + rng.uniform(0, 6))
            for _ in range(6)
        )
        body = z**2 * (shape[0] > 1) + y**2 + x**2 < 0.95 if min(shape[1:]) > 30 else np.ones(shape, bool)
        values = 500 + 60 * waves + rng.normal(0, noise, shape)
        return np.where(body, values.clip(20, 1000), 0).astype(np.int16)[None]

    return make


@pytest.fixture
def case(scan: Scan) -> Callable[[int], Case]:
    """Makes a synthetic case with one channel and a mask of a box."""

    def make(seed: int) -> Case:
        image = scan(seed)
        mask = np.zeros(image.shape[1:], np.uint8)
        mask[5:9, 15:25, 10:20] = 1
        grid = Grid(shape_zyx=image.shape[1:], spacing_mm=(3.0, 2.0, 2.0))
        return Case(
            case_id=f"SYN-{seed}", patient_id=f"SYN-{seed}", image=image, mask=mask, grid=grid, record={}
        )

    return make
