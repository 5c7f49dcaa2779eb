"""What a metric is: for each case a row of k numbers, and a pure function of the summed rows.

So one table of sums serves a value, its bootstrap, a paired difference and a permutation test, whatever the metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

MISSING = -1
FAILED = -2


class Cases(NamedTuple):
    """What is true of N cases. Texts are indices into the run's list of texts, MISSING where there is none.

    `healthy` (N,) is 1 healthy, 0 ill, MISSING where nothing says; `masks` (N,) indexes the masks that were measured.
    """

    reference: np.ndarray
    healthy: np.ndarray
    masks: np.ndarray

    def take(self, indices: np.ndarray) -> Cases:
        """The cases at `indices`, in that order."""
        return Cases(self.reference[indices], self.healthy[indices], self.masks[indices])


class Answers(NamedTuple):
    """What was answered for N cases: indices of texts for the scan and for its mirror image.

    Negative where there is no text: a scan's answer has then failed; a mirror image's has if it is FAILED, and was
    never asked for if it is MISSING.
    """

    text: np.ndarray
    mirrored: np.ndarray


class Measure(NamedTuple):
    """A named metric.

    `value` takes summed rows (..., k) to (...), NaN where nothing counts. `best` is the best value there is, None
    where there is none; `higher` whether more is better.
    """

    name: str
    title: str
    value: Callable[[np.ndarray], np.ndarray]
    best: float | None = 1.0
    higher: bool = True


class Family(NamedTuple):
    """Measures that are computed together: `rows` gives one (N, k) array for each, all zeros for cases without a say.

    `slow`: the baselines are then searched for among fewer candidates.
    """

    measures: tuple[Measure, ...]
    rows: Callable[[Cases, Answers], Sequence[np.ndarray]]
    slow: bool = False


def ratio(sums: np.ndarray) -> np.ndarray:
    """Column 0 over column 1."""
    over, under = sums[..., 0], sums[..., 1]
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)


def mean_rows(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Rows whose ratio is the mean of `values` (N,) over the `counted` (N,) cases: (N, 2)."""
    says = counted.astype(np.float64)
    return np.stack([np.where(counted, values, 0.0) * says, says], axis=-1)


def counted(rows: np.ndarray) -> int:
    """How many cases have a say in a metric: those whose row is not all zeros."""
    return int(rows.any(axis=-1).sum())


def both_there(cases: Cases, answers: Answers) -> np.ndarray:
    """(N,) whether a case has both a reference and an answer."""
    return np.asarray((cases.reference >= 0) & (answers.text >= 0))
