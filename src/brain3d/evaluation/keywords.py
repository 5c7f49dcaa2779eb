"""The keyword scores that the published system is reported with, and the specificity that it claims.

Words are looked up in the text, nothing is understood: "no edema" names edema, "lesions" does not name a lesion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from brain3d.evaluation.measures import Answers, Cases, Family, Measure, both_there, mean_rows, ratio

KEYWORDS = {
    "laterality": ("left", "right", "bilateral"),
    "anatomy": ("frontal", "parietal", "temporal", "occipital", "cerebellum", "ventricle", "periventricular"),
    "pathology": ("edema", "necrosis", "enhancement", "compression", "tumor", "mass", "lesion"),
}
_PUNCTUATION = str.maketrans(dict.fromkeys(".,;!?()", " "))
_PATHOLOGY = r"(?:" + "|".join(KEYWORDS["pathology"]) + r")"
_SENTENCE_END = re.compile(
    r"[.;!?\n]|\b(?:but|however|although|though|except|while|whereas)\b|(?:,|\band) there (?:is|are|was|were)(?! no\b)"
)
_DENIED_BEFORE = re.compile(
    r"\b(?:no|not|without|free of|absence of|absent|negative for|neither|nor|never|denies|excludes?|ruled? out)\b"
)
_DENIED_AFTER = re.compile(
    r"\b(?:(?:is|are|was|were) (?:not|never) (?:seen|present|visible|identified|found|detected|observed|noted|evident"
    r"|demonstrated|apparent|shown)|absent|excluded|ruled out)\b"
)
_PATHOLOGY_WORD = re.compile(rf"\b{_PATHOLOGY}\b")


def keyword_sets(text: str) -> dict[str, frozenset[str]]:
    """The keywords of each category that stand in `text` as whole words."""
    words = set(text.lower().translate(_PUNCTUATION).split())
    return {name: frozenset(words.intersection(listed)) for name, listed in KEYWORDS.items()}


def names_pathology(text: str) -> bool:
    """Whether `text` names a pathology keyword that nothing in its sentence denies, before it or behind it."""
    return any(_names_pathology(sentence) for sentence in _SENTENCE_END.split(text.lower()))


def _names_pathology(sentence: str) -> bool:
    before = _DENIED_BEFORE.search(sentence)
    denied_from = before.start() if before else len(sentence)
    denied_to = max((match.end() for match in _DENIED_AFTER.finditer(sentence)), default=0)
    words = _PATHOLOGY_WORD.finditer(sentence)
    return any(word.start() < denied_from and word.end() > denied_to for word in words)


def set_f1(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """F1 of sets given as flags (P, words): 1 where both are empty, 0 where only one is."""
    sizes = wanted.sum(axis=1) + found.sum(axis=1)
    return np.asarray(np.where(sizes > 0, 2 * (wanted & found).sum(axis=1) / np.maximum(sizes, 1), 1.0))


def keyword_family(texts: Sequence[str]) -> Family:
    """Laterality, anatomy and pathology F1, the mean over reports."""
    sets = [keyword_sets(text) for text in texts]
    flags = {
        name: np.array([[word in found[name] for word in listed] for found in sets], bool).reshape(len(sets), -1)
        for name, listed in KEYWORDS.items()
    }

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there, asked = both_there(cases, answers), cases.reference >= 0
        found = []
        for name in KEYWORDS:
            values = np.zeros(len(there))
            values[there] = set_f1(flags[name][cases.reference[there]], flags[name][answers.text[there]])
            found.append(mean_rows(values, asked))
        return found

    return Family(tuple(Measure(f"published/{name}_f1", f"{name} F1, keywords", ratio) for name in KEYWORDS), rows)


def specificity_family(texts: Sequence[str]) -> Family:
    """Of the healthy cases, those whose report names no pathology keyword that it does not deny."""
    clean = np.array([not names_pathology(text) for text in texts], bool)

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there = answers.text >= 0
        return [mean_rows(np.where(there, clean[answers.text], False), cases.healthy == 1)]

    # the published evaluator computes none: the definition is ours
    return Family((Measure("published/healthy_specificity", "healthy specificity, keywords", ratio),), rows)
