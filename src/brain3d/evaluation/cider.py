"""CIDEr and CIDEr-D (Vedantam, Zitnick and Parikh 2015): n-grams weighted by how rare they are among the references.

CIDEr is ten times the mean cosine over n = 1 to 4. CIDEr-D clips counts and weighs by length (sigma 6); it is what
the COCO caption evaluation calls CIDEr. Words are lower-case, punctuation is dropped, nothing is stemmed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from brain3d.evaluation.measures import Answers, Cases, Family, Measure, both_there, mean_rows, ratio
from brain3d.evaluation.ngrams import chunks, count_matrices, totals

ORDER = 4
SIGMA = 6.0
BEST = 10.0
_WORD = re.compile(r"\w+(?:[-'.]\w+)*")


def words(text: str) -> list[str]:
    """Lower-case words; hyphens, apostrophes and points inside them stay."""
    return _WORD.findall(text.lower())


def weighted(matrix: sparse.csr_array, references: np.ndarray) -> sparse.csr_array:
    """Counts (texts, n-grams) times the log of references over those of `references` (R,) that hold the n-gram."""
    documents = (matrix[references] > 0).sum(axis=0)
    rarity = np.log(max(len(references), 1)) - np.log(np.maximum(np.asarray(documents).ravel(), 1.0))
    return (matrix @ sparse.diags_array(rarity)).tocsr()


def _norms(matrix: sparse.csr_array) -> np.ndarray:
    return np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())


def cider_family(token_lists: Sequence[Sequence[str]], references: np.ndarray) -> Family:
    """CIDEr and CIDEr-D of texts given as words; rarity is counted over the texts `references`, one for each case."""
    counts = count_matrices(token_lists, ORDER)
    bigrams = totals(counts)[:, 1]
    vectors = [weighted(matrix, references) for matrix in counts]
    norms = [_norms(matrix) for matrix in vectors]

    def likeness(said: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        plain, clipped = np.zeros(len(said)), np.zeros(len(said))
        for part, a, b in chunks(said, wanted):
            for matrix, norm in zip(vectors, norms, strict=True):
                first, second = matrix[a], matrix[b]
                under = np.maximum(norm[a] * norm[b], 1e-300)
                plain[part] += np.asarray(first.multiply(second).sum(axis=1)).ravel() / under
                clipped[part] += np.asarray(first.minimum(second).multiply(second).sum(axis=1)).ravel() / under
        apart = bigrams[said] - bigrams[wanted]
        scale = BEST / ORDER
        return plain * scale, clipped * scale * np.exp(-(apart**2) / (2 * SIGMA**2))

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there, asked = both_there(cases, answers), cases.reference >= 0
        values = np.zeros((len(there), 2))
        values[there] = np.stack(likeness(answers.text[there], cases.reference[there]), axis=-1)
        return [mean_rows(values[:, n], asked) for n in range(2)]

    measures = (Measure("text/cider", "CIDEr", ratio, BEST), Measure("text/cider_d", "CIDEr-D", ratio, BEST))
    return Family(measures, rows)
