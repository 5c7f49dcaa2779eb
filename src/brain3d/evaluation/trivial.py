"""What no model is needed for: one report for all, other patients' reports; and skill above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from brain3d.evaluation.measures import MISSING, Answers, Cases, Family, Measure
from brain3d.evaluation.score import overall_attribute, overall_regions
from brain3d.evaluation.stated import SIGNS
from brain3d.reports import Findings
from brain3d.reports.findings import SIDES, canonical_regions, overall_side

MOST_CONSTANTS = 200
SAMPLE = 200  # training references on which the constants are compared
SLOW_CONSTANTS, SLOW_SAMPLE = 10, 20
SHUFFLES = 5
SATURATED = 0.02
# By name: the published metrics' downfall, and what else needs no training report.
NAMED_CONSTANTS = (
    "lesion edema necrosis compression",
    "left right",
    "No focal lesion is seen.",
)
_PORTION = 20  # candidates compared at once


def composed(findings: Sequence[Findings]) -> list[str]:
    """Reports made of what is most common: with the 1, 2, 3, 4 commonest regions, and with each side."""
    ill = [found for found in findings if found.lesions]
    if not ill:
        return []
    side = _commonest(overall_side(found) for found in ill)[0]
    regions = _commonest(name for found in ill for name in overall_regions(found))
    signs = {name: _commonest(overall_attribute(found, name) for found in ill)[0] for name in SIGNS}
    leading = [canonical_regions(regions[:count]) for count in range(1, min(len(regions), 4) + 1)] or [()]
    texts = [_composed(side, names, signs) for names in leading]
    return texts + [_composed(name, leading[0], signs) for name in SIDES[:3] if name != side]


def _composed(side: str, regions: Sequence[str], signs: dict[str, str]) -> str:
    where = "" if side == "unknown" else f"{side} "
    place = " and ".join(regions) or "brain"
    parts = [f"A lesion is seen in the {where}{place} region."]
    for name, degree in signs.items():
        word = {"none": "no ", "present": "", "unknown": ""}.get(degree, f"{degree} ")
        parts.append(f"There is {word}{name.replace('_', ' ')}.")
    return " ".join(parts)


def _commonest(values: Iterable[str]) -> list[str]:
    return [name for name, _ in Counter(sorted(values)).most_common()]


def candidate_texts(references: Sequence[str], findings: Sequence[Findings], seed: int) -> list[str]:
    """At most 200 reports to give to everyone: named ones, composed ones, training references drawn by `seed`."""
    fixed = list(dict.fromkeys([*NAMED_CONSTANTS, *composed(findings)]))
    own = list(dict.fromkeys(text for text in references if text not in fixed))
    room = MOST_CONSTANTS - len(fixed)
    if len(own) > room:
        drawn = np.random.default_rng(seed).choice(len(own), room, replace=False)
        own = [own[index] for index in sorted(drawn)]
    return [*fixed, *own]


def sample_of(cases: int, size: int, seed: int) -> np.ndarray:
    """At most `size` indices out of `cases`, drawn by `seed`, in order."""
    if cases <= size:
        return np.arange(cases)
    return np.sort(np.random.default_rng(seed).choice(cases, size, replace=False))


def for_all(text: int, cases: int) -> Answers:
    """One text for every case and every mirrored case."""
    everywhere = np.full(cases, text)
    return Answers(everywhere, everywhere)


def rank_constants(family: Family, candidates: np.ndarray, cases: Cases, seed: int) -> list[np.ndarray]:
    """For each measure of a family, the candidates (text indices) from best to worst on the training `cases`.

    Compared on a sample drawn by `seed`. A case from which alone a candidate comes has no say about that one.
    Candidates by which nothing counts come last, in their own order.
    """
    most, size = (SLOW_CONSTANTS, SLOW_SAMPLE) if family.slow else (MOST_CONSTANTS, SAMPLE)
    candidates = candidates[:most]
    sample, alone = cases.take(sample_of(len(cases.reference), size, seed)), lone(cases)
    count = len(sample.reference)
    sums: list[list[np.ndarray]] = [[] for _ in family.measures]
    for start in range(0, len(candidates), _PORTION):
        portion = candidates[start : start + _PORTION]
        texts = np.repeat(portion, count)
        repeated = sample.take(np.tile(np.arange(count), len(portion)))
        others = ~((repeated.reference == texts) & np.isin(texts, alone))[:, None]
        for index, rows in enumerate(family.rows(repeated, Answers(texts, texts))):
            sums[index].append((rows * others).reshape(len(portion), count, -1).sum(axis=1))
    return [
        candidates[_best_first(measure, measure.value(np.concatenate(found)))]
        for measure, found in zip(family.measures, sums, strict=True)
    ]


def _best_first(measure: Measure, values: np.ndarray) -> np.ndarray:
    keys = np.where(np.isnan(values), np.inf, -values if measure.higher else values)
    return np.argsort(keys, kind="stable")


def lone(cases: Cases) -> np.ndarray:
    """The texts that are the reference of one case alone: given as a constant, that case would get its own back."""
    found, counts = np.unique(cases.reference[cases.reference >= 0], return_counts=True)
    return np.asarray(found[counts == 1])


def constant_rows(family: Family, ranked: Sequence[np.ndarray], cases: Cases, spared: np.ndarray) -> list[np.ndarray]:
    """The rows of each measure's best constant.

    Where that is one of the `spared` texts, the case whose own reference it is gets the runner-up instead.
    """
    known: dict[int, list[np.ndarray]] = {}

    def rows_of(text: int) -> list[np.ndarray]:
        if text not in known:
            known[text] = list(family.rows(cases, for_all(text, len(cases.reference))))
        return known[text]

    found = []
    for index, order in enumerate(ranked):
        rows = rows_of(int(order[0]))[index]
        own = (cases.reference == order[0]) & np.isin(order[0], spared)
        if own.any() and len(order) > 1:
            rows = np.where(own[:, None], rows_of(int(order[1]))[index], rows)
        found.append(rows)
    return found


def derangement(count: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation that leaves nothing in its place (Sattolo's cycle); one item stays where it is alone."""
    order = np.arange(count)
    for last in range(count - 1, 0, -1):
        other = int(rng.integers(0, last))
        order[last], order[other] = order[other], order[last]
    return order


def shuffled_rows(family: Family, cases: Cases, answers: Answers, seed: int) -> list[np.ndarray]:
    """The rows of the answers given to other patients, the mean of several derangements.

    A failed case's answer is shuffled like the others. The mirrored answers are shuffled on their own.
    """
    rng = np.random.default_rng(seed)
    count = len(cases.reference)
    kept: list[np.ndarray] = []
    rounds = 1 if family.slow else SHUFFLES
    for _ in range(rounds):
        texts = answers.text[derangement(count, rng)]
        mirrored = answers.mirrored[derangement(count, rng)]
        found = family.rows(cases, Answers(texts, mirrored))
        kept = [a + b for a, b in zip(kept, found, strict=True)] if kept else list(found)
    return [rows / rounds for rows in kept]


def none_of(count: int) -> np.ndarray:
    """(count,) texts that are not there."""
    return np.full(count, MISSING)


class Skill(NamedTuple):
    """A score against the best trivial one.

    `value` is None where the metric has no best value, or the trivial one reaches it already.
    """

    best: str
    best_value: float
    value: float | None
    saturated: bool


def skill(measure: Measure, score: float, trivial: dict[str, float]) -> Skill | None:
    """(score - best trivial) / (the metric's best value - best trivial); None where there is no trivial score.

    Where less is better both differences are negative, so that up is better in every metric.
    """
    there = {name: value for name, value in trivial.items() if np.isfinite(value)}
    if not there:
        return None
    best = (max if measure.higher else min)(there, key=lambda name: there[name])
    room = None if measure.best is None else measure.best - there[best]
    value = None if not room else (score - there[best]) / room
    return Skill(best, there[best], value, room is not None and abs(room) <= SATURATED)
