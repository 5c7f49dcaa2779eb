"""The parts of training that arithmetic alone can check."""

import numpy as np
import pytest
import torch

from brain3d.training.alignment import contrastive_loss
from brain3d.training.cells import CELL_FEATURES, mirror_cells
from brain3d.training.dense import jitter_intensity, mirrored, patch_masks
from brain3d.training.loop import Schedule, learning_rate
from brain3d.training.tower import side_from_evidence, slabs_of


def test_a_contrastive_batch_of_one_teaches_nothing() -> None:
    image = torch.randn(1, 8, requires_grad=True)
    loss = contrastive_loss(image, torch.randn(1, 8), torch.ones(1, 1, dtype=torch.bool), 0.07)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert image.grad is not None
    assert float(image.grad.abs().max()) < 1e-6


def test_contrastive_loss_without_equals_is_symmetric_cross_entropy() -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(5, 8), torch.randn(5, 8)
    a, b = images / images.norm(dim=1, keepdim=True), texts / texts.norm(dim=1, keepdim=True)
    logits = a @ b.T / 0.07
    expected = -(logits.log_softmax(1).diagonal().mean() + logits.log_softmax(0).diagonal().mean()) / 2
    got = contrastive_loss(images, texts, torch.eye(5, dtype=torch.bool), 0.07)
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_equal_findings_are_no_negatives() -> None:
    """Two healthy studies with the same embedding: treating them as negatives costs more."""
    torch.manual_seed(0)
    base = torch.randn(4, 8)
    base[1] = base[0]
    strangers = contrastive_loss(base, base, torch.eye(4, dtype=torch.bool), 0.07)
    same = torch.eye(4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    assert float(contrastive_loss(base, base, same, 0.07)) <= float(strangers) + 1e-6


def test_mirroring_boxes_reverses_columns_alone() -> None:
    cells = torch.arange(32).float()[None, :, None].expand(2, 32, CELL_FEATURES)
    turned = mirror_cells(cells, (4, 4, 2))
    assert turned[0, :4, 0].tolist() == [1, 0, 3, 2]
    assert torch.equal(mirror_cells(turned, (4, 4, 2)), cells)


def test_mirroring_a_batch_mirrors_every_target_with_it() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((3, 8, 8, 8)).astype(np.float16)
    masks = rng.integers(0, 255, (3, 4, 4, 4, 4), dtype=np.uint8)
    regions = rng.integers(0, 11, (3, 2, 2, 2), dtype=np.uint8)
    flip = np.array([True, False, True])
    a, b, c = mirrored(images, masks, regions, flip)
    assert np.array_equal(a[0], images[0, ..., ::-1])
    assert np.array_equal(b[0], masks[0, ..., ::-1])
    assert np.array_equal(c[0], regions[0, ..., ::-1])
    assert np.array_equal(a[1], images[1])
    assert np.array_equal(masks, np.asarray(mirrored(a, b, c, flip)[1]))


def test_patch_masks_put_each_cell_under_its_patch() -> None:
    masks = np.zeros((1, 4, 4, 4, 4), dtype=np.uint8)
    masks[0, 2, 3, 0, 1] = 255  # mask 2, cell (1, 0, 1) of patch (1, 0, 0)
    patches = patch_masks(masks)
    assert patches.shape == (1, 2, 2, 2, 32)
    assert float(patches.sum()) == 1.0
    assert float(patches[0, 1, 0, 0, 2 * 8 + 5]) == 1.0


def test_jitter_leaves_the_background_alone() -> None:
    images = torch.full((2, 4, 4, 4), -1.0)
    images[:, 1:3] = -0.4
    changed = jitter_intensity(images, np.random.default_rng(0))
    assert torch.equal(changed[:, 0], images[:, 0])
    assert not torch.equal(changed[:, 1], images[:, 1])


def test_slabs_average_four_slices_into_three_equal_planes() -> None:
    volume = torch.arange(8.0).reshape(1, 8, 1, 1).expand(1, 8, 4, 4)
    slabs = slabs_of(volume)
    assert slabs.shape == (1, 2, 3, 4, 4)
    assert slabs[0, :, 0, 0, 0].tolist() == [1.5, 5.5]


def test_the_lower_half_of_the_columns_is_left() -> None:
    evidence = torch.zeros(1, 2, 2, 4)
    evidence[..., 0] = 1.0
    assert float(side_from_evidence(evidence)) == 1.0


def test_the_rate_warms_up_and_ends_at_a_twentieth() -> None:
    schedule = Schedule(steps=100, lr=1.0, warmup=10)
    assert learning_rate(schedule, 0) == pytest.approx(0.1)
    assert learning_rate(schedule, 9) == pytest.approx(1.0)
    assert learning_rate(schedule, 100) == pytest.approx(0.05)
