"""Contrastive losses: what is a negative and what is not; side-swapped reports; the sigmoid loss."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from brain3d.training.losses import (
    LogitScale,
    Pairs,
    alike,
    contrastive_loss,
    equal_reports,
    info_nce,
    pairs,
    side_swapped,
    sigmoid_loss,
    similarities,
)

LEFT = "There is a hyperintense lesion in the left frontal lobe with moderate edema."
RIGHT = "There is a hyperintense lesion in the right frontal lobe with moderate edema."
LEFT_SAID_OTHERWISE = "A lesion of high signal is seen in the left frontal lobe. The edema is moderate."
TEMPORAL = "There is a hypointense lesion in the right temporal lobe with severe edema and necrosis."
BOTH = "There are bilateral hyperintense lesions in the frontal lobes."
HEALTHY, ALSO_HEALTHY = "No focal abnormality is seen.", "The brain is normal. No lesion."


def test_reports_are_alike_by_findings_not_by_words() -> None:
    assert alike(LEFT, LEFT_SAID_OTHERWISE)
    assert alike(HEALTHY, ALSO_HEALTHY)
    assert not alike(LEFT, TEMPORAL)
    assert not alike(LEFT, HEALTHY)


def test_many_shared_words_do_not_make_another_side_alike() -> None:
    long = LEFT + " " + " ".join(f"word{k}" for k in range(80))
    assert not alike(long, long.replace("left", "right"))
    assert alike(long, long.replace("word7 ", "word8 "))


def test_words_of_side_count_also_where_no_lesion_is_stated() -> None:
    text = "Status after surgery on the left, " + " ".join(f"word{k}" for k in range(80))
    assert not alike(text, text.replace("left", "right"))
    assert alike(text, text.replace("word7 ", "word8 "))


def test_a_swapped_report_is_a_negative_only_where_it_says_something_else() -> None:
    swapped, other = side_swapped([LEFT, BOTH, HEALTHY])
    assert swapped[0] == RIGHT
    assert other == [True, False, False]


def test_swapped_reports_that_say_what_another_image_shows_are_no_negatives_of_it() -> None:
    swapped, _ = side_swapped([LEFT, RIGHT])
    paired = pairs([LEFT, RIGHT], swapped, equals="mask")
    assert paired.ignored.tolist() == [[False, False, False, True], [False, False, True, False]]
    assert paired.target.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]


def test_soft_targets_are_spread_over_equal_reports() -> None:
    paired = pairs([HEALTHY, LEFT, ALSO_HEALTHY], [HEALTHY])
    assert paired.target[0].tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert paired.target[1].tolist() == [0, 1, 0, 0]
    assert not paired.ignored.any()


def test_an_unknown_way_with_equals_is_refused() -> None:
    with pytest.raises(ValueError, match="soft, mask"):
        pairs([LEFT], equals="drop")


def test_info_nce_without_equals_is_symmetric_cross_entropy() -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(5, 8), torch.randn(7, 8)
    target = torch.eye(5, 7)
    logits = similarities(images, texts) / 0.1
    rows = torch.nn.functional.cross_entropy(logits, torch.arange(5))
    columns = torch.nn.functional.cross_entropy(logits[:, :5].T, torch.arange(5))
    found = info_nce(images, texts, Pairs(target, torch.zeros(5, 7, dtype=torch.bool)), 10.0)
    assert float(found) == pytest.approx(float(rows + columns) / 2, rel=1e-5)


def test_masked_texts_change_nothing() -> None:
    """A column that every image ignores may as well not be there: same loss, no gradient to it."""
    torch.manual_seed(0)
    images, texts = torch.randn(4, 8), torch.randn(5, 8, requires_grad=True)
    ignored = torch.zeros(4, 5, dtype=torch.bool)
    ignored[:, 4] = True
    with_it = info_nce(images, texts, Pairs(torch.eye(4, 5), ignored), 5.0)
    without = info_nce(images, texts[:4], Pairs(torch.eye(4), ignored[:, :4]), 5.0)
    assert float(with_it.detach()) == pytest.approx(float(without.detach()), rel=1e-6)
    with_it.backward()
    assert texts.grad is not None
    assert float(texts.grad[4].abs().max()) == 0
    assert torch.isfinite(texts.grad).all()


def test_a_hard_negative_pushes_an_image_from_its_mirror_image() -> None:
    """On the left-right axis the image moves from the swapped report's side to its own."""
    image = torch.tensor([[1.0, 0.0]], requires_grad=True)
    texts = torch.tensor([[1.0, 0.5], [1.0, -0.5]])
    info_nce(image, texts, Pairs(torch.eye(1, 2), torch.zeros(1, 2, dtype=torch.bool)), 5.0).backward()
    assert image.grad is not None
    assert float(image.grad[0, 1]) < 0


@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 1000))
def test_info_nce_is_smallest_where_images_are_their_texts(count: int, extra: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    texts = torch.eye(count + extra, 12)
    paired = Pairs(torch.eye(count, count + extra), torch.zeros(count, count + extra, dtype=torch.bool))
    best = info_nce(texts[:count], texts, paired, 10.0)
    other = info_nce(torch.randn(count, 12, generator=generator), texts, paired, 10.0)
    assert 0 <= float(best) <= float(other) + 1e-6


def test_sigmoid_loss_is_the_sum_over_pairs() -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(3, 6), torch.randn(4, 6)
    ignored = torch.zeros(3, 4, dtype=torch.bool)
    ignored[0, 3] = True
    found = sigmoid_loss(images, texts, Pairs(torch.eye(3, 4), ignored), 10.0, -10.0)
    cosines = similarities(images, texts)
    expected = 0.0
    for i in range(3):
        for j in range(4):
            if (i, j) != (0, 3):
                logit = float(cosines[i, j]) * 10 - 10
                expected += math.log1p(math.exp(-logit if i == j else logit)) / 3
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_learned_scale_starts_where_siglip_does_and_stays_below_a_hundred() -> None:
    scale, bias = LogitScale()()
    assert (float(scale.detach()), float(bias.detach())) == pytest.approx((10.0, -10.0))
    far, _ = LogitScale(start=1e6)()
    assert float(far.detach()) == pytest.approx(100.0)


def test_the_earlier_loss_is_this_one_without_extra_texts() -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(3, 6), torch.randn(3, 6)
    reports = [HEALTHY, LEFT, ALSO_HEALTHY]
    earlier = contrastive_loss(images, texts, equal_reports(reports, reports), 0.07)
    assert float(earlier) == pytest.approx(float(info_nce(images, texts, pairs(reports), 1 / 0.07)), rel=1e-6)
