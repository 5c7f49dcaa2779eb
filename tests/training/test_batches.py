"""Batches cover every study, and do not depend on how many processes share them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.training.batches import batch_at, batches_per_epoch, epoch_batches, shard, views_of

LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=120)


@given(LENGTHS, st.integers(1, 17), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_holds_every_study_once(lengths: list[int], batch: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(lengths, batch, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == batches_per_epoch(len(lengths), batch)
    sizes = sorted(len(rows) for rows in batches)
    assert all(size == batch for size in sizes[1:])
    assert 1 <= sizes[0] <= batch


@given(st.integers(1, 40), st.integers(1, 7))
def test_shards_behind_one_another_are_the_batch(size: int, world: int) -> None:
    rows = np.random.default_rng(size).permutation(100)[:size]
    parts = [shard(rows, rank, world) for rank in range(world)]
    assert len({len(part.rows) for part in parts}) == 1
    together, counted = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    assert together[:size].tolist() == rows.tolist()
    assert counted.tolist() == [True] * size + [False] * (len(together) - size)
    assert set(together.tolist()) == set(rows.tolist())


def test_like_lengths_come_together_and_padding_is_small() -> None:
    lengths = np.random.default_rng(0).integers(50, 160, 320)
    padded = sum(lengths[rows].max() * len(rows) for rows in epoch_batches(lengths.tolist(), 8, seed=0, epoch=0))
    at_random = np.random.default_rng(1).permutation(320).reshape(-1, 8)
    assert padded / lengths.sum() < 1.05
    assert (lengths[at_random].max(1) * 8).sum() / lengths.sum() > 1.3


def test_the_order_changes_with_epoch_and_seed_alone() -> None:
    lengths = list(range(40))
    first = [rows.tolist() for rows in epoch_batches(lengths, 8, seed=0, epoch=0)]
    assert first == [rows.tolist() for rows in epoch_batches(lengths, 8, seed=0, epoch=0)]
    assert first != [rows.tolist() for rows in epoch_batches(lengths, 8, seed=0, epoch=1)]
    assert first != [rows.tolist() for rows in epoch_batches(lengths, 8, seed=1, epoch=0)]


def test_a_step_finds_its_batch_without_the_steps_before() -> None:
    lengths = list(range(11))
    walked = [(e, rows.tolist()) for e in range(3) for rows in epoch_batches(lengths, 4, seed=3, epoch=e)]
    for step, (epoch, rows) in enumerate(walked):
        found_epoch, found = batch_at(lengths, 4, seed=3, step=step)
        assert (found_epoch, found.tolist()) == (epoch, rows)


@given(st.integers(0, 3), st.integers(0, 30), st.integers(0, 3))
def test_how_a_study_is_seen_does_not_depend_on_its_batch(epoch: int, row: int, augmentations: int) -> None:
    alone = views_of(np.array([row]), seed=1, epoch=epoch, augmentations=augmentations)
    among = views_of(np.array([7, row, 3]), seed=1, epoch=epoch, augmentations=augmentations)
    assert among[1] == alone[0]
    assert 0 <= alone[0].augmentation <= augmentations


def test_half_of_the_views_are_mirrored_none_or_all_where_asked() -> None:
    rows = np.arange(400)
    assert 150 < sum(view.mirrored for view in views_of(rows, seed=0, epoch=0)) < 250
    assert not any(view.mirrored for view in views_of(rows, seed=0, epoch=0, mirror=0))
    assert all(view.mirrored for view in views_of(rows, seed=0, epoch=0, mirror=1))
    drawn = [view.augmentation for view in views_of(rows, seed=0, epoch=0, augmentations=3)]
    assert {drawn.count(k) > 60 for k in range(4)} == {True}


@pytest.mark.parametrize(("count", "batch"), [(0, 4), (4, 0)])
def test_no_studies_or_no_batch_is_refused(count: int, batch: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        batches_per_epoch(count, batch)
