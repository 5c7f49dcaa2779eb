"""Which studies a step trains on: a pure function of seed, epoch and step, the same for any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

POOL = 16  # batches whose studies are sorted by length together: the more, the less padding, and the less chance


class View(NamedTuple):
    """A study, by its row in the data, as one step sees it: mirrored or not, its intensities left as they are (0) or
    changed (1, 2, ...)."""

    row: int
    mirrored: bool = False
    augmentation: int = 0


class Shard(NamedTuple):
    """One process's part of a batch: `rows` into the epoch's studies, and which of them count.

    Every process has as many rows; those that only fill up (`counted` False) repeat a study of the batch, and their
    loss has to be weighted with zero.
    """

    rows: np.ndarray
    counted: np.ndarray


def batches_per_epoch(count: int, batch: int) -> int:
    """How many batches an epoch over `count` studies has; the last one may be incomplete."""
    if count < 1 or batch < 1:
        raise ValueError(f"{count} studies in batches of {batch}: there must be at least 1 of each")
    return -(-count // batch)


def epoch_batches(lengths: Sequence[int], batch: int, *, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch: every study once, studies of like length together, batches in random order.

    Studies are shuffled, then sorted by length within pools of `POOL` batches, so that batches are both random and
    padded little. The last pool is the smaller one, and the one incomplete batch holds its longest or shortest
    studies, as the epoch has it; nothing is dropped or repeated. A mean over its fewer studies weighs each of them
    more: divide by the tokens or studies of a whole batch where that matters.

    Args:
        lengths: tokens of each study's report, (N,).
        batch: studies a step, over all processes together.

    Returns:
        `batches_per_epoch(N, batch)` arrays of indices into `lengths`.
    """
    wanted = batches_per_epoch(len(lengths), batch)
    rng = np.random.default_rng([seed, epoch, 1])
    order, sizes = rng.permutation(len(lengths)), np.asarray(lengths)
    found: list[np.ndarray] = []
    for start in range(0, len(order), POOL * batch):
        pool = order[start : start + POOL * batch]
        pool = pool[np.argsort(sizes[pool], kind="stable")]
        if rng.random() < 0.5:
            pool = pool[::-1]
        found += [pool[i : i + batch] for i in range(0, len(pool), batch)]
    assert len(found) == wanted
    return [found[i] for i in rng.permutation(wanted)]


def batch_at(lengths: Sequence[int], batch: int, *, seed: int, step: int) -> tuple[int, np.ndarray]:
    """The epoch that step `step` (from 0) belongs to, and the step's studies."""
    epoch, place = divmod(step, batches_per_epoch(len(lengths), batch))
    return epoch, epoch_batches(lengths, batch, seed=seed, epoch=epoch)[place]


def shard(rows: np.ndarray, rank: int, world: int) -> Shard:
    """The part of a batch (B,) that process `rank` of `world` takes: ceil(B / world) rows in the batch's order.

    Parts set behind one another are the batch, filled up at the end by its first study, not counted. Embeddings that
    are gathered from all processes are therefore the batch's own after cutting to its B rows.
    """
    if not 0 <= rank < world or len(rows) == 0:
        raise ValueError(f"there is no part {rank} of {world} of a batch of {len(rows)}")
    each = -(-len(rows) // world)
    places = np.arange(rank * each, (rank + 1) * each)
    counted = places < len(rows)
    return Shard(rows[np.where(counted, places, 0)], counted)


def views_of(rows: np.ndarray, *, seed: int, epoch: int, mirror: float = 0.5, augmentations: int = 0) -> list[View]:
    """How each study of a batch is seen in an epoch. It depends on seed, epoch and study alone, not on the batch.

    Args:
        mirror: how often a study is mirrored, image and words together; 0 never, 1 always.
        augmentations: how many changed versions of its intensities a study has; one of them is drawn, or, as often as
            each of them, the study as it is. A cache then holds at most 2 * (augmentations + 1) features of a study.
    """
    if not 0 <= mirror <= 1 or augmentations < 0:
        raise ValueError(f"mirror {mirror} is not within 0..1, or augmentations {augmentations} below 0")
    views = []
    for row in rows.tolist():
        rng = np.random.default_rng([seed, epoch, 2, row])
        views.append(View(row, bool(rng.random() < mirror), int(rng.integers(augmentations + 1))))
    return views
