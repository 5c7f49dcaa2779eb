"""Text metrics that need data or weights from elsewhere: METEOR, BERTScore, RadGraph F1, GREEN.

The last three were trained on English in general or on chest X-ray reports: they are labelled "not made for brain
MRI", and run only where they are asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from brain3d.evaluation.cider import words
from brain3d.evaluation.measures import Answers, Cases, Family, Measure, both_there, mean_rows, ratio
from brain3d.scans.types import InputError

NOT_MADE = "not made for brain MRI"
Scorer = Callable[[list[str], list[str]], Sequence[float]]  # (references, candidates) to one score each


class Absent(NamedTuple):
    """A metric that was not computed, and why."""

    name: str
    title: str
    reason: str


def pairwise_family(texts: Sequence[str], measure: Measure, score: Scorer) -> Family:
    """A slow metric that is a function of two texts; each different pair is scored once."""
    known: dict[tuple[int, int], float] = {}

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there = both_there(cases, answers)
        pairs = list(zip(cases.reference[there].tolist(), answers.text[there].tolist(), strict=True))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
        if new:
            found = score([texts[wanted] for wanted, _ in new], [texts[said] for _, said in new])
            known.update(zip(new, map(float, found), strict=True))
        values = np.zeros(len(there))
        values[there] = [known[pair] for pair in pairs]
        return [mean_rows(values, cases.reference >= 0)]

    return Family((measure,), rows, slow=True)


def has_wordnet() -> bool:
    """Whether NLTK finds WordNet on this machine."""
    import nltk

    try:
        nltk.data.find("corpora/wordnet")
    except LookupError:
        try:
            nltk.data.find("corpora/wordnet.zip")
        except LookupError:
            return False
    return True


def meteor_scores(references: list[str], candidates: list[str], wordnet: Any = None) -> list[float]:
    """NLTK's METEOR of each pair (exact, stem and WordNet matches); `wordnet` None takes NLTK's own."""
    from nltk.translate.meteor_score import meteor_score

    given = {} if wordnet is None else {"wordnet": wordnet}
    return [meteor_score([words(a)], words(b), **given) for a, b in zip(references, candidates, strict=True)]


def _bertscore(references: list[str], candidates: list[str]) -> Sequence[float]:
    _, _, f1 = import_module("bert_score").score(candidates, references, lang="en")
    return [float(value) for value in f1]


def _radgraph(references: list[str], candidates: list[str]) -> Sequence[float]:
    scorer = import_module("radgraph").F1RadGraph(reward_level="partial")
    return list(scorer(refs=references, hyps=candidates)[1])


def _green(references: list[str], candidates: list[str]) -> Sequence[float]:
    scorer = import_module("green_score").GREEN("StanfordAIMI/GREEN-radllama2-7b", output_dir=".")
    return list(scorer(references, candidates)[2])


_EXTRAS: dict[str, tuple[str, str, str, Scorer]] = {
    # name: (package to import, package to install, title, how)
    "bertscore": ("bert_score", "bert-score", "BERTScore", _bertscore),
    "radgraph": ("radgraph", "radgraph", "RadGraph F1", _radgraph),
    "green": ("green_score", "green-score", "GREEN", _green),
}
EXTRAS = tuple(_EXTRAS)


def optional_families(texts: Sequence[str], wanted: Sequence[str]) -> tuple[list[Family], list[Absent]]:
    """The optional metrics that can be computed here, and the others with the reason.

    InputError where one of `wanted` is unknown, or its package is not installed.
    """
    unknown = [name for name in wanted if name not in _EXTRAS]
    if unknown:
        raise InputError(f"--extra {unknown[0]}: not a metric; give one of {', '.join(EXTRAS)}")
    made, absent = [], []
    if has_wordnet():
        made.append(pairwise_family(texts, Measure("text/meteor", "METEOR", ratio), meteor_scores))
    else:
        reason = "needs WordNet, which is not on this machine: python -m nltk.downloader wordnet"
        absent.append(Absent("text/meteor", "METEOR", reason))
    for name, (module, package, title, score) in _EXTRAS.items():
        titled = f"{title} ({NOT_MADE})"
        installed = find_spec(module) is not None
        if name in wanted and not installed:
            raise InputError(f"--extra {name}: needs the package {package} and its weights; pip install {package}")
        if name in wanted:
            made.append(pairwise_family(texts, Measure(f"extra/{name}", titled, ratio), score))
        else:
            reason = "not asked for (--extra " + name + ")" + ("" if installed else f"; {package} is not installed")
            absent.append(Absent(f"extra/{name}", titled, reason))
    return made, absent
