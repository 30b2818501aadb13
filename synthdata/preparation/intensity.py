"""One encoding of intensities: HU in a window, or 0..1000 between two percentiles of the volume."""

import numpy as np

from synthdata.records.training import ChannelScale
from synthdata.spec import Channel

PERCENTILE_RANGE = 1000.0  # encoded value of the upper percentile
MARGIN = 25.0  # beyond both ends, as `ChannelScale.to_encoded` allows for synthetic values


def scale_of(channel: Channel) -> ChannelScale:
    """Encoding of one channel of the spec."""
    if channel.window is not None:
        return ChannelScale(
            channel=channel.name,
            modality=channel.modality,
            method="window",
            unit=channel.unit,
            low=channel.window[0],
            high=channel.window[1],
        )
    return ChannelScale(
        channel=channel.name,
        modality=channel.modality,
        method="percentile",
        unit="1",
        low=0.0,
        high=PERCENTILE_RANGE,
        percentiles=channel.percentiles,
    )


def native_range(volume: np.ndarray, scale: ChannelScale) -> tuple[float, float] | None:
    """Native values which are encoded as the two ends of the scale.

    Args:
        volume: Values (z, y, x) on the native grid, before padding.
        scale: Encoding of the channel.

    Returns:
        Lower and upper native value, or None where the volume is constant or not finite.
    """
    if not np.isfinite(volume).all() or volume.min() == volume.max():
        return None
    if scale.percentiles is None:
        return scale.low, scale.high
    low, high = (float(value) for value in np.percentile(volume, scale.percentiles))
    return (low, high) if low < high else None


def encode(volume: np.ndarray, native: tuple[float, float], scale: ChannelScale) -> np.ndarray:
    """Encode native values as int16, rounded and clipped.

    Args:
        volume: Native values, any shape.
        native: Of `native_range`.
        scale: Encoding of the channel.

    Returns:
        int16 of the same shape; HU within the window, or 0..1000 with a margin of 25 on both sides.
    """
    if scale.percentiles is None:
        clipped: np.ndarray = np.rint(np.clip(volume, scale.low, scale.high)).astype(np.int16)
        return clipped
    low, high = native
    values = (volume.astype(np.float64) - low) * (PERCENTILE_RANGE / (high - low))
    encoded: np.ndarray = np.rint(np.clip(values, -MARGIN, PERCENTILE_RANGE + MARGIN)).astype(np.int16)
    return encoded


def decode(encoded: np.ndarray, native: tuple[float, float], scale: ChannelScale) -> np.ndarray:
    """Native values of an encoded volume, float64, exact to half a step where nothing was clipped."""
    if scale.percentiles is None:
        return encoded.astype(np.float64)
    low, high = native
    values: np.ndarray = low + encoded.astype(np.float64) / PERCENTILE_RANGE * (high - low)
    return values
