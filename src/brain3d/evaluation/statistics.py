"""Percentile bootstrap over subjects, the same resamples for every metric and every system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from brain3d.evaluation.resampling import RESAMPLES, drawn_counts


@dataclass(frozen=True)
class Estimate:
    """A ratio, its 95 % interval, and how many subjects had a say in it."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def resample_counts(subjects: int, *, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each resample draws each subject: (resamples, subjects) float32."""
    return drawn_counts(subjects, resamples, np.random.default_rng(seed))


def estimate(contributions: np.ndarray, counts: np.ndarray) -> Estimate | None:
    """The ratio of sums of `contributions` (subjects, 2) with its interval; None where nothing counts.

    `counts` is `resample_counts`' matrix. Resamples in which nothing counts are left out of the interval.
    """
    total = contributions.sum(axis=0)
    if total[1] <= 0:
        return None
    sums = counts @ contributions.astype(np.float32)
    sums = sums[sums[:, 1] > 0]
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    n = int((contributions[:, 1] > 0).sum())
    return Estimate(float(total[0] / total[1]), float(low), float(high), n)
