"""Pairs of reports in the form that metrics take: texts by index, cases, answers; and the metrics to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from brain3d.evaluation import bleu, cider, keywords, rouge, stated
from brain3d.evaluation.masked import MaskTruth, mask_family, measure_mask
from brain3d.evaluation.measures import FAILED, MISSING, Answers, Cases, Family
from brain3d.evaluation.optional import Absent, optional_families
from brain3d.evaluation.pairs import Pair, Problem
from brain3d.evaluation.stated import Stated, read_all
from brain3d.evaluation.trivial import candidate_texts, none_of
from brain3d.scans.types import InputError


@dataclass(frozen=True)
class Setting:
    """What is scored, in the form that metrics take: texts by index, cases, answers."""

    texts: list[str]
    findings: Stated
    cases: Cases
    answers: Answers
    nearest: np.ndarray | None
    training: Cases
    constants: np.ndarray
    masks: list[MaskTruth]
    problems: list[Problem]


def _healthy(
    pairs: Sequence[Pair], references: np.ndarray, findings: Stated, places: np.ndarray, masks: Sequence[MaskTruth]
) -> np.ndarray:
    """1 healthy, 0 ill: as the line says, else as its reference does, else its mask; MISSING where none tells."""
    said = np.where(findings.ill[references], 0, np.where(findings.normal[references], 1, MISSING))
    masked = np.array([MISSING if place < 0 else int(masks[place].empty) for place in places.tolist()], int)
    said = np.where((references >= 0) & (said != MISSING), said, masked)
    given = np.array([MISSING if pair.healthy is None else int(pair.healthy) for pair in pairs], int)
    return np.where(given != MISSING, given, said)


def _measured_masks(pairs: Sequence[Pair]) -> tuple[list[MaskTruth], np.ndarray, list[Problem]]:
    masks, places, problems = [], np.full(len(pairs), MISSING), []
    given = [index for index, pair in enumerate(pairs) if pair.image is not None and pair.mask is not None]
    for index in tqdm(given, desc="masks", unit="mask", disable=not given):
        pair = pairs[index]
        if pair.image is None or pair.mask is None:
            continue
        try:
            masks.append(measure_mask(pair.image, pair.mask))
        except (InputError, OSError) as error:
            line = " ".join(str(error).split())
            for path in (pair.image, pair.mask):
                line = line.replace(str(path), "the file").replace(path.name, "the file")
            problems.append(Problem(pair.line, pair.id, "not_grounded", f"its mask could not be used: {line}"))
            continue
        places[index] = len(masks) - 1
    return masks, places, problems


class _Texts:
    """The distinct texts of a run, by index."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def add(self, text: str | None) -> int:
        return MISSING if text is None else self.index.setdefault(text, len(self.index))

    def all(self, texts: Sequence[str | None]) -> np.ndarray:
        return np.array([self.add(text) for text in texts], int)


def prepare(pairs: Sequence[Pair], training: Sequence[Pair] | None, *, seed: int = 0) -> Setting:
    """Gather the texts, read their findings once, measure the masks, draw the constant reports."""
    texts = _Texts()
    references = texts.all([pair.reference for pair in pairs])
    answers = texts.all([pair.candidate for pair in pairs])
    mirrored = texts.all([pair.mirrored for pair in pairs])
    nearest = texts.all([pair.nearest for pair in pairs])
    taught = pairs if training is None else training
    taught_references = texts.all([pair.reference for pair in taught])
    distinct = list(dict.fromkeys(index for index in taught_references.tolist() if index >= 0))
    before = list(texts.index)
    known = read_all(before)
    pool = candidate_texts([before[i] for i in distinct], [known.findings[i] for i in distinct], seed)
    constants = texts.all(pool)
    everything = list(texts.index)
    findings = _joined(known, read_all(everything[len(before) :]))
    masks, places, problems = _measured_masks(pairs)
    cases = Cases(references, _healthy(pairs, references, findings, places, masks), places)
    own = cases
    if training is not None:
        nowhere = none_of(len(taught))
        own = Cases(taught_references, _healthy(taught, taught_references, findings, nowhere, ()), nowhere)
    if (mirrored >= 0).any():
        mirrored = np.where(mirrored < 0, FAILED, mirrored)
    whole = ((nearest >= 0) | (answers < 0)).all() and (nearest >= 0).any()
    given = nearest if whole else None
    return Setting(everything, findings, cases, Answers(answers, mirrored), given, own, constants, masks, problems)


def _joined(first: Stated, second: Stated) -> Stated:
    arrays = [np.concatenate([a, b]) for a, b in zip(first[1:], second[1:], strict=True)]
    return Stated(first.findings + second.findings, *arrays)


def families(setting: Setting, extra: Sequence[str] = ()) -> tuple[list[Family], list[Absent]]:
    """All metrics that can be computed here, in the table's order, and the others with the reason."""
    texts = setting.texts
    references = setting.cases.reference
    optional, absent = optional_families(texts, extra)
    if not setting.masks:
        absent = [Absent("grounded/side", "scores against a mask", "no case has an image and a mask"), *absent]
    found = [
        keywords.keyword_family(texts),
        keywords.specificity_family(texts),
        *stated.families(setting.findings),
        *([mask_family(setting.findings, setting.masks)] if setting.masks else []),
        bleu.sentence_family(texts),
        bleu.corpus_family(texts),
        rouge.overlap_family(texts),
        rouge.subsequence_family(texts),
        cider.cider_family([cider.words(text) for text in texts], references[references >= 0]),
        *optional,
    ]
    return found, absent
