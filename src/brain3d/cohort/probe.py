"""Can healthy be told from ill without looking at the brain? A linear classifier on geometry and background tries.

Its scores are out of fold; its p-value comes from permuting the labels, so that chance on a small cohort is no finding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from brain3d.cohort.facts import Facts

LEAST_SUBJECTS = 8  # of each kind: fewer can be told apart by chance
FOLDS, RIDGE, PERMUTATIONS, RESAMPLES, SEED = 5, 1.0, 999, 1000, 0
MOST_P = 0.01
STRONG_AUC = 0.9
MOST_VALUES = 20
TOO_FEW, NOTHING, SOME, STRONG = "too few", "nothing found", "some", "strong"
Values = Mapping[str, Sequence[float] | Sequence[str]]


@dataclass(frozen=True)
class Probe:
    """What came of it. `verdict` is "too few", "nothing found", "some" or "strong"; the figures are None of too few.

    `auc` (with its 95 % bootstrap interval over subjects) and `balanced_accuracy` are those of all features together,
    out of fold; `best_feature` is the single one that does best, with its AUC on all subjects. `p_value` is for either
    to be as good by chance (permutations, Bonferroni for the two).
    """

    healthy: int
    ill: int
    verdict: str
    auc: float | None = None
    interval: tuple[float, float] | None = None
    balanced_accuracy: float | None = None
    best_feature: str | None = None
    best_auc: float | None = None
    p_value: float | None = None


def scan_features(facts: Sequence[Facts]) -> dict[str, list[float] | list[str]]:
    """What a stored file shows of a scan besides the brain: its grid, its orientation, its numbers, its background.

    Of the highest intensity only the power of ten counts: the value itself may be the lesion's, which is no shortcut.
    """
    axes = ("inferior-superior", "posterior-anterior", "left-right")
    faces = ("inferior", "superior", "posterior", "anterior", "left", "right")
    found: dict[str, list[float] | list[str]] = {
        "shape": ["x".join(map(str, one.shape)) for one in facts],
        "spacing": ["x".join(f"{mm:g}" for mm in one.spacing_mm) for one in facts],
        "stored axes": [one.axes for one in facts],
        "number type": [one.dtype for one in facts],
        "file format": [f"{one.format}{' compressed' if one.compressed else ''}" for one in facts],
        "obliqueness": [one.oblique_degrees for one in facts],
        "share of zeros": [one.zero_share for one in facts],
        "share of background": [one.background_share for one in facts],
        "level of corners": [one.corner_level for one in facts],
        "lowest intensity": [one.lowest for one in facts],
        "order of intensities": [_decade(one.highest) for one in facts],
        "whole numbers only": [float(one.whole_numbers) for one in facts],
    }
    for index, axis in enumerate(axes):
        found[f"voxels {axis}"] = [float(one.shape[index]) for one in facts]
        found[f"voxel size {axis}"] = [one.spacing_mm[index] for one in facts]
        found[f"field of view {axis}"] = [one.shape[index] * one.spacing_mm[index] for one in facts]
    for index, face in enumerate(faces):
        found[f"content of the {face} plane"] = [one.face_shares[index] for one in facts]
    return found


def _decade(highest: float) -> str:
    return f"10^{round(math.log10(highest))}" if highest > 0 else "none"


def probe(values: Values, healthy: Sequence[bool]) -> Probe:
    """Try to tell the healthy from the rest by these features, numbers or words, one value for each subject."""
    label = np.array(healthy, dtype=bool)
    n_healthy, n_ill = int(label.sum()), int((~label).sum())
    if min(n_healthy, n_ill) < LEAST_SUBJECTS:
        return Probe(n_healthy, n_ill, TOO_FEW)
    names, columns = _columns(values)
    if not names:
        return Probe(n_healthy, n_ill, NOTHING, 0.5, (0.5, 0.5), 0.5, None, None, 1.0)
    rng = np.random.default_rng(SEED)
    labels = np.stack([label, *(rng.permutation(label) for _ in range(PERMUTATIONS))])
    operator = _out_of_fold(_standardised(columns), rng.permutation(len(label)) % FOLDS)
    scores = _coded(labels) @ operator.T
    together = _aucs(rankdata(scores, axis=1), labels)
    ranks = rankdata(columns, axis=0)
    single = np.abs(_aucs_of_columns(ranks, labels) - 0.5) + 0.5
    best = int(single[0].argmax())
    chance = [_p_value(together), _p_value(single.max(axis=1))]
    p_value = min(1.0, 2 * min(chance))
    auc, best_auc = float(together[0]), float(single[0, best])
    called = scores[0] > 0
    return Probe(
        n_healthy,
        n_ill,
        NOTHING if p_value > MOST_P else STRONG if max(auc, best_auc) >= STRONG_AUC else SOME,
        auc=round(auc, 4),
        interval=_interval(scores[0], label, rng),
        balanced_accuracy=round(float((called[label].mean() + (~called[~label]).mean()) / 2), 4),
        best_feature=names[best],
        best_auc=round(best_auc, 4),
        p_value=round(p_value, 4),
    )


def _columns(values: Values) -> tuple[list[str], np.ndarray]:
    """Names and an (n, F) array of the features that differ between subjects; each frequent word is one of its own."""
    names: list[str] = []
    columns: list[np.ndarray] = []
    for name, found in values.items():
        if isinstance(found[0], str):
            words, counts = np.unique(np.array(found), return_counts=True)
            for word in words[np.argsort(-counts, kind="stable")][:MOST_VALUES]:
                names.append(f"{name} {word}")
                columns.append((np.array(found) == word).astype(float))
        else:
            names.append(name)
            columns.append(np.array(found, dtype=float))
    kept = [index for index, column in enumerate(columns) if np.ptp(column) > 0]
    return [names[index] for index in kept], np.array([columns[index] for index in kept]).T


def _standardised(columns: np.ndarray) -> np.ndarray:
    """By the robust order of values, not their size: ranks, with mean 0 and deviation 1."""
    ranks = rankdata(columns, axis=0)
    return np.asarray((ranks - ranks.mean(axis=0)) / ranks.std(axis=0))


def _out_of_fold(features: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The (n, n) matrix that takes labels to ridge regression's out-of-fold scores. The folds do not see the labels."""
    n = len(features)
    design = np.column_stack([np.ones(n), features])
    penalty = np.diag([0.0, *[RIDGE] * features.shape[1]])
    operator = np.zeros((n, n))
    for fold in range(FOLDS):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        inside = design[train]
        operator[np.ix_(test, train)] = design[test] @ np.linalg.solve(inside.T @ inside + penalty, inside.T)
    return operator


def _coded(labels: np.ndarray) -> np.ndarray:
    """Labels as numbers that weigh both kinds alike, so that 0 is the border between them."""
    share = labels[0].mean()
    return np.where(labels, 1 / share, -1 / (1 - share))


def _aucs(ranks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The areas under the curve for rows of ranks and of labels; exactly Mann and Whitney's U over its maximum."""
    n1 = labels.sum(axis=-1)
    return np.asarray(((ranks * labels).sum(axis=-1) - n1 * (n1 + 1) / 2) / (n1 * (labels.shape[-1] - n1)))


def _aucs_of_columns(ranks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(P, F): for each row of labels, the area under the curve of each column of ranks."""
    n1 = int(labels[0].sum())
    return np.asarray((labels.astype(float) @ ranks - n1 * (n1 + 1) / 2) / (n1 * (labels.shape[1] - n1)))


def _p_value(statistics: np.ndarray) -> float:
    """How often a permutation does as well as the first row, which is itself counted."""
    return float((statistics >= statistics[0] - 1e-12).mean())


def _interval(scores: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % percentile bootstrap of the AUC over subjects; resamples with one kind alone are drawn again."""
    found: list[float] = []
    while len(found) < RESAMPLES:
        chosen = rng.integers(len(label), size=len(label))
        if 0 < label[chosen].sum() < len(label):
            found.append(float(_aucs(rankdata(scores[chosen]), label[chosen])))
    low, high = np.quantile(found, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def told(result: Probe, of: str) -> list[str]:
    """The result in words for people. `of` is what was looked at, such as "the files' geometry and background"."""
    counts = f"{result.healthy} healthy and {result.ill} ill subjects"
    if result.verdict == TOO_FEW:
        return [f"{counts}: too few to know whether {of} tell them apart (at least {LEAST_SUBJECTS} of each)."]
    assert result.interval is not None
    lines = [
        f"{counts}, told apart by {of} alone: AUC {result.auc:.3f} (95 % {result.interval[0]:.3f}-"
        f"{result.interval[1]:.3f}), balanced accuracy {result.balanced_accuracy:.3f}, p = {result.p_value:.3f}."
    ]
    if result.best_feature is not None:
        lines.append(f"The best single feature: {result.best_feature} (AUC {result.best_auc:.3f}).")
    meaning: dict[str, Any] = {
        NOTHING: "Chance does as well: no such shortcut was shown, which does not show that there is none.",
        SOME: "More than chance: specificity on this cohort may owe something to it.",
        STRONG: "Specificity on this cohort is no evidence: this shortcut alone tells healthy from ill.",
    }
    return [*lines, meaning[result.verdict]]
