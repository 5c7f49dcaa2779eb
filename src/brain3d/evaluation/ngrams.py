"""Counts of n-grams, of many texts at once, as sparse matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

CHUNK = 4096


def token_ids(token_lists: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Each list of tokens as numbers, the same token the same number in all."""
    vocabulary: dict[str, int] = {}
    return [np.array([vocabulary.setdefault(t, len(vocabulary)) for t in tokens], np.int64) for tokens in token_lists]


def count_matrices(token_lists: Sequence[Sequence[str]], order: int) -> list[sparse.csr_array]:
    """How often each n-gram stands in each text, n = 1 to `order`: matrices of (texts, distinct n-grams)."""
    ids = token_ids(token_lists)
    lengths = np.array([len(item) for item in ids])
    flat = np.concatenate([*ids, np.empty(0, np.int64)])
    text = np.repeat(np.arange(len(ids)), lengths)
    # `codes[i]` names the n-gram that starts at token i, -1 where the text ends before it does
    codes, found = flat, []
    for n in range(1, order + 1):
        if n > 1:
            starts = np.arange(max(len(flat) - n + 1, 0))
            together = text[starts] == text[starts + n - 1]
            longer = np.full(len(flat), -1, np.int64)
            longer[starts] = np.where(together, codes[starts] * (flat.max(initial=0) + 1) + flat[starts + n - 1], -1)
            codes = longer
        there = codes >= 0
        distinct, inverse = np.unique(codes[there], return_inverse=True)
        ones = np.ones(int(there.sum()), np.float64)
        matrix = sparse.coo_array((ones, (text[there], inverse)), shape=(len(ids), max(len(distinct), 1)))
        found.append(matrix.tocsr())
        codes = np.full(len(codes), -1, np.int64)
        codes[there] = inverse
    return found


def totals(matrices: Sequence[sparse.csr_array]) -> np.ndarray:
    """How many n-grams each text has, by order: (texts, orders)."""
    return np.stack([np.asarray(matrix.sum(axis=1)).ravel() for matrix in matrices], axis=-1)


def chunks(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Pairs of text indices in portions that keep memory small."""
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        yield part, first[part], second[part]


def matches(matrices: Sequence[sparse.csr_array], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Clipped matches of the texts `first` (P,) with `second` (P,), by order: (P, orders)."""
    found = np.zeros((len(first), len(matrices)))
    for part, a, b in chunks(first, second):
        for index, matrix in enumerate(matrices):
            found[part, index] = np.asarray(matrix[a].minimum(matrix[b]).sum(axis=1)).ravel()
    return found
