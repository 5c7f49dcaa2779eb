"""ROUGE-1, -2 and -L (Lin 2004), F-measure, with stems: tested equal to the package rouge-score with its stemmer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from brain3d.evaluation.measures import Answers, Cases, Family, Measure, both_there, mean_rows, ratio
from brain3d.evaluation.ngrams import count_matrices, matches, token_ids, totals

_OTHER = re.compile(r"[^a-z0-9]+")
_SHORTEST_STEMMED = 4


@lru_cache(maxsize=1)
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    return lru_cache(maxsize=100_000)(PorterStemmer().stem)


def stems(text: str) -> list[str]:
    """The words of `text`: lower-case runs of ASCII letters and digits, those of four and more stemmed (Porter)."""
    stem = _stemmer()
    words = _OTHER.sub(" ", text.lower()).split()
    return [stem(word) if len(word) >= _SHORTEST_STEMMED else word for word in words]


def positions(tokens: Sequence[int]) -> dict[int, int]:
    """For each token the places where it stands, as the bits of a whole number."""
    found: dict[int, int] = {}
    for place, token in enumerate(tokens):
        found[token] = found.get(token, 0) | 1 << place
    return found


def longest_common(places: dict[int, int], length: int, other: Sequence[int]) -> int:
    """The length of the longest common subsequence of a text, given by `positions`, with another.

    Hyyro 2004's bit-parallel recurrence: a row of the table is one whole number.
    """
    full = (1 << length) - 1
    row = full
    for token in other:
        hit = row & places.get(token, 0)
        row = ((row + hit) | (row - hit)) & full
    return length - row.bit_count()


def f_measure(hits: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The harmonic mean of precision and recall: twice the hits over both sizes; 0 where both are empty."""
    return np.asarray(2 * hits / np.maximum(candidate + reference, 1))


def overlap_family(texts: Sequence[str]) -> Family:
    """ROUGE-1 and ROUGE-2."""
    matrices = count_matrices([stems(text) for text in texts], 2)
    sizes = totals(matrices)

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there, asked = both_there(cases, answers), cases.reference >= 0
        wanted, said = cases.reference[there], answers.text[there]
        values = np.zeros((len(there), 2))
        values[there] = f_measure(matches(matrices, said, wanted), sizes[said], sizes[wanted])
        return [mean_rows(values[:, n], asked) for n in range(2)]

    return Family(tuple(Measure(f"text/rouge_{n}", f"ROUGE-{n}", ratio) for n in (1, 2)), rows)


def subsequence_family(texts: Sequence[str]) -> Family:
    """ROUGE-L."""
    tokens = [ids.tolist() for ids in token_ids([stems(text) for text in texts])]
    lengths = np.array([len(item) for item in tokens])
    places: dict[int, dict[int, int]] = {}

    def common(wanted: int, said: int) -> int:
        if wanted not in places:
            places[wanted] = positions(tokens[wanted])
        return longest_common(places[wanted], len(tokens[wanted]), tokens[said])

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there, asked = both_there(cases, answers), cases.reference >= 0
        wanted, said = cases.reference[there], answers.text[there]
        hits = np.array([common(a, b) for a, b in zip(wanted.tolist(), said.tolist(), strict=True)], float)
        values = np.zeros(len(there))
        values[there] = f_measure(hits, lengths[said], lengths[wanted])
        return [mean_rows(values, asked)]

    return Family((Measure("text/rouge_l", "ROUGE-L", ratio),), rows)
