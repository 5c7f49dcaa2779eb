"""Text metrics that need data or weights from elsewhere: METEOR, BERTScore, RadGraph F1, GREEN.

The last three were trained on English in general or on chest X-ray reports: they are labelled "not made for brain
MRI", and run only where they are asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from tempfile import TemporaryDirectory
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


class NoSynonyms:
    """A WordNet without a word in it: METEOR then matches equal words and equal stems."""

    @staticmethod
    def synsets(_: str) -> tuple[()]:
        """The meanings of a word: none."""
        return ()


def meteor_scores(references: list[str], candidates: list[str], wordnet: Any = None) -> list[float]:
    """NLTK's METEOR of each pair (equal words, stems, synonyms); `wordnet` None takes NLTK's own."""
    from nltk.translate.meteor_score import meteor_score

    given = {"stemmer": _Stems(), **({} if wordnet is None else {"wordnet": wordnet})}
    return [meteor_score([words(a)], words(b), **given) for a, b in zip(references, candidates, strict=True)]


class _Stems:
    """Porter's stems as NLTK makes them, each word stemmed once."""

    @staticmethod
    def stem(word: str) -> str:
        """The stem of a word."""
        return _stem(word)


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return str(_porter().stem(word))


@lru_cache(maxsize=1)
def _porter() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


def meteor_without_synonyms(references: list[str], candidates: list[str]) -> list[float]:
    """METEOR by equal words and stems alone, which needs no data: the same on every machine."""
    return meteor_scores(references, candidates, NoSynonyms())


@lru_cache(maxsize=1)
def _bertscorer() -> Any:
    return import_module("bert_score").BERTScorer(lang="en")


def _bertscore(references: list[str], candidates: list[str]) -> Sequence[float]:
    _, _, f1 = _bertscorer().score(candidates, references)
    return [float(value) for value in f1]


@lru_cache(maxsize=1)
def _radgraph_scorer() -> Any:
    return import_module("radgraph").F1RadGraph(reward_level="partial")


def _radgraph(references: list[str], candidates: list[str]) -> Sequence[float]:
    return [float(value) for value in _radgraph_scorer()(refs=references, hyps=candidates)[1]]


@lru_cache(maxsize=1)
def _green_scorer() -> tuple[Any, Any]:
    """The judge, and the folder it writes its table of texts to, which goes when the process ends."""
    folder = TemporaryDirectory(prefix="brain3d-green-")
    return import_module("green_score").GREEN("StanfordAIMI/GREEN-radllama2-7b", output_dir=folder.name), folder


def _green(references: list[str], candidates: list[str]) -> Sequence[float]:
    """GREEN of each pair; where its judge's answer cannot be read, there is no score and the pair counts as 0."""
    scores = _green_scorer()[0](references, candidates)[2]
    return [0.0 if value is None else float(value) for value in scores]


_EXTRAS: dict[str, tuple[str, str, str, Scorer]] = {
    # name: (package to import, package to install, title, how)
    "bertscore": ("bert_score", "bert-score", "BERTScore", _bertscore),
    "radgraph": ("radgraph", "radgraph", "RadGraph F1", _radgraph),
    "green": ("green_score", "green-score", "GREEN", _green),
}
EXTRAS = tuple(_EXTRAS)


def optional_families(texts: Sequence[str], wanted: Sequence[str]) -> tuple[list[Family], list[Absent]]:
    """METEOR without synonyms, the optional metrics that can be computed here, and the others with the reason.

    InputError where one of `wanted` is unknown, or its package is not installed.
    """
    unknown = [name for name in wanted if name not in _EXTRAS]
    if unknown:
        raise InputError(f"--extra {unknown[0]}: not a metric; give one of {', '.join(EXTRAS)}")
    plain = Measure("text/meteor_no_synonyms", "METEOR without synonyms", ratio)
    made, absent = [pairwise_family(texts, plain, meteor_without_synonyms)], []
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
