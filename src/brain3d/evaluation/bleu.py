"""BLEU: sentence BLEU as the published system is scored with it, and corpus BLEU as sacrebleu defines it.

Papineni et al. 2002; smoothing method 1 of Chen and Cherry 2014; corpus BLEU of Post 2018 (sacrebleu 2: case kept,
tokenizer 13a, smoothing exp). Tested equal to NLTK and sacrebleu.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brain3d.evaluation.measures import Answers, Cases, Family, Measure, both_there, mean_rows, ratio
from brain3d.evaluation.ngrams import count_matrices, matches, totals

ORDER = 4
EPSILON = 0.1  # added to a precision's numerator where it is zero


def _brevity(candidate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    shorter = candidate < reference
    powers = 1 - reference / np.maximum(candidate, 1e-12)
    return np.asarray(np.where(candidate <= 0, 0.0, np.where(shorter, np.exp(np.minimum(powers, 0)), 1.0)))


def sentence_bleu(hits: np.ndarray, sizes: np.ndarray, reference_length: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-4 of single texts: (P, 4).

    `hits` (P, 4) are clipped matches by order, `sizes` (P, 4) the candidate's n-grams, `reference_length` (P,) words.
    """
    under = np.maximum(sizes, 1)
    precision = np.where(hits > 0, hits, EPSILON) / under
    mean_log = np.cumsum(np.log(precision), axis=1) / np.arange(1, ORDER + 1)
    values = _brevity(sizes[:, 0], reference_length)[:, None] * np.exp(mean_log)
    return np.asarray(np.where(hits[:, :1] > 0, values, 0.0))


def corpus_bleu(sums: np.ndarray) -> np.ndarray:
    """Corpus BLEU in 0 to 1 of summed rows (..., 10): matches by order, n-grams by order, both lengths."""
    hits, sizes = sums[..., :ORDER], sums[..., ORDER : 2 * ORDER]
    missed = hits <= 0
    halvings = np.where(missed, np.cumsum(missed, axis=-1), 0)
    under = np.maximum(sizes, 1e-12)
    precision = np.where(missed, 1.0, hits) / (2.0**halvings * under)
    whole = (sizes > 0).all(axis=-1) & (hits > 0).any(axis=-1)
    mean_log = np.log(precision).mean(axis=-1)
    return np.asarray(np.where(whole, _brevity(sums[..., -2], sums[..., -1]) * np.exp(mean_log), 0.0))


def sentence_family(texts: Sequence[str]) -> Family:
    """BLEU-1 to BLEU-4, the mean over reports."""
    matrices = count_matrices([text.lower().split() for text in texts], ORDER)
    sizes = totals(matrices)

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there, asked = both_there(cases, answers), cases.reference >= 0
        wanted, said = cases.reference[there], answers.text[there]
        values = np.zeros((len(there), ORDER))
        values[there] = sentence_bleu(matches(matrices, said, wanted), sizes[said], sizes[wanted, 0])
        return [mean_rows(values[:, n], asked) for n in range(ORDER)]

    measures = tuple(Measure(f"text/bleu_{n}", f"BLEU-{n}, sentence", ratio) for n in range(1, ORDER + 1))
    return Family(measures, rows)


def corpus_family(texts: Sequence[str]) -> Family:
    """Corpus BLEU."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenize = Tokenizer13a()
    matrices = count_matrices([tokenize(text.rstrip()).split() for text in texts], ORDER)
    sizes = totals(matrices)

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        there, asked = both_there(cases, answers), cases.reference >= 0
        wanted, said = cases.reference[there], answers.text[there]
        table = np.zeros((len(there), 2 * ORDER + 2))
        table[there, :ORDER] = matches(matrices, said, wanted)
        table[there, ORDER : 2 * ORDER] = sizes[said]
        table[there, -2] = sizes[said, 0]
        table[asked, -1] = sizes[cases.reference[asked], 0]
        return [table]

    return Family((Measure("text/bleu_corpus", "BLEU, corpus (sacrebleu / 100)", corpus_bleu),), rows)
