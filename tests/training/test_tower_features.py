"""Cached tokens are those of the tower, bit for bit, and never those of another tower, volume or view."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brain3d.cohort import open_volumes
from brain3d.model import Brain3DModel
from brain3d.scans import VolumeSpec
from brain3d.training.batches import View
from brain3d.training.cohort_data import CohortData, load_data
from brain3d.training.digest import tensors_digest, tower_digest
from brain3d.training.token_cache import TokenCache
from brain3d.training.tower_features import TowerFeatures

from .small_parts import SHAPE, SPACING_MM, small_cohort, small_model

VIEWS = [View(row, mirrored, number) for row in range(2) for mirrored in (False, True) for number in (0, 1)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CohortData:
    cohort = small_cohort(tmp_path_factory.mktemp("cohort") / "c")
    return load_data(cohort.studies, open_volumes(cohort, VolumeSpec(SHAPE, SPACING_MM)))


@pytest.fixture
def model() -> Brain3DModel:
    return small_model().model


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "entries").iterdir())


def test_losses_with_and_without_the_cache_agree(data: CohortData, tmp_path: Path) -> None:
    whole = small_model()
    ids = torch.tensor([[3] * 8 + [5, 6, 7, 1]] * len(VIEWS))
    labels = ids.masked_fill(ids == 3, -100)
    volumes = torch.from_numpy(np.stack([data.volume(view) for view in VIEWS]))
    with TokenCache(tmp_path) as cache:
        features = TowerFeatures(whole.model, data, cache)
        assert features.build(VIEWS) == len(VIEWS)
        tokens = features.tokens(VIEWS)
        assert cache.counts.found == len(VIEWS)
    cached = whole(input_ids=ids, compressed_tokens=tokens, labels=labels).loss
    direct = whole(input_ids=ids, pixel_values=volumes, labels=labels).loss
    assert float(cached.detach()) == pytest.approx(float(direct.detach()), abs=1e-5)


def test_tokens_do_not_depend_on_what_was_in_the_cache(data: CohortData, model: Brain3DModel, tmp_path: Path) -> None:
    with TokenCache(tmp_path / "a") as cache:
        first = TowerFeatures(model, data, cache).tokens(VIEWS)
        again = TowerFeatures(model, data, cache).tokens(VIEWS)
    with TokenCache(tmp_path / "b") as cache:
        features = TowerFeatures(model, data, cache)
        features.build(VIEWS[3:5])
        partly = features.tokens(VIEWS)
    assert torch.equal(first, again)
    assert torch.equal(first, partly)


def test_a_damaged_entry_is_encoded_again(data: CohortData, model: Brain3DModel, tmp_path: Path) -> None:
    with TokenCache(tmp_path) as cache:
        features = TowerFeatures(model, data, cache)
        whole = features.tokens(VIEWS[:2])
        file = entries(tmp_path)[0]
        file.write_bytes(file.read_bytes()[:-9])
        assert torch.equal(features.tokens(VIEWS[:2]), whole)
        assert cache.counts.to_dict() == {"found": 1, "added": 3, "damaged": 1, "removed": 0}


def test_half_precision_gives_the_same_tokens_before_and_after_caching(
    data: CohortData, model: Brain3DModel, tmp_path: Path
) -> None:
    with TokenCache(tmp_path, dtype="float16") as cache:
        features = TowerFeatures(model, data, cache)
        assert torch.equal(features.tokens(VIEWS), features.tokens(VIEWS))
        assert features.tokens(VIEWS).dtype == torch.float32


def test_another_tower_is_not_served_the_same_entries(data: CohortData, model: Brain3DModel, tmp_path: Path) -> None:
    with TokenCache(tmp_path) as cache:
        TowerFeatures(model, data, cache).build(VIEWS)
        other = small_model().model
        with torch.no_grad():
            other.vision_tower.post_layernorm.bias[0] += 1e-3
        assert TowerFeatures(other, data, cache).build(VIEWS) == len(VIEWS)


def test_the_digest_holds_what_tokens_follow_from_and_nothing_else(model: Brain3DModel) -> None:
    plain = tower_digest(model)
    with torch.no_grad():
        model.projector.linear_1.weight += 1
    assert tower_digest(model) == plain
    assert tower_digest(model, "bfloat16") != plain
    assert tower_digest(small_model(grid_reduce="mean_max").model) != plain
    assert tower_digest(small_model(compression="sequence", num_visual_tokens=8).model) != plain
    assert tower_digest(small_model(vis_scale_init=3.0).model) == plain


def test_the_digest_of_tensors_sees_names_types_shapes_and_bits() -> None:
    plain = {"a": torch.arange(4.0), "b": torch.tensor(1.5)}
    digests = {
        tensors_digest(tensors)
        for tensors in (
            plain,
            {"c": plain["a"], "b": plain["b"]},
            {**plain, "a": plain["a"].reshape(2, 2)},
            {**plain, "a": plain["a"].bfloat16()},
            {**plain, "b": torch.tensor(1.5000001)},
        )
    }
    assert len(digests) == 5
    assert tensors_digest(dict(reversed(plain.items()))) in digests


def test_encoding_leaves_the_mode_of_the_parts_as_it_was(data: CohortData, model: Brain3DModel, tmp_path: Path) -> None:
    model.train()
    with TokenCache(tmp_path) as cache:
        TowerFeatures(model, data, cache).build(VIEWS[:1])
    assert model.vision_tower.training
    assert model.compression.training


def test_statistics_are_those_of_all_tokens(data: CohortData, model: Brain3DModel, tmp_path: Path) -> None:
    with TokenCache(tmp_path) as cache:
        features = TowerFeatures(model, data, cache)
        mean, deviation = features.statistics(VIEWS)
        flat = features.tokens(VIEWS).flatten(0, 1).double()
    torch.testing.assert_close(mean, flat.mean(0).float())
    torch.testing.assert_close(deviation, flat.std(0, correction=0).clamp(min=1e-3).float(), atol=1e-6, rtol=1e-4)
