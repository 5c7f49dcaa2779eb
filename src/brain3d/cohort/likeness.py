"""Scans that show the same head: by the hash of their voxels, and by how alike their prepared volumes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from brain3d.cohort.facts import Facts

ALIKE = 0.97  # correlation of two whole volumes; other people's heads lie below it, re-stored ones at 1
ALIKE_INSIDE = 0.95  # of the places alone where either has a head
BLOCK = 64
MOST_VOXELS = 2**17
SAME, MIRRORED = "same", "mirrored"


@dataclass(frozen=True)
class Pair:
    """Two studies that show one head; `kind` is "same" or "mirrored". Where their voxels are equal, no correlation."""

    first: str
    second: str
    kind: str
    correlation: float | None = None


def equal_pairs(facts: Mapping[str, Facts]) -> list[Pair]:
    """Studies with the same voxels in canonical order, or with those of the other's mirror image.

    Of several with the same voxels each is paired with the first.
    """
    first: dict[str, str] = {}
    pairs = []
    for study, one in facts.items():
        earlier = first.setdefault(one.voxels_sha256, study)
        if earlier != study:
            pairs.append(Pair(earlier, study, SAME))
        mirrored = first.get(one.mirrored_sha256)
        if mirrored is not None and mirrored not in (study, earlier) and one.mirrored_sha256 != one.voxels_sha256:
            pairs.append(Pair(mirrored, study, MIRRORED))
    return pairs


def alike_pairs(volumes: Mapping[str, np.ndarray]) -> list[Pair]:
    """Studies whose volumes (D, H, W) correlate so highly, as they are or mirrored, that they show one head.

    This finds copies with other intensities, cuts or noise. Volumes are compared in blocks, so memory is bounded.
    """
    names = list(volumes)
    starts = range(0, len(names), BLOCK)
    pairs: list[Pair] = []
    for start in starts:
        rows = names[start : start + BLOCK]
        here = _normal([volumes[name] for name in rows])
        for other in starts[start // BLOCK :]:
            columns = names[other : other + BLOCK]
            for kind, step in ((SAME, 1), (MIRRORED, -1)):
                there = _normal([volumes[name][..., ::step] for name in columns])
                for i, j in np.argwhere(here @ there.T >= ALIKE):
                    if start + i < other + j:
                        pairs += _confirmed(rows[i], columns[j], kind, volumes)
    return _once(pairs)


def _thinned(volume: np.ndarray) -> np.ndarray:
    """Every so manieth voxel of a large volume, at mirrored places alike."""
    step = 1
    while volume[::step, ::step].size > MOST_VOXELS:
        step += 1
    return volume[::step, ::step]


def _normal(volumes: Sequence[np.ndarray]) -> np.ndarray:
    """(n, voxels) with mean 0 and length 1, so that products are correlations."""
    rows = np.array([_thinned(volume).ravel() for volume in volumes], dtype=np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(lengths, 1e-12)[:, None])


def _confirmed(first: str, second: str, kind: str, volumes: Mapping[str, np.ndarray]) -> list[Pair]:
    one, other = volumes[first], volumes[second][..., :: 1 if kind == SAME else -1]
    head = (one > one.min()) | (other > other.min())
    if not head.any() or one[head].std() == 0 or other[head].std() == 0:
        return []
    correlation = float(np.corrcoef(one[head], other[head])[0, 1])
    return [Pair(first, second, kind, round(correlation, 4))] if correlation >= ALIKE_INSIDE else []


def _once(pairs: Sequence[Pair]) -> list[Pair]:
    """Of a pair that is alike both ways, the better."""
    best: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        key = (pair.first, pair.second)
        if key not in best or (pair.correlation or 0) > (best[key].correlation or 0):
            best[key] = pair
    return list(best.values())


def all_pairs(facts: Mapping[str, Facts], volumes: Mapping[str, np.ndarray]) -> list[Pair]:
    """Equal studies, then those that are only alike."""
    equal = equal_pairs(facts)
    groups: dict[str, set[str]] = {}
    for pair in equal:
        joined = groups.get(pair.first, {pair.first}) | groups.get(pair.second, {pair.second})
        for name in joined:
            groups[name] = joined
    known = {frozenset(two) for group in groups.values() for two in combinations(sorted(group), 2)}
    return [*equal, *(pair for pair in alike_pairs(volumes) if frozenset((pair.first, pair.second)) not in known)]
