"""Exact percentiles of a whole image without sorting it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

SAMPLE, BLOCK = 2**14, 2**16
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
    if low == high and _all_equal(flat, low, rank, following):
        return float(low), float(low)
    smaller, near = _split(flat, low, high, upper=share > 0.5)
    first, second = rank - smaller, following - smaller
    if first < 0 or second >= near.size:
        near, first, second = flat, rank, following
    ordered = np.partition(near, (first, second))
    return float(ordered[first]), float(ordered[second])


def _blocks(flat: np.ndarray) -> Iterator[np.ndarray]:
    """The values in parts that stay in the processor's cache."""
    return (flat[start : start + BLOCK] for start in range(0, flat.size, BLOCK))


def _all_equal(flat: np.ndarray, value: np.floating, rank: int, following: int) -> bool:
    """Whether all values of these ranks and between are this one."""
    end = sum(int(np.count_nonzero(block < value)) for block in _blocks(flat))
    if end > rank:
        return False
    for block in _blocks(flat):
        end += int(np.count_nonzero(block == value))
        if end > following:
            return True
    return False


def _split(flat: np.ndarray, low: np.floating, high: np.floating, upper: bool) -> tuple[int, np.ndarray]:
    """How many values are smaller than `low`, and those from `low` to `high`.

    All values are compared with one of the two, those that are few with the other: those from `low` upwards where
    `upper`, else those up to `high`.
    """
    if upper:
        few = np.concatenate([block[block >= low] for block in _blocks(flat)])
        return flat.size - few.size, few[few <= high]
    few = np.concatenate([block[block <= high] for block in _blocks(flat)])
    near = few[few >= low]
    return few.size - near.size, near
