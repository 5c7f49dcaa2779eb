"""Changes of brightness that mean nothing: bounded, prepared again as a scan would be, and none to the background."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from brain3d.training.jitter import BIAS, bias_field, jitter_intensity, stored_otherwise

SHAPE = (12, 16, 16)
LEVEL = 7.0


class Still:
    """A generator by whose numbers nothing is changed."""

    def random(self) -> float:
        return 0.99


def a_head(seed: int = 0) -> np.ndarray:
    """A prepared ball of two tissues and a bright spot in background, (D, H, W) float32."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    radius = np.sqrt((places**2).sum(0))
    image = np.where(radius < 0.6, -0.5, -0.35) + rng.normal(0, 0.02, SHAPE)
    image[5:7, 4:7, 9:12] = 0.6
    return np.where(radius < 0.95, image, -1.0).astype(np.float32)


def test_the_background_stays_and_tissue_changes() -> None:
    images = torch.from_numpy(np.stack([a_head(0), a_head(1)]))
    changed = jitter_intensity(images, np.array([LEVEL, LEVEL]), np.random.default_rng(0))
    tissue = images > -0.999
    assert torch.equal(changed[~tissue], images[~tissue])
    assert not torch.isclose(changed[tissue], images[tissue]).any(dim=0).all()
    assert float(changed.abs().max()) <= 1


def test_the_same_generator_makes_the_same_change() -> None:
    images = torch.from_numpy(np.stack([a_head(0), a_head(1)]))
    one, other = (jitter_intensity(images, np.full(2, LEVEL), np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, other)


def test_a_head_of_which_nothing_is_changed_is_prepared_to_the_same_image() -> None:
    image = a_head()
    again = stored_otherwise(image, LEVEL, Still())  # type: ignore[arg-type]
    assert np.abs(again - image).max() < 0.02


@given(st.integers(0, 10_000), st.floats(1.0, 12.0))
def test_a_head_stored_otherwise_keeps_its_shape_and_its_middle(seed: int, level: float) -> None:
    image = a_head(seed)
    changed = stored_otherwise(image, level, np.random.default_rng(seed))
    tissue = image > -0.999
    assert np.array_equal(changed > -0.999, tissue)
    assert np.isfinite(changed).all()
    assert abs(float(np.median(changed[tissue]) - np.median(image[tissue]))) < 0.1


@given(st.integers(0, 10_000), st.floats(0.0, BIAS))
def test_a_bias_field_stays_within_its_strength_and_is_smooth(seed: int, strength: float) -> None:
    field = bias_field(SHAPE, strength, np.random.default_rng(seed))
    assert float(np.abs(field - 1).max()) <= strength + 1e-6
    steps = max(float(np.abs(np.diff(field, axis=axis)).max()) for axis in range(3))
    assert steps <= 4 * strength * 5 / min(SHAPE) + 1e-6


def test_nothing_but_background_stays_as_it_is() -> None:
    empty = torch.full((4, 4, 4, 4), -1.0)
    assert torch.equal(jitter_intensity(empty, np.full(4, LEVEL), np.random.default_rng(0)), empty)


def test_an_image_of_one_brightness_stays_finite() -> None:
    flat = np.full(SHAPE, -0.43, dtype=np.float32)
    for seed in range(20):
        assert np.isfinite(stored_otherwise(flat, 0.0, np.random.default_rng(seed))).all()
