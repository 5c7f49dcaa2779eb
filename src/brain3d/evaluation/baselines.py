"""What no model is needed for: a constant report, other patients' reports, the report of the nearest scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from brain3d.evaluation.score import (
    ATTRIBUTES,
    Answer,
    Metric,
    Reference,
    overall_attribute,
    overall_regions,
)
from brain3d.evaluation.statistics import Estimate, estimate, resample_counts
from brain3d.reports import mirror_text
from brain3d.reports.findings import SIDES, Findings, Lesion, canonical_regions, mirror_findings, overall_side

SHUFFLES = 20
MOST_CONSTANTS = 200
NORMAL = Findings(normal=True)


def contributions(
    metrics: Sequence[Metric], references: Sequence[Reference], answers: Sequence[Answer | None]
) -> np.ndarray:
    """What each case adds to each metric: (cases, metrics, 2)."""
    rows = [
        [metric.contribution(reference, answer) for metric in metrics]
        for reference, answer in zip(references, answers, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(len(references), len(metrics), 2)


def constant_pool(findings: Sequence[Findings], seed: int = 0) -> list[Findings]:
    """Reports to give to everyone: a healthy one, the references' own (at most 200, drawn by `seed`) and
    composites of what is most common among them.
    """
    distinct = list(dict.fromkeys(item for item in findings if item != NORMAL))
    if len(distinct) > MOST_CONSTANTS:
        chosen = np.random.default_rng(seed).choice(len(distinct), MOST_CONSTANTS, replace=False)
        distinct = [distinct[index] for index in sorted(chosen)]
    return list(dict.fromkeys([NORMAL, *distinct, *_composites(findings)]))


def _composites(findings: Sequence[Findings]) -> list[Findings]:
    """The most common attributes with the 1, 2, 3, ... most common regions, and with each side."""
    ill = [item for item in findings if item.lesions]
    if not ill:
        return []
    modes = {name: _most_common(overall_attribute(item, name) for item in ill)[0] for name in ATTRIBUTES}
    side = _most_common(overall_side(item) for item in ill)[0]
    common = _most_common(name for item in ill for name in overall_regions(item))
    leading = [canonical_regions(common[:count]) for count in range(1, len(common) + 1)]
    lesions = [Lesion(side, regions, **modes) for regions in leading]
    lesions += [Lesion(name, leading[0] if leading else (), **modes) for name in SIDES]
    return [Findings(False, (lesion,)) for lesion in lesions]


def _most_common(values: Iterable[str]) -> list[str]:
    return [name for name, _ in Counter(sorted(values)).most_common()]


def shuffled_answers(answers: Sequence[Answer | None], seed: int) -> list[Answer | None]:
    """The answers permuted between patients; the mirror images' reports by a permutation of their own."""
    rng = np.random.default_rng(seed)
    first, second = rng.permutation(len(answers)), rng.permutation(len(answers))
    pairs = ((answers[i], answers[j]) for i, j in zip(first, second, strict=True))
    return [Answer(a.findings, b.mirrored) if a is not None and b is not None else None for a, b in pairs]


@dataclass(frozen=True)
class Shelf:
    """Scans with reports to look up: `features` (n, d), each with its report (as findings, and its words) and owner.

    A report that is not there in words, but only as a truth or a mask, has None for its words.
    """

    features: np.ndarray
    reports: list[Findings]
    owners: list[str]
    texts: list[str | None]


def shelve(
    ids: Sequence[str],
    scans: np.ndarray,
    mirrors: np.ndarray,
    reports: Sequence[Findings],
    texts: Sequence[str | None],
) -> Shelf:
    """Scans with their reports and mirror images with mirrored reports; `scans` and `mirrors` are (n, d)."""
    mirrored = [mirror_findings(item) for item in reports]
    turned = [None if text is None else mirror_text(text) for text in texts]
    return Shelf(np.concatenate([scans, mirrors]), [*reports, *mirrored], [*ids, *ids], [*texts, *turned])


def nearest_reports(queries: np.ndarray, ids: Sequence[str], shelf: Shelf) -> list[Findings]:
    """For each row of `queries` the report of its `nearest_rows`."""
    return [shelf.reports[row] for row in nearest_rows(queries, ids, shelf)]


def nearest_rows(queries: np.ndarray, ids: Sequence[str], shelf: Shelf) -> list[int]:
    """For each row of `queries` the place on the shelf of the most similar scan (cosine) of another owner.

    Raises ValueError where the shelf holds no other owner's scan; `evaluate` refuses such a shelf beforehand.
    """
    centre = shelf.features.mean(axis=0)

    def unit(rows: np.ndarray) -> np.ndarray:
        away = rows - centre
        return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)

    likeness = unit(queries) @ unit(shelf.features).T
    likeness[np.array(ids)[:, None] == np.array(shelf.owners)[None, :]] = -np.inf
    if not np.isfinite(likeness).any(axis=1).all():
        raise ValueError("no scan of another subject to compare with")
    return [int(row) for row in likeness.argmax(axis=1)]


@dataclass(frozen=True)
class Systems:
    """What every case adds to every metric (cases, metrics, 2), for the model and for each baseline.

    `constants` has one more axis in front, the pool of constant reports; `nearest` is None where no scan can
    be compared with another.
    """

    model: np.ndarray
    shuffled: np.ndarray
    constants: np.ndarray
    nearest: np.ndarray | None


def compare(
    metrics: Sequence[Metric],
    references: Sequence[Reference],
    answers: Sequence[Answer | None],
    constants: Sequence[Findings],
    neighbours: Sequence[Answer | None] | None,
    *,
    seed: int = 0,
) -> Systems:
    """Score the model's answers and the baselines' on the same references."""
    shuffles = [
        contributions(metrics, references, shuffled_answers(answers, seed + index)) for index in range(SHUFFLES)
    ]
    pool = [contributions(metrics, references, [Answer(item, item)] * len(references)) for item in constants]
    nearest = None if neighbours is None else contributions(metrics, references, neighbours)
    return Systems(contributions(metrics, references, answers), np.mean(shuffles, axis=0), np.stack(pool), nearest)


def best_constant(pool: np.ndarray) -> np.ndarray:
    """Of (constants, cases, 2), the (cases, 2) of the constant with the highest ratio on these very cases."""
    sums = pool.sum(axis=1)
    ratios = np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] > 0)
    return pool[int(ratios.argmax())]


@dataclass(frozen=True)
class Row:
    """One metric on one group of cases, beside the baselines on the same cases."""

    name: str
    title: str
    model: Estimate
    constant: Estimate | None
    shuffled: Estimate | None
    nearest: Estimate | None


def rows(systems: Systems, metrics: Sequence[Metric], members: np.ndarray, *, seed: int = 0) -> list[Row]:
    """One row for each metric that has something to count among the cases `members` (indices)."""
    if not len(members):
        return []
    counts = resample_counts(len(members), seed=seed)
    found = []
    for index, metric in enumerate(metrics):
        model = estimate(systems.model[members, index], counts)
        if model is None:
            continue
        constant = estimate(best_constant(systems.constants[:, members, index]), counts)
        shuffled = estimate(systems.shuffled[members, index], counts)
        nearest = None if systems.nearest is None else estimate(systems.nearest[members, index], counts)
        found.append(Row(metric.name, metric.title, model, constant, shuffled, nearest))
    return found
