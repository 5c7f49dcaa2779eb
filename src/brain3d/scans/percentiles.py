"""Exact percentiles of a whole image without sorting it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SAMPLE = BLOCK = 2**16
DEVIATIONS = 6.0  # of the sample's rank: how far to each side of it the wanted value is looked for


def percentiles(data: np.ndarray, wanted: Sequence[float]) -> list[float]:
    """The percentiles (0 to 100) over all values of an array without NaN, as `np.percentile` interpolates: linearly.

    A sorted sample says between which two values a rank must lie; only what lies between them is put in order (after
    Floyd and Rivest, CACM 18, 1975). Where the sample misleads, everything is: the values are exact either way,
    whatever the order they are stored in. ValueError for an empty array.
    """
    flat = data.ravel(order="K")
    if not flat.size:
        raise ValueError("an empty array has no percentiles")
    sample = np.sort(flat[:: max(1, flat.size // SAMPLE)])
    return [_percentile(flat, sample, percent / 100.0) for percent in wanted]


def _percentile(flat: np.ndarray, sample: np.ndarray, share: float) -> float:
    position = share * (flat.size - 1)
    rank = int(position)
    below, above = _neighbours(flat, sample, share, rank)
    return below + (above - below) * (position - rank)


def _neighbours(flat: np.ndarray, sample: np.ndarray, share: float, rank: int) -> tuple[float, float]:
    """The values of this rank (from 0) and of the next, which for the last is itself."""
    following = min(rank + 1, flat.size - 1)
    last = sample.size - 1
    doubt = DEVIATIONS * np.sqrt(sample.size * share * (1 - share)) + 2
    low = sample[max(0, int(share * last - doubt))]
    high = sample[min(last, int(np.ceil(share * last + doubt)))]
    smaller, near = _split(flat, low, high)
    first, second = rank - smaller, following - smaller
    if first < 0 or second >= near.size:
        near, first, second = flat, rank, following
    elif low == high:
        return float(low), float(low)
    ordered = np.partition(near, (first, second))
    return float(ordered[first]), float(ordered[second])


def _split(flat: np.ndarray, low: np.floating, high: np.floating) -> tuple[int, np.ndarray]:
    """How many values are smaller than `low`, and those from `low` to `high`, one value that is not copied where these
    are equal. Block by block, to stay in the processor's cache."""
    smaller, equal, near = 0, 0, []
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        smaller += int(np.count_nonzero(block < low))
        if low == high:
            equal += int(np.count_nonzero(block == low))
        else:
            near.append(block[(block >= low) & (block <= high)])
    return smaller, np.concatenate(near) if near else np.broadcast_to(low, equal)
