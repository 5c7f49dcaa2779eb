"""Scores of what reports state: findings read out of the reference against findings read out of the candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from brain3d.evaluation.contradictions import contradicts_itself, contradicts_side
from brain3d.evaluation.degrees import (
    credit,
    farthest,
    gives_degree,
    kappa_rows,
    said_level,
    wanted_level,
    weighted_kappa,
)
from brain3d.evaluation.measures import MISSING, Answers, Cases, Family, Measure, mean_rows, ratio
from brain3d.evaluation.pairs import LONG_TEXT
from brain3d.evaluation.score import overall_attribute, overall_regions
from brain3d.reports import Findings, Reading, mirror_findings, parse_findings, read_report
from brain3d.reports.findings import REGIONS, SIDES, overall_side

SIGNS = ("edema", "necrosis", "ventricular_compression")
UNKNOWN_SIDE, BILATERAL = SIDES.index("unknown"), SIDES.index("bilateral")
_PLACES = (*REGIONS, "")
_HALVES = {"bilateral": ("left", "right")}


class Stated(NamedTuple):
    """What T texts state, as arrays.

    `side` (T,) indexes SIDES; `ill`, `normal` (T,) a lesion, its absence stated; `regions` (T, regions); `placed`
    (T, sides x regions and none) the (side, region) of every lesion; `contradicts`, `two_sided` (T,).
    """

    findings: list[Findings]
    side: np.ndarray
    ill: np.ndarray
    normal: np.ndarray
    regions: np.ndarray
    placed: np.ndarray
    contradicts: np.ndarray
    two_sided: np.ndarray


def read_text(text: str) -> Findings:
    """The findings of the first 20,000 characters."""
    return parse_findings(text[:LONG_TEXT])


def placed_regions(reading: Reading) -> set[tuple[str, str]]:
    """(side, region) of each lesion; bilateral is left and right, a lesion without a region has the region ""."""
    return {
        (half, region)
        for lesion, evidence in zip(reading.findings.lesions, reading.lesions, strict=True)
        for side, region in evidence.places or ((lesion.side, ""),)
        for half in _HALVES.get(side, (side,))
    }


def read_all(texts: Sequence[str]) -> Stated:
    """Read the findings of all texts."""
    readings = [read_report(text[:LONG_TEXT]) for text in texts]
    findings = [reading.findings for reading in readings]
    count = len(texts)
    placed = np.zeros((count, len(SIDES), len(_PLACES)), bool)
    regions = np.zeros((count, len(REGIONS)), bool)
    for index, (reading, found) in enumerate(zip(readings, findings, strict=True)):
        for side, region in placed_regions(reading):
            placed[index, SIDES.index(side), _PLACES.index(region)] = True
        for region in overall_regions(found):
            regions[index, REGIONS.index(region)] = True
    heads = [text[:LONG_TEXT] for text in texts]
    return Stated(
        findings,
        np.array([SIDES.index(overall_side(found)) for found in findings], int),
        np.array([bool(found.lesions) for found in findings], bool),
        np.array([found.normal for found in findings], bool),
        regions,
        placed.reshape(count, -1),
        np.array([contradicts_itself(text) for text in heads], bool),
        np.array([contradicts_side(text) for text in heads], bool),
    )


def _both(rows: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`rows` at `index`, zeros (False) where the index is MISSING."""
    found = rows[np.maximum(index, 0)].copy()
    found[index < 0] = 0
    return np.asarray(found)


def side_outcomes(stated: Stated, cases: Cases, answers: Answers) -> np.ndarray:
    """(N,) of each case whose reference gives a side: 0 right, 1 wrong, 2 missing, 3 contradictory; else -1.

    Missing: no lesion is stated, no side is given, or the case failed. Contradictory: the same lesion on both sides,
    where the reference does not have it there.
    """
    wanted = np.where(cases.reference >= 0, stated.side[np.maximum(cases.reference, 0)], UNKNOWN_SIDE)
    said = np.where(answers.text >= 0, stated.side[np.maximum(answers.text, 0)], UNKNOWN_SIDE)
    two_sided = _both(stated.two_sided, answers.text)
    outcome = np.where(said == UNKNOWN_SIDE, 2, np.where(said == wanted, 0, 1))
    outcome = np.where(two_sided & (wanted != BILATERAL), 3, outcome)
    return np.asarray(np.where(wanted == UNKNOWN_SIDE, -1, outcome))


def side_family(stated: Stated) -> Family:
    """Exact side, and the three ways of not having it."""

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        outcome = side_outcomes(stated, cases, answers)
        return [mean_rows((outcome == kind).astype(float), outcome >= 0) for kind in range(4)]

    return Family(
        (
            Measure("findings/side", "side exactly right", ratio),
            Measure("findings/side_wrong", "side wrong", ratio, 0.0, higher=False),
            Measure("findings/side_missing", "side missing", ratio, 0.0, higher=False),
            Measure("findings/side_contradictory", "side contradictory", ratio, 0.0, higher=False),
        ),
        rows,
    )


def region_family(stated: Stated) -> Family:
    """Regions as micro-F1, per case as F1 and Jaccard, and (lesion, side, region) as micro-F1."""

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        asked = np.asarray(cases.reference >= 0)
        wanted, said = _both(stated.regions, cases.reference), _both(stated.regions, answers.text)
        said &= asked[:, None]
        hits, sizes = (wanted & said).sum(axis=1), wanted.sum(axis=1) + said.sum(axis=1)
        named = np.asarray(wanted.any(axis=1))
        tuples_wanted, tuples_said = _both(stated.placed, cases.reference), _both(stated.placed, answers.text)
        tuples_said &= asked[:, None]
        tuples = (tuples_wanted & tuples_said).sum(axis=1), tuples_wanted.sum(axis=1) + tuples_said.sum(axis=1)
        return [
            np.stack([2.0 * hits, sizes], axis=-1),
            mean_rows(2 * hits / np.maximum(sizes, 1), named),
            mean_rows(hits / np.maximum(sizes - hits, 1), named),
            np.stack([2.0 * tuples[0], tuples[1]], axis=-1),
        ]

    return Family(
        (
            Measure("findings/regions_f1", "regions, micro-F1", ratio),
            Measure("findings/regions_f1_mean", "regions, F1 per case", ratio),
            Measure("findings/regions_jaccard", "regions, Jaccard per case", ratio),
            Measure("findings/lesion_tuples_f1", "lesion, side and region, micro-F1", ratio),
        ),
        rows,
    )


def _credits(values: list[str], reference: np.ndarray, answer: np.ndarray) -> np.ndarray:
    pairs = zip(reference.tolist(), answer.tolist(), strict=True)
    return np.array([credit(values[a], values[b]) if a >= 0 and b >= 0 else 0.0 for a, b in pairs], float)


class _Sign(NamedTuple):
    """What each text states of one sign: its degree, whether it is stated, and where it stands on the scale."""

    values: list[str]
    known: np.ndarray
    graded: np.ndarray
    wanted: np.ndarray
    said: np.ndarray


def _sign(name: str, stated: Stated) -> _Sign:
    values = [overall_attribute(found, name) for found in stated.findings]
    return _Sign(
        values,
        np.array([value != "unknown" for value in values], bool),
        np.array([gives_degree(value) for value in values], bool),
        np.array([wanted_level(value) for value in values], int),
        np.array([said_level(value) for value in values], int),
    )


def _sign_rows(sign: _Sign, cases: Cases, answers: Answers) -> list[np.ndarray]:
    right = _credits(sign.values, cases.reference, answers.text)
    both = _both(sign.graded, cases.reference) & _both(sign.graded, answers.text)
    wanted = np.where(cases.reference >= 0, sign.wanted[np.maximum(cases.reference, 0)], -1)
    said = np.where(answers.text >= 0, sign.said[np.maximum(answers.text, 0)], farthest(wanted))
    return [
        mean_rows(right, _both(sign.known, cases.reference)),
        mean_rows((right == 1).astype(float), both),
        kappa_rows(wanted, said),
    ]


def sign_family(stated: Stated) -> Family:
    """Edema, necrosis and compression: how far they are right, the degree where both give one, weighted kappa.

    Right (`degrees.credit`) and kappa are of the cases whose reference states the sign, or its degree.
    """
    signs = [_sign(name, stated) for name in SIGNS]

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        return [table for sign in signs for table in _sign_rows(sign, cases, answers)]

    titles = [(name, name.replace("_", " ")) for name in SIGNS]
    measures = [
        measure
        for name, title in titles
        for measure in (
            Measure(f"findings/{name}", f"{title}, right", ratio),
            Measure(f"findings/{name}_degree", f"{title}, stated degree", ratio),
            Measure(f"findings/{name}_kappa", f"{title}, weighted kappa", weighted_kappa),
        )
    ]
    return Family(tuple(measures), rows)


def mean_of_two_ratios(sums: np.ndarray) -> np.ndarray:
    """The mean of column 0 over 1 and column 2 over 3."""
    return (ratio(sums[..., :2]) + ratio(sums[..., 2:])) / 2


def normal_family(stated: Stated) -> Family:
    """Ill called ill, healthy called healthy, and the mean of both."""

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        said_ill, said_normal = _both(stated.ill, answers.text), _both(stated.normal, answers.text)
        ill = mean_rows(said_ill.astype(float), cases.healthy == 0)
        healthy = mean_rows(said_normal.astype(float), cases.healthy == 1)
        return [ill, healthy, np.concatenate([ill, healthy], axis=1)]

    return Family(
        (
            Measure("findings/sensitivity", "ill called ill", ratio),
            Measure("findings/specificity", "healthy called healthy", ratio),
            Measure("findings/balanced_accuracy", "ill and healthy, balanced accuracy", mean_of_two_ratios),
        ),
        rows,
    )


def contradiction_family(stated: Stated) -> Family:
    """The share of reports that contradict themselves; a failed case counts as one that does."""

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        wrong = np.where(answers.text >= 0, stated.contradicts[np.maximum(answers.text, 0)], True)
        return [mean_rows(wrong.astype(float), np.ones(len(wrong), bool))]

    measure = Measure("findings/contradictions", "contradicts itself", ratio, 0.0, higher=False)
    return Family((measure,), rows)


def mirror_family(stated: Stated) -> Family:
    """Of the cases with a candidate for the mirrored scan: its findings are the mirrored findings."""
    plain = [(found.normal, sorted(map(repr, found.lesions))) for found in stated.findings]
    turned = [mirror_findings(found) for found in stated.findings]
    mirrored = [(found.normal, sorted(map(repr, found.lesions))) for found in turned]

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        asked = answers.mirrored != MISSING
        pairs = zip(answers.text.tolist(), answers.mirrored.tolist(), strict=True)
        right = np.array([a >= 0 and b >= 0 and mirrored[a] == plain[b] for a, b in pairs], float)
        return [mean_rows(right, asked)]

    return Family((Measure("mirror/consistency", "mirrored findings agree", ratio),), rows)


def families(stated: Stated) -> list[Family]:
    """All scores of findings, in the order of the table."""
    makers = (side_family, region_family, sign_family, normal_family, contradiction_family, mirror_family)
    return [make(stated) for make in makers]
