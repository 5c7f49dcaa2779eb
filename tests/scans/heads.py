"""Synthetic heads for the tests of scans: an ellipsoid with a bump on one side, in any stored order."""

from __future__ import annotations

import numpy as np

from brain3d.scans import Scan, axis_codes
from brain3d.scans.orientation import direction_cosines

ORDERS = [
    (order, signs)
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    for signs in [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
]


def rotation(degrees_about: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z, in degrees."""
    result = np.eye(3)
    for axis, degrees in enumerate(degrees_about):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.eye(3)
        first, second = [k for k in range(3) if k != axis]
        turn[[first, first, second, second], [first, second, first, second]] = [c, -s, s, c]
        result = turn @ result
    return result


def affine_of(
    spacing: tuple[float, float, float],
    shape: tuple[int, int, int],
    degrees: tuple[float, float, float] = (0, 0, 0),
    centre_mm: tuple[float, float, float] = (0, 0, 0),
) -> np.ndarray:
    """A RAS-like affine whose middle voxel lies at `centre_mm`."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) * np.array(spacing)
    affine[:3, 3] = np.array(centre_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def head(
    affine: np.ndarray,
    shape: tuple[int, int, int],
    *,
    centre_mm: tuple[float, float, float] = (0, 0, 0),
    lesion_x_mm: float = -35.0,
    background: float = 0.0,
    noise: float = 0.0,
) -> np.ndarray:
    """A brain of 130 x 170 x 140 mm about `centre_mm`, 100 inside, with a lesion of 300 at `lesion_x_mm`."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3] - np.array(centre_mm)
    radius = np.sqrt(((world / np.array([65.0, 85.0, 70.0])) ** 2).sum(axis=-1))
    image = np.full(shape, float(background))
    image[radius < 1] = background + 100 + 20 * radius[radius < 1]
    lesion = ((world - np.array([lesion_x_mm, 20.0, 10.0])) ** 2).sum(axis=-1) < 15**2
    image[lesion] = background + 300
    if noise:
        image = image + np.random.default_rng(0).normal(0, noise, shape)
    return image.astype(np.float32)


def reorder(
    data: np.ndarray, affine: np.ndarray, order: tuple[int, ...], signs: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The same image with its axes stored in another order and with some of them reversed."""
    stored = np.transpose(data, order)[tuple(slice(None, None, sign) for sign in signs)]
    result = affine.copy()
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        result[:3, column] = sign * affine[:3, axis]
        if sign < 0:
            result[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
    return stored, result


def scan_of(data: np.ndarray, affine: np.ndarray) -> Scan:
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    assert np.isfinite(direction_cosines(affine)).all()
    return Scan(data, affine, axis_codes(affine), tuple(float(mm) for mm in spacing), "0" * 64)  # type: ignore[arg-type]


def head_with_skull(
    affine: np.ndarray, shape: tuple[int, int, int], *, lesion_x_mm: float = -35.0, noise: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The brain of `head` in dark bone and bright scalp, with a neck and two eyes; and the brain's own mask."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    brain = head(affine, shape, lesion_x_mm=lesion_x_mm)
    inner, bone, skin = (
        np.sqrt(((world / (np.array([65.0, 85.0, 70.0]) + more)) ** 2).sum(axis=-1)) < 1 for more in (0, 9, 16)
    )
    neck = (np.hypot(world[..., 0], world[..., 1] + 20) < 50) & (world[..., 2] < -40)
    eyes = np.sqrt((np.abs(world[..., 0]) - 32) ** 2 + (world[..., 1] - 95) ** 2 + (world[..., 2] + 25) ** 2) < 12
    image = np.where(skin & ~bone, 160.0, np.where(bone, 30.0, np.where(neck, 70.0, 0.0)))
    image = np.where(eyes & ~inner, 90.0, image)
    image = np.where(inner, brain, image)
    if noise:
        image = np.abs(image + np.random.default_rng(0).normal(0, noise, shape))
    return image.astype(np.float32), inner
