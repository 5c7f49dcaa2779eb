"""The brain inside a head with the skull on: the smooth surface along which dark bone and fluid begin.

As in BET (Smith, Human Brain Mapping 17, 2002) the surface is sought along rays from the brain's centre, but for all
rays at once: each radius has a score, how much brain lies before it and how sharply it ends there, and the smooth
surface of the highest score is approximated by dynamic programming along four sets of paths over the sphere
(semi-global matching; Hirschmueller, IEEE PAMI 30, 2008). What belongs to the scalp is known by its depth: below the
skin of the head's upper half lies a darkest layer, the skull, and no brain is nearer to the skin than that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from brain3d.scans.foreground import CUT_AREA_MM2, Background, brain_centre, head_mask
from brain3d.scans.masks import largest_piece

POLAR, ROUND = 36, 72  # rays from top to bottom, and around
RADII_MM = np.arange(12.0, 126.0, 1.5)
REACH, EDGE_MOST, EDGE_WEIGHT = 2, 0.6, 3.0  # of the edge: so many radii to either side, its limit, its weight
AIR = -1.5  # the score of a step through air; through bone it is -1, through brain 1
STEEPEST = 4  # steps of the radius from one ray to the next
BEND = 0.6  # what one of them costs
CROWDED = 4.0  # rays near the poles stand close, and a step between them costs more, at most so many times
OWN_WEIGHT = 3.0  # of a ray's own score against each of the four paths that lead to it
AROUND_MM = 3.0  # the mask ends so far outside of bright tissue: fluid, and voxels that brain fills in part
CORE_MM = 45.0  # what lies so near the centre is typical of the brain
BIAS_MM = 20.0
BRAIN_LIKE = (0.6, 1.8)  # of typical brain
SKULL_DEPTHS_MM = np.arange(3.0, 18.0, 1.5)
THRESHOLD = (0.4, 0.75)  # of typical brain: the limits of where bone ends and brain begins
BRIDGE_MM = 6.0  # what is thinner than twice this is no brain


class _Skull(NamedTuple):
    """How deep below the skin the skull is darkest, and how bright it is there, typical brain being 1."""

    depth_mm: float
    level: float


def brain_mask(coarse: np.ndarray, background: Background, step: float) -> np.ndarray:
    """The brain with its fluid, bool, in a canonical (D, H, W) image of a head on a grid of `step` mm.

    All False where nothing is found. The mask of the mirror image is the mirrored mask, to the last bit: both are
    searched, and the mask ends between the two surfaces.
    """
    contrast = np.abs(np.asarray(coarse, dtype=np.float32) - np.float32(background.level))
    head = head_mask(coarse, background)
    own = _outside_brain(contrast, head, step)
    other = _outside_brain(np.ascontiguousarray(contrast[..., ::-1]), np.ascontiguousarray(head[..., ::-1]), step)
    found = ((own + other[..., ::-1]) / 2 < AROUND_MM) & head
    radius = np.arange(-(BRIDGE_MM // step), BRIDGE_MM // step + 1)
    ball = sum(part**2 for part in np.meshgrid(radius, radius, radius)) <= (BRIDGE_MM / step) ** 2
    return largest_piece(ndimage.binary_opening(found, ball))


def _outside_brain(contrast: np.ndarray, head: np.ndarray, step: float) -> np.ndarray:
    """How far each voxel (D, H, W) lies outside the brain's surface along its ray, in mm, negative inside."""
    nowhere = np.full(head.shape, np.inf)
    if not head.any():
        return nowhere
    centre = np.array(brain_centre(head, (step,) * 3))
    typical = _typical(contrast[head & (_distance(head.shape, centre, step) < CORE_MM)])
    if not typical:
        return nowhere
    image = np.where(head, contrast / np.float32(typical), np.float32(0))
    beyond = _beyond_field(head, step)
    depth = ndimage.distance_transform_edt(np.pad(head | beyond, 1, mode="edge"))[1:-1, 1:-1, 1:-1] * step
    skull = _skull(image, depth, round(centre[0]), step)
    outside = _outside_surface(image, depth, beyond, skull, centre, step)
    inside = (outside < 0) & head
    if not inside.any():
        return nowhere
    # Once more, from the middle of what was found, in an image made even by its own brightness there.
    even = image / _bias(image, inside, step)
    return _outside_surface(even, depth, beyond, skull, np.array(ndimage.center_of_mass(inside)), step)


def _typical(values: np.ndarray) -> float:
    """The median of the brighter of the values (N,), those of fluid left out; 0 where there are none."""
    if values.size == 0:
        return 0.0
    return float(np.median(values[values >= np.percentile(values, 75) / 2]))


def _from_centre(shape: tuple[int, ...], centre: np.ndarray, step: float) -> list[np.ndarray]:
    """Millimetres from the centre along each axis, as arrays that broadcast to `shape`."""
    return [
        ((np.arange(n) - c) * step).reshape([-1 if k == axis else 1 for k in range(3)])
        for axis, (n, c) in enumerate(zip(shape, centre, strict=True))
    ]


def _distance(shape: tuple[int, ...], centre: np.ndarray, step: float) -> np.ndarray:
    up, front, right = _from_centre(shape, centre, step)
    return np.asarray(np.sqrt(up**2 + front**2 + right**2))


def _beyond_field(head: np.ndarray, step: float) -> np.ndarray:
    """What lies beyond faces of the head that are flat and large: there it is the field of view that ends."""
    beyond = np.zeros(head.shape, dtype=bool)
    for axis in range(3):
        rows, out = np.moveaxis(head, axis, 0), np.moveaxis(beyond, axis, 0)
        first, last = np.flatnonzero(rows.any(axis=(1, 2)))[[0, -1]]
        if rows[first].sum() * step**2 > CUT_AREA_MM2:
            out[:first] |= rows[first]
        if rows[last].sum() * step**2 > CUT_AREA_MM2:
            out[last + 1 :] |= rows[last]
    return beyond


def _skull(image: np.ndarray, depth: np.ndarray, lowest: int, step: float) -> _Skull:
    """The darkest of the layers below the skin, from row `lowest` upwards; none (depth 0) where none is dark."""
    deep, values = depth[lowest:], image[lowest:]
    layers = [values[(deep > mm - step / 2) & (deep <= mm + step / 2)] for mm in SKULL_DEPTHS_MM]
    levels = [float(np.median(layer)) if layer.size else np.inf for layer in layers]
    darkest = int(np.argmin(levels))
    return _Skull(float(SKULL_DEPTHS_MM[darkest]) if levels[darkest] < THRESHOLD[1] else 0.0, levels[darkest])


def _bias(image: np.ndarray, inside: np.ndarray, step: float) -> np.ndarray:
    """How bright brain is around each voxel; 1 far from any."""
    brain = inside & (image > BRAIN_LIKE[0]) & (image < BRAIN_LIKE[1])
    weight = ndimage.gaussian_filter(brain.astype(np.float32), BIAS_MM / step)
    level = ndimage.gaussian_filter(np.where(brain, image, np.float32(0)), BIAS_MM / step)
    return np.where(weight > 0.02, level / np.maximum(weight, 0.02), np.float32(1))


def _outside_surface(
    image: np.ndarray, depth: np.ndarray, beyond: np.ndarray, skull: _Skull, centre: np.ndarray, step: float
) -> np.ndarray:
    threshold = float(np.clip((1 + skull.level) / 2, *THRESHOLD))
    evidence = np.clip((image - threshold) / (1 - threshold), -1, 1)
    evidence = np.where(depth < skull.depth_mm, -1, evidence)
    evidence = np.where(depth <= 0, AIR, evidence)
    evidence = np.where(beyond, 0, evidence).astype(np.float32)
    along = _along_rays(image, centre, step)
    edge = np.zeros_like(along)
    edge[..., REACH:-REACH] = along[..., : -2 * REACH] - along[..., 2 * REACH :]
    edge = EDGE_WEIGHT * np.clip(edge, -EDGE_MOST, EDGE_MOST)
    score = np.cumsum(_along_rays(evidence, centre, step, AIR), axis=-1) + edge
    radii = _smoothed(RADII_MM[np.argmin(_costs(-score), axis=-1)])
    return _distance(image.shape, centre, step) - _radius_at(radii, image.shape, centre, step)


def _along_rays(image: np.ndarray, centre: np.ndarray, step: float, outside: float = 0.0) -> np.ndarray:
    """The image at all radii of all rays: (POLAR, ROUND, radii)."""
    polar = ((np.arange(POLAR) + 0.5) * np.pi / POLAR)[:, None]
    around = ((np.arange(ROUND) + 0.5) * 2 * np.pi / ROUND)[None]
    rays = np.stack(np.broadcast_arrays(np.cos(polar), np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)))
    places = centre[:, None, None, None] + rays[..., None] * (RADII_MM / step)
    return np.asarray(ndimage.map_coordinates(image, places, order=1, mode="constant", cval=outside))


def _costs(cost: np.ndarray) -> np.ndarray:
    """The cost (POLAR, ROUND, radii) of each radius of each ray, those of the rays that lead to it included."""
    polar = np.sin((np.arange(POLAR) + 0.5) * np.pi / POLAR)
    around = BEND * np.minimum((np.pi / POLAR) / (2 * np.pi / ROUND * polar), CROWDED)
    rows = np.moveaxis(cost, 1, 0)
    circle = np.concatenate([rows, rows])  # twice around, since a ring has no beginning
    down = _paths(cost, np.full(ROUND, BEND))
    ring = _paths(circle, around)
    return np.asarray(OWN_WEIGHT * cost + (down[0] + down[1]) + np.moveaxis(ring[0][ROUND:] + ring[1][:ROUND], 0, 1))


def _paths(cost: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least costs (N, M, radii) of M smooth paths to each radius of each of N rays, from the first and the last.

    `bend` (M,) is what one step of the radius costs between neighbours; more than `STEEPEST` are not allowed.
    """
    _, many, radii = cost.shape
    both = np.concatenate([cost, cost[::-1]], axis=1)
    bends = np.concatenate([bend, bend])[:, None]
    steps = [(STEEPEST + sign * k, k * bends) for k in range(1, STEEPEST + 1) for sign in (1, -1)]
    padded = np.full((2 * many, radii + 2 * STEEPEST), np.inf)
    for n in range(1, len(both)):
        padded[:, STEEPEST:-STEEPEST] = both[n - 1] - both[n - 1].min(axis=1, keepdims=True)
        best = padded[:, STEEPEST:-STEEPEST].copy()
        for start, penalty in steps:
            np.minimum(best, padded[:, start : start + radii] + penalty, out=best)
        both[n] += best
    return both[:, :many], both[::-1, many:]


def _continued(radii: np.ndarray) -> np.ndarray:
    """Radii (POLAR, ROUND) with one ray more on every side: over the poles, and once around."""
    over = [np.roll(row, ROUND // 2)[None] for row in (radii[0], radii[-1])]
    tall = np.concatenate([over[0], radii, over[1]])
    return np.concatenate([tall[:, -1:], tall, tall[:, :1]], axis=1)


def _smoothed(radii: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.median_filter(_continued(radii), 3)[1:-1, 1:-1])


def _radius_at(radii: np.ndarray, shape: tuple[int, ...], centre: np.ndarray, step: float) -> np.ndarray:
    """The radius (D, H, W) in the direction of each voxel, between the rays."""
    up, front, right = _from_centre(shape, centre, step)
    distance = np.maximum(_distance(shape, centre, step), 1e-6)
    polar = np.arccos(np.clip(up / distance, -1, 1)) * (POLAR / np.pi) + 0.5
    around = np.broadcast_to(np.arctan2(right, front) % (2 * np.pi), shape) * (ROUND / (2 * np.pi)) + 0.5
    return np.asarray(ndimage.map_coordinates(_continued(radii), [polar, around], order=1, mode="nearest"))
