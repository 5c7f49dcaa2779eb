"""Agreement on degrees: the share that is right, and quadratic weighted kappa (Cohen 1968) over none to severe."""

from __future__ import annotations

import numpy as np

DEGREES = ("none", "mild", "moderate", "severe")
LEVELS = len(DEGREES)
# A sign stated without a degree is taken for the middle one, a sign that is not mentioned for none.
TAKEN_FOR = {"present": "moderate", "unknown": "none"}
_STATED = DEGREES[1:]
WITHOUT_DEGREE = 0.5
_STEPS = (np.arange(LEVELS)[:, None] - np.arange(LEVELS)[None, :]) ** 2


def credit(wanted: str, said: str) -> float:
    """How right a sign is: 1, 0, or a half where it is stated without the degree that the reference gives.

    A reference that gives no degree asks for none: any degree but none is right.
    """
    if wanted == "present":
        return float(said == "present" or said in _STATED)
    if said == "present" and wanted in _STATED:
        return WITHOUT_DEGREE
    return float(wanted == said)


def gives_degree(degree: str) -> bool:
    """Whether this says how much there is: mild, moderate or severe."""
    return degree in _STATED


def wanted_level(degree: str) -> int:
    """The place of a reference's degree, -1 where it gives none to agree with."""
    return DEGREES.index(degree) if degree in DEGREES else -1


def said_level(degree: str) -> int:
    """The place of a candidate's degree."""
    return DEGREES.index(TAKEN_FOR.get(degree, degree))


def farthest(level: np.ndarray) -> np.ndarray:
    """The degree farthest from each one: where a case that failed is put."""
    return np.asarray(np.where(level >= LEVELS / 2, 0, LEVELS - 1))


def kappa_rows(wanted: np.ndarray, said: np.ndarray) -> np.ndarray:
    """One cell of the confusion matrix for each case: (N, 16); none where `wanted` is -1."""
    rows = np.zeros((len(wanted), LEVELS * LEVELS))
    asked = np.flatnonzero(wanted >= 0)
    rows[asked, wanted[asked] * LEVELS + said[asked]] = 1.0
    return rows


def weighted_kappa(sums: np.ndarray) -> np.ndarray:
    """Kappa of flattened confusion matrices (..., 16), wanted by said; NaN where it is not defined.

    That is where nothing was counted, or where all was wanted and said to be one and the same.
    """
    table = sums.reshape(*sums.shape[:-1], LEVELS, LEVELS).astype(np.float64)
    total = table.sum(axis=(-2, -1))
    expected = np.einsum("...i,...j->...ij", table.sum(axis=-1), table.sum(axis=-2))
    seen = (table * _STEPS).sum(axis=(-2, -1)) * total
    chance = (expected * _STEPS).sum(axis=(-2, -1))
    return np.asarray(1 - np.divide(seen, chance, out=np.full(np.shape(total), np.nan), where=chance > 0))
