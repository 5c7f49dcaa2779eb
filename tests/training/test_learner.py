"""What a stage asks of the model: a loss that padding does not touch, though no attention mask says where it is."""

from __future__ import annotations

import pytest
import torch

from brain3d.training.learner import Learner

from .small_parts import small_model

LENGTHS = (9, 4, 6)
PLACEHOLDERS = 8


def batch() -> dict[str, torch.Tensor]:
    """Placeholders, then reports of random words of each length, padded behind."""
    width = PLACEHOLDERS + max(LENGTHS)
    ids = torch.randint(5, 60, (len(LENGTHS), width), generator=torch.Generator().manual_seed(1))
    ids[:, :PLACEHOLDERS] = 3
    report = torch.arange(width) < PLACEHOLDERS + torch.tensor(LENGTHS)[:, None]
    ids = torch.where(report, ids, 0)
    labels = torch.where(report & (ids != 3), ids, -100)
    return {"input_ids": ids, "attention_mask": report.long(), "labels": labels}


def test_a_caption_loss_is_the_models_own_with_the_padding_masked() -> None:
    model, reports = small_model(), batch()
    compressed = torch.randn(len(LENGTHS), PLACEHOLDERS, model.config.compressed_size)
    learned = [*model.model.projector.parameters()]
    total = sum(LENGTHS)
    found = Learner(model, model, tower_learns=False)(
        "caption",
        visual={"compressed_tokens": compressed},
        reports=reports,
        counted=torch.tensor([True, True, True]),
        total=total,
    )
    expected = model(compressed_tokens=compressed, num_items_in_batch=total, **reports).loss
    assert float(found.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    for one, other in zip(torch.autograd.grad(found, learned), torch.autograd.grad(expected, learned), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_rows_that_only_fill_up_count_for_nothing() -> None:
    model, reports = small_model(), batch()
    compressed = torch.randn(len(LENGTHS), PLACEHOLDERS, model.config.compressed_size)
    learner = Learner(model, model, tower_learns=False)

    def loss(rows: list[int], counted: list[bool]) -> float:
        part = {name: tensor[rows] for name, tensor in reports.items()}
        visual = {"compressed_tokens": compressed[rows]}
        with torch.no_grad():
            return float(learner("caption", visual=visual, reports=part, counted=torch.tensor(counted), total=20))

    assert loss([0, 1, 2], [True, False, True]) == pytest.approx(loss([0], [True]) + loss([2], [True]), abs=1e-6)
