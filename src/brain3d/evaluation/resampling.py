"""Bootstrap and permutation over subjects, for any metric that is a function of sums over the cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 10_000
_CHUNK_CELLS = 4_000_000
Value = Callable[[np.ndarray], np.ndarray]


def _chunks(rows: int, columns: int) -> list[int]:
    size = max(1, min(rows, _CHUNK_CELLS // max(columns, 1)))
    return [min(size, rows - start) for start in range(0, rows, size)]


def drawn_counts(cases: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each resample draws each of N cases, with replacement: (resamples, N) float32."""
    drawn = rng.integers(0, cases, (resamples, cases), dtype=np.int32)
    drawn += np.arange(resamples, dtype=np.int32)[:, None] * np.int32(cases)
    return np.bincount(drawn.ravel(), minlength=resamples * cases).reshape(resamples, cases).astype(np.float32)


def bootstrap_sums(rows: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """The summed rows of each resample: (N, W) cases to (resamples, W) float32.

    A resample draws N subjects with replacement. The draws follow from the seed and N alone, so that every metric and
    every system sees the same ones.
    """
    cases = len(rows)
    rng = np.random.default_rng(seed)
    table = np.ascontiguousarray(rows, dtype=np.float32)
    sums = np.empty((resamples, rows.shape[1]), np.float32)
    done = 0
    for size in _chunks(resamples, cases):
        sums[done : done + size] = drawn_counts(cases, size, rng) @ table
        done += size
    return sums


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The 2.5th and 97.5th percentile; resamples in which nothing counts (NaN) are left out, None if all are."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.percentile(finite, [2.5, 97.5])
    return round(float(low), 6), round(float(high), 6)


def swap_sums(
    first: np.ndarray, second: np.ndarray, *, seed: int = 0, permutations: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Summed rows of two systems (N, W) after swapping them in a random half of the cases, many times.

    Returns two (permutations, W) arrays. Where it does not matter which system answered a case (the null hypothesis),
    they are as likely as the sums that were seen.
    """
    cases = len(first)
    rng = np.random.default_rng(seed)
    apart = (second - first).astype(np.float32)
    moved = np.empty((permutations, first.shape[1]), np.float64)
    done = 0
    for size in _chunks(permutations, cases):
        swapped = rng.integers(0, 2, (size, cases), dtype=np.uint8).astype(np.float32)
        moved[done : done + size] = swapped @ apart
        done += size
    return first.sum(axis=0) + moved, second.sum(axis=0) - moved


def p_value(observed: float, permuted: np.ndarray) -> float:
    """Two-sided: the share of permuted differences at least as large, the observed one among them.

    Phipson and Smyth 2010: so it is never zero. Permutations in which nothing counts are left out.
    """
    finite = np.abs(permuted[np.isfinite(permuted)])
    return float((1 + (finite >= abs(observed) * (1 - 1e-6) - 1e-7).sum()) / (1 + len(finite)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the values that keep the chance of any false alarm among all of them."""
    order = np.argsort(p_values, kind="stable")
    corrected, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected


def split(columns: np.ndarray, widths: Sequence[int]) -> list[np.ndarray]:
    """A table (..., sum of widths) as one (..., width) array for each width."""
    return np.split(columns, np.cumsum(widths)[:-1], axis=-1)
