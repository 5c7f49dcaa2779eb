"""The mid-sagittal plane: where the two halves of the head meet, found from the image alone.

It is the plane about which the head is most like its own mirror image (Ardekani et al., IEEE TMI 16, 1997; Prima et
al., IEEE TMI 21, 2002): a search over one offset and two angles, robust against what is on one side only, above all a
lesion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from brain3d.scans.masks import box_of, dilated
from brain3d.scans.simplex import Point, least_point
from brain3d.scans.trilinear import Trilinear

SEARCH_DEG = (-20.0, -10.0, 0.0, 10.0, 20.0)
SEARCH_MM = (-8.0, 0.0, 8.0)
POINTS = 3000
AT_ONCE = 5  # planes, so that what is read for them stays in the processor's cache
ROUGHLY = 4  # every so many of the points decide where the search begins
SMOOTH_MM, TRUNCATE = 2.0, 4.0  # the width of the Gaussian, and at how many widths it ends
DOUBT = 2.0  # differences beyond this many deviations count alike: a lesion is no evidence against a plane
OUTSIDE, BRIGHTEST = -3.0, 4.0


@dataclass(frozen=True)
class MidPlane:
    """The plane n . x = offset_mm, in millimetres (superior, anterior, right) from the middle of the image.

    Its unit normal n points to the patient's right; `roll_deg` tips it upwards, `yaw_deg` turns it forwards.
    `likeness` is the correlation of the head with its mirror image about the plane: 1 for a perfect one.
    """

    offset_mm: float
    roll_deg: float
    yaw_deg: float
    likeness: float

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector (superior, anterior, right)."""
        return normal_of(self.roll_deg, self.yaw_deg)

    @property
    def upright(self) -> np.ndarray:
        """The (3, 3) rotation that takes millimetres (superior, anterior, right) of the image to those of a head that
        is held straight: the shortest that turns the normal to the right. How far the head nods is left as it is."""
        return upright_rotation(self.roll_deg, self.yaw_deg)


def normal_of(roll_deg: float, yaw_deg: float) -> np.ndarray:
    """Unit vector (superior, anterior, right): the right axis tipped up by `roll_deg`, turned forward by `yaw_deg`."""
    roll, yaw = np.deg2rad(roll_deg), np.deg2rad(yaw_deg)
    return np.array([np.sin(roll), np.sin(yaw) * np.cos(roll), np.cos(yaw) * np.cos(roll)])


def upright_rotation(roll_deg: float, yaw_deg: float) -> np.ndarray:
    """The shortest (3, 3) rotation that takes `normal_of` these angles to the right axis."""
    normal, right = normal_of(roll_deg, yaw_deg), np.array([0.0, 0.0, 1.0])
    cross = np.cross(normal, right)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + float(normal @ right)))


def mid_plane(image: np.ndarray, mask: np.ndarray, step: float) -> MidPlane:
    """The mid-sagittal plane of a canonical (D, H, W) image on a grid of `step` mm along the axes, `mask` its head.

    An image and its mirror image give planes that mirror each other to the last bit, since both are searched.
    ValueError for an empty mask.
    """
    if not mask.any():
        raise ValueError("an empty mask has no midline")
    box = box_of(mask, 1 + int(np.ceil(TRUNCATE * SMOOTH_MM / step)))
    near, head = np.asarray(image[box], dtype=np.float32), mask[box]
    smooth = ndimage.gaussian_filter(near, SMOOTH_MM / step, truncate=TRUNCATE)
    kept = box_of(head, 1)
    smooth, wide = _standardised(smooth[kept], head[kept]), dilated(head[kept])
    first = np.array([outer.start + inner.start for outer, inner in zip(box, kept, strict=True)])
    other = first * (1, 1, 0) + (0, 0, mask.shape[2] - first[2] - wide.shape[2])
    here = _Symmetry(smooth, wide, first, mask.shape, step)
    there = _Symmetry(smooth[..., ::-1], wide[..., ::-1], other, mask.shape, step)
    offset, roll, yaw = (
        round((one - two) / 2, 2) + 0.0 for one, two in zip(here.search(), there.search(), strict=True)
    )
    likeness = here.likeness((offset, roll, yaw)) + there.likeness((-offset, -roll, -yaw))
    return MidPlane(offset, roll, yaw, round(likeness / 2, 3))


def _standardised(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = image[mask]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle))) or float(values.std()) or 1.0
    result = np.full(mask.shape, OUTSIDE, dtype=np.float32)
    result[mask] = np.clip((values - middle) / spread, OUTSIDE, BRIGHTEST)
    return result


class _Symmetry:
    """How unlike itself a standardised image is when it is mirrored about a plane (offset mm, roll, yaw degrees).

    `mask` are the places that are compared. Both begin at the index `first` of an image of `shape`, in whose other
    parts there is nothing.
    """

    def __init__(
        self, image: np.ndarray, mask: np.ndarray, first: np.ndarray, shape: tuple[int, ...], step: float
    ) -> None:
        inside = np.flatnonzero(mask)
        inside = np.array(np.unravel_index(inside[:: max(1, len(inside) // POINTS)], mask.shape))
        self.image, self.step = Trilinear(image, OUTSIDE), step
        self.middle = (np.array(shape) - 1) / 2 - first
        self.points = np.concatenate([inside - self.middle[:, None], np.ones((1, len(inside[0])))])
        self.values = image[tuple(inside)]

    def mirroring(self, plane: Point) -> list[list[float]]:
        """The (3, 4) matrix that takes the points to their mirror images, as an index of the image."""
        normal, offset = normal_of(plane[1], plane[2]).tolist(), plane[0] / self.step
        return [
            [float(row == column) - 2 * normal[row] * normal[column] for column in range(3)]
            + [self.middle[row] + 2 * normal[row] * offset]
            for row in range(3)
        ]

    def across(self, planes: Sequence[Point], every: int = 1) -> np.ndarray:
        """The values, mirrored about each plane, of (every so many of) the points: (planes, n)."""
        mirroring = np.array([self.mirroring(plane) for plane in planes]).swapaxes(0, 1)
        index = mirroring.reshape(-1, 4) @ self.points[:, ::every]
        return self.image.read(index.reshape(3, -1)).reshape(len(planes), -1)

    def unlikeness(self, planes: Sequence[Point], every: int = 1) -> np.ndarray:
        apart = self.across(planes, every)
        apart -= self.values[::every]
        np.abs(apart, out=apart)
        np.minimum(apart, DOUBT, out=apart)
        return np.asarray(np.add.reduce(apart, axis=1) / apart.shape[1])

    def likeness(self, plane: Point) -> float:
        return float(np.corrcoef(self.across([plane])[0], self.values)[0, 1])

    def search(self) -> Point:
        middle = float((self.points[2] * self.step).mean())
        starts = [(middle + mm, float(r), float(y)) for mm in SEARCH_MM for r in SEARCH_DEG for y in SEARCH_DEG]
        rough = [self.unlikeness(starts[k : k + AT_ONCE], ROUGHLY) for k in range(0, len(starts), AT_ONCE)]
        start = starts[int(np.argmin(np.concatenate(rough)))]
        simplex = [start, *(tuple(x + 4.0 * (k == n) for k, x in enumerate(start)) for n in range(3))]
        return least_point(lambda plane: float(self.unlikeness([plane])[0]), simplex, near=0.05, alike=1e-5)
