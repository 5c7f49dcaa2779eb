"""Retrieval figures on embeddings whose answer is known."""

import pytest
import torch

from brain3d.training.retrieval import grounding_scores, retrieval_scores, side_discrimination

LEFT = "There is a hyperintense lesion in the left frontal lobe."
RIGHT = "There is a hyperintense lesion in the right frontal lobe."
HEALTHY = "No focal abnormality is seen."


def test_perfect_embeddings_find_everything() -> None:
    scores = retrieval_scores(torch.eye(8), torch.eye(8), torch.eye(8, dtype=torch.bool))
    assert {scores[f"{way}_r{k}"] for way in ("image_to_text", "text_to_image") for k in (1, 5)} == {1.0}
    assert scores["chance_r1"] == pytest.approx(1 / 8)
    assert scores["chance_r5"] == pytest.approx(5 / 8)


def test_embeddings_that_are_all_the_same_find_nothing_by_their_order() -> None:
    """The first of equally near candidates must not count as found because it happens to be first."""
    scores = retrieval_scores(torch.ones(8, 4), torch.ones(8, 4), torch.eye(8, dtype=torch.bool))
    assert scores["image_to_text_r5"] == 0
    assert scores["text_to_image_r1"] == 0


def test_an_equal_report_is_a_hit_and_chance_knows_it() -> None:
    same = torch.eye(4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    texts = torch.eye(4)[[1, 0, 2, 3]]
    assert retrieval_scores(torch.eye(4), texts, torch.eye(4, dtype=torch.bool))["image_to_text_r1"] == 0.5
    scores = retrieval_scores(torch.eye(4), texts, same)
    assert scores["image_to_text_r1"] == 1.0
    assert scores["chance_r1"] == pytest.approx((2 + 2 + 1 + 1) / 16)
    assert scores["chance_r5"] == 1.0


def test_r5_counts_the_candidates_ahead() -> None:
    cosines = torch.linspace(1, 0, 10)
    images = torch.stack([cosines, (1 - cosines**2).sqrt()], 1)
    texts = torch.tensor([[1.0, 0.0]]).repeat(10, 1)
    texts[1:, 1] = torch.arange(1, 10) * 0.5
    same = torch.eye(10, dtype=torch.bool)
    scores = retrieval_scores(images[:1].repeat(10, 1), texts, same)
    assert scores["image_to_text_r1"] == pytest.approx(0.1)
    assert scores["image_to_text_r5"] == pytest.approx(0.5)


def test_sides_are_told_apart_chance_is_a_half_and_reports_without_a_side_do_not_count() -> None:
    images = torch.tensor([[1.0, 0.2], [1.0, -0.2], [1.0, 0.0], [0.0, 1.0]])
    own = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    swapped = torch.tensor([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [1.0, 0.0]])
    scores = side_discrimination(images, own, swapped, [True, True, True, False])
    assert scores == {"side_accuracy": pytest.approx((1 + 0 + 0.5) / 3), "sided": 3.0}
    assert side_discrimination(images, own, swapped, [False] * 4) == {"sided": 0.0}


def test_all_figures_of_a_validation_set() -> None:
    axes = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    scores = grounding_scores(axes, axes, axes[[1, 0, 2, 3]], [LEFT, RIGHT, HEALTHY, HEALTHY])
    assert scores["image_to_text_r1"] == 1.0
    assert scores["side_accuracy"] == 1.0
    assert scores["sided"] == 2
