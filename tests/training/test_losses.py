"""The parts of training that arithmetic alone can check."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from brain3d.phantom.truth import Truth
from brain3d.phantom.volume import AMOUNTS
from brain3d.training.adaptation import case_scores
from brain3d.training.alignment import contrastive_loss
from brain3d.training.cells import CASE_FEATURES, CELL_FEATURES, case_features, mirror_cells, sampling_odds, split_case
from brain3d.training.dense import (
    mirrored,
    patch_amounts,
    patch_masks,
    totals_loss,
)
from brain3d.training.language import MOST_DOUBT, unsure
from brain3d.training.loop import Schedule, learning_rate, reduced_precision
from brain3d.training.said import said_scores
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


LEFT = Truth(
    normal=False,
    visible=True,
    side="left",
    left_share=0.875,
    centroid_offset_mm=-21.5,
    regions=("frontal", "insula"),
    region_shares={"frontal": 0.75, "insula": 0.25},
    signal="high",
    edema="moderate",
    necrosis="none",
    ventricular_compression="mild",
    midline_shift_mm=2.5,
    volume_ml=31.0,
    contrast_to_noise=4.0,
    lesion_count=1,
    skull=False,
)
HEALTHY = replace(LEFT, normal=True, visible=False, side="unknown", volume_ml=0.0, contrast_to_noise=None)


def test_the_case_of_a_mirrored_truth_differs_in_the_side_alone() -> None:
    own, turned = case_features([LEFT, LEFT.mirrored()])
    assert own.shape == (CASE_FEATURES,)
    a, b = split_case(own), split_case(turned)
    assert a["side"].tolist() == [1, 0, 0, 0]
    assert b["side"].tolist() == [0, 1, 0, 0]
    assert float(a["left_share"] + b["left_share"]) == 1.0
    assert all(torch.equal(a[name], b[name]) for name in a if name not in ("side", "left_share"))


def test_what_cannot_be_seen_has_no_case() -> None:
    assert not case_features([HEALTHY, replace(LEFT, visible=False)]).any()


def test_a_perfect_case_scores_one_and_its_mirror_image_loses_the_side() -> None:
    truths = [LEFT, replace(LEFT, side="midline"), HEALTHY]
    perfect = case_scores(20 * case_features(truths) - 10, truths)
    assert set(perfect.values()) == {1.0}
    turned = case_scores(20 * case_features([t.mirrored() for t in truths]) - 10, truths)
    assert turned["side_case"] == 0.5
    assert {v for k, v in turned.items() if k != "side_case"} == {1.0}


def test_doubt_never_turns_a_case_over() -> None:
    known = torch.cat(
        [torch.zeros(4, 32, CELL_FEATURES), (torch.rand(4, 1, CASE_FEATURES) > 0.5).expand(4, 32, -1)], -1
    )
    case = unsure(known, np.random.default_rng(0))[..., CELL_FEATURES:]
    assert torch.equal(case > 0.5, known[..., CELL_FEATURES:] > 0.5)
    assert float((case - known[..., CELL_FEATURES:]).abs().max()) <= MOST_DOUBT
    assert torch.equal(case[:, :1].expand_as(case), case)


def test_texts_are_scored_against_the_mirrored_truth_where_the_image_was_mirrored() -> None:
    text = "A lesion is seen in the right frontal lobe and insula with high signal. There is moderate edema. "
    text += "No necrosis is seen. There is mild ventricular compression."
    healthy = "No focal lesion is seen."
    truths = [LEFT, HEALTHY]
    assert set(said_scores([text, healthy], truths, np.array([True, False])).values()) == {1.0}
    assert said_scores([text, healthy], truths, np.array([False, False]))["side"] == 0.0
    missed = said_scores([healthy, text], truths, np.array([True, True]))
    assert missed["sensitivity"] == missed["specificity"] == missed["regions_f1"] == 0.0


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


def test_lesions_across_the_midline_are_drawn_oftener() -> None:
    crossing, lateral = (replace(LEFT, side=side, visible=True, volume_ml=30.0) for side in ("bilateral", "left"))
    odds = sampling_odds([crossing, lateral], focused=True)
    assert odds[0] > odds[1]
    assert float(odds.sum()) == pytest.approx(1.0)


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


def test_mirrored_amounts_swap_sides_and_nothing_else() -> None:
    amounts = np.random.default_rng(0).integers(0, 256, (2, len(AMOUNTS), 2, 3, 4)).astype(np.uint8)
    shares = patch_amounts(amounts, np.array([False, True])).unflatten(1, (2, 3, 4)) * 255
    straight, turned = torch.from_numpy(amounts.transpose(0, 2, 3, 4, 1).copy()).float()
    torch.testing.assert_close(shares[0], straight)
    for name in AMOUNTS:
        swapped = {"left": "right", "right": "left"}
        source = "_".join(swapped.get(word, word) for word in name.split("_"))
        torch.testing.assert_close(
            shares[1][..., AMOUNTS.index(name)], turned.flip(2)[..., AMOUNTS.index(source)], msg=name
        )


def test_reduced_precision_leaves_the_result_and_the_settings_as_they_are() -> None:
    query = torch.randn(1, 2, 30, 16)
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    exact = torch.nn.functional.scaled_dot_product_attention(query, query, query)
    with reduced_precision("cpu", enabled=True):
        near = torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), exact, atol=0.05, rtol=0.05)
    assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed() == before


def halves_of(left: dict[str, float], right: dict[str, float]) -> torch.Tensor:
    """Logarithms of sums over the left half, the right half and the head, (1, 3, A); nothing is zero to the last."""
    rows = torch.full((3, len(AMOUNTS)), 1e-4)
    for row, named in enumerate((left, right)):
        for name, patches in named.items():
            rows[row, AMOUNTS.index(name)] += patches
            rows[2, AMOUNTS.index(name)] += patches
    return rows.log()[None]


def test_totals_are_worst_where_the_side_is_wrong() -> None:
    truth = {"left": 8.0, "frontal": 6.0, "parietal": 2.0, "edema": 5.0, "bright": 8.0}
    wanted = torch.tensor([[truth.get(name, 0.0) for name in AMOUNTS]])
    right = totals_loss(halves_of(truth, {}), wanted)
    other_lobe = totals_loss(halves_of({**truth, "frontal": 2.0, "parietal": 6.0}, {}), wanted)
    half_as_large = totals_loss(halves_of({name: n / 2 for name, n in truth.items()}, {}), wanted)
    other_half = totals_loss(halves_of({}, truth), wanted)
    mirrored = {("right" if name == "left" else name): n for name, n in truth.items()}
    other_side = totals_loss(halves_of({}, mirrored), wanted)
    assert float(right) < 0.01
    assert float(right) < float(other_lobe) < float(other_half) < float(other_side)
    assert float(right) < float(half_as_large) < float(other_half)


def test_clear_small_lesions_are_drawn_oftenest() -> None:
    truths = [replace(LEFT, volume_ml=ml, visible=ml > 0.4) for ml in (5.0, 50.0, 0.2)]
    small, large, invisible = sampling_odds(truths, focused=True)
    assert small > large > invisible > 0
    assert small + large + invisible == pytest.approx(1.0)
    assert len(set(sampling_odds(truths, focused=False))) == 1
