"""The mid-sagittal plane: where the two halves of the head meet, found from the image alone.

It is the plane about which the head is most like its own mirror image (Ardekani et al., IEEE TMI 16, 1997; Prima et
al., IEEE TMI 21, 2002): a search over one offset and two angles, robust against what is on one side only, above all a
lesion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

SEARCH_DEG = (-20.0, -10.0, 0.0, 10.0, 20.0)
SEARCH_MM = (-8.0, 0.0, 8.0)
POINTS = 3000
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
    box = _around(mask, 1 + int(np.ceil(TRUNCATE * SMOOTH_MM / step)))
    near, head = np.asarray(image[box], dtype=np.float32), mask[box]
    smooth, wide = np.full(mask.shape, OUTSIDE, dtype=np.float32), np.zeros(mask.shape, dtype=bool)
    smooth[box] = _standardised(ndimage.gaussian_filter(near, SMOOTH_MM / step, truncate=TRUNCATE), head)
    wide[box] = ndimage.binary_dilation(head)
    here, there = _Symmetry(smooth, wide, step), _Symmetry(smooth[..., ::-1], wide[..., ::-1], step)
    offset, roll, yaw = (round(float(value) / 2, 2) + 0.0 for value in here.search() - there.search())
    likeness = here.likeness(np.array([offset, roll, yaw])) + there.likeness(-np.array([offset, roll, yaw]))
    return MidPlane(offset, roll, yaw, round(likeness / 2, 3))


def _around(mask: np.ndarray, room: int) -> tuple[slice, ...]:
    """The box of a mask with so much room around it as the image has."""
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    return tuple(
        slice(max(0, side.start - room), min(n, side.stop + room)) for side, n in zip(box, mask.shape, strict=True)
    )


def _standardised(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = image[mask]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle))) or float(values.std()) or 1.0
    return np.where(mask, np.clip((image - middle) / spread, OUTSIDE, BRIGHTEST), OUTSIDE).astype(np.float32)


class _Symmetry:
    """How unlike itself a standardised image is when it is mirrored about a plane (offset mm, roll, yaw degrees).

    `mask` are the places that are compared.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, step: float) -> None:
        inside = np.argwhere(mask)
        inside = inside[:: max(1, len(inside) // POINTS)]
        self.image, self.step = np.ascontiguousarray(image), step
        self.middle = (np.array(image.shape)[:, None] - 1) / 2
        self.points = (inside.T - self.middle) * step
        self.values = image[tuple(inside.T)]

    def across(self, plane: np.ndarray, every: int = 1) -> np.ndarray:
        """The mirror images of (every so many of) the points, as an index (3, n) of the image."""
        normal, points = normal_of(plane[1], plane[2]), self.points[:, ::every]
        across = points - 2 * normal[:, None] * (normal @ points - plane[0])
        return np.asarray(across / self.step + self.middle)

    def read(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.map_coordinates(self.image, index, order=1, mode="constant", cval=OUTSIDE))

    def unlikeness(self, plane: np.ndarray) -> float:
        return float(np.minimum(np.abs(self.read(self.across(plane)) - self.values), DOUBT).mean())

    def roughly(self, planes: Sequence[np.ndarray]) -> np.ndarray:
        """The unlikeness of every plane, by some of the points; read all at once, which is faster than one by one."""
        index = np.concatenate([self.across(plane, ROUGHLY) for plane in planes], axis=1)
        values = self.read(index).reshape(len(planes), -1)
        return np.asarray(np.minimum(np.abs(values - self.values[::ROUGHLY]), DOUBT).mean(axis=1))

    def likeness(self, plane: np.ndarray) -> float:
        return float(np.corrcoef(self.read(self.across(plane)), self.values)[0, 1])

    def search(self) -> np.ndarray:
        middle = float(self.points[2].mean())
        starts = [np.array([middle + mm, r, y]) for mm in SEARCH_MM for r in SEARCH_DEG for y in SEARCH_DEG]
        start = starts[int(np.argmin(self.roughly(starts)))]
        found = optimize.minimize(
            self.unlikeness,
            start,
            method="Nelder-Mead",
            options={"initial_simplex": start + np.vstack([np.zeros(3), 4 * np.eye(3)]), "xatol": 0.05, "fatol": 1e-5},
        )
        return np.asarray(found.x)
