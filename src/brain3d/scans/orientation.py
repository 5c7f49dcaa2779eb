"""The one module that owns orientation: axis codes, the canonical order, sides and mirroring."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Literal

import numpy as np

from brain3d.scans.types import InputError, Scan, Volume

Side = Literal["left", "right", "bilateral", "midline", "unknown"]

LEFT_SHARE = 0.70
RIGHT_SHARE = 0.30
MIDLINE_SHARE = 0.35
MIDLINE_MM = 5.0
MOST_SHEAR_DEGREES = 5.0  # axes further from right angles are no axes of an image

_DIRECTIONS: dict[str, tuple[int, int]] = {
    "L": (0, -1),
    "R": (0, 1),
    "P": (1, -1),
    "A": (1, 1),
    "I": (2, -1),
    "S": (2, 1),
}
_LETTERS = {direction: letter for letter, direction in _DIRECTIONS.items()}
_CANONICAL_WORLD_AXES = (2, 1, 0)


def side_of(left_share: float, centroid_offset_mm: float) -> Side:
    """The patient's side of something, by the house's one rule.

    `left_share` in [0, 1] is the share of its volume left of the brain's midline; `centroid_offset_mm` is its
    centroid's distance from the midline (the sign is ignored). NaN in either gives "unknown".
    """
    if np.isnan(left_share) or np.isnan(centroid_offset_mm):
        return "unknown"
    # Rounded, so that a share and its mirror image, 1 - share, meet the same thresholds.
    left, right = round(left_share, 9), round(1.0 - left_share, 9)
    if left >= LEFT_SHARE:
        return "left"
    if left <= RIGHT_SHARE:
        return "right"
    halves_hold = min(left, right) >= MIDLINE_SHARE
    return "midline" if halves_hold and abs(centroid_offset_mm) <= MIDLINE_MM else "bilateral"


def check_axes(axes: str) -> str:
    """The axes string in capitals, e.g. "LPS"; InputError unless it names each of R/L, A/P, S/I once."""
    letters = axes.strip().upper()
    known = [_DIRECTIONS[letter][0] for letter in letters if letter in _DIRECTIONS]
    if len(letters) != 3 or sorted(known) != [0, 1, 2]:
        raise InputError(
            f"axes {axes!r}: need three letters, one each of L/R, P/A and I/S, saying where each index "
            "grows; give for example LPS or RAS"
        )
    return letters


def affine_from_axes(axes: str, spacing_mm: Sequence[float]) -> np.ndarray:
    """A (4, 4) affine, index to millimetres right, anterior, superior, with voxel (0, 0, 0) at the origin."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for column, (letter, step) in enumerate(zip(check_axes(axes), spacing_mm, strict=True)):
        row, sign = _DIRECTIONS[letter]
        affine[row, column] = sign * step
    return affine


def ras_from_lps(affine: np.ndarray) -> np.ndarray:
    """A (4, 4) affine to millimetres left, posterior, superior, DICOM's world, turned to right, anterior."""
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, dtype=np.float64) + 0.0)


def direction_cosines(affine: np.ndarray) -> np.ndarray:
    """The (3, 3) matrix whose columns are the unit world directions of the three indices."""
    linear = np.asarray(affine, dtype=np.float64)[:3, :3]
    # Written out, so that the bits do not depend on the order in which the columns are stored.
    norms = np.sqrt(linear[0] ** 2 + linear[1] ** 2 + linear[2] ** 2)
    return np.asarray(linear / norms)


def handedness(affine: np.ndarray) -> int:
    """1 where the three indices of a (4, 4) affine are right-handed, -1 where they are left-handed."""
    return 1 if float(np.linalg.det(direction_cosines(affine))) > 0 else -1


def orthogonal_axes(affine: np.ndarray) -> np.ndarray:
    """The (3, 3) matrix of orthogonal unit columns that is nearest to the directions of the three indices.

    It is their polar factor, so the columns of an affine in another stored order come out in that order.
    """
    left, _, right = np.linalg.svd(direction_cosines(affine))
    return np.asarray(left @ right)


def shear_deg(affine: np.ndarray) -> float:
    """How far the angle between two axes of a (4, 4) affine is from 90 degrees, at most."""
    cosines = direction_cosines(affine)
    between = [float(cosines[:, i] @ cosines[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    return float(np.degrees(np.arcsin(np.clip(np.abs(between).max(), 0.0, 1.0))))


def _canonical_order(affine: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which stored axis, and with which sign, becomes (superior, anterior, right).

    All 48 candidates are ranked by a key made of the reordered direction cosines alone, so the answer picks
    the same physical axes whatever the stored order is, also at 45 degrees where the best fit is a tie.
    """
    cosines = direction_cosines(affine).T.tolist()
    candidates = [
        (
            [[sign * cosine for cosine in cosines[stored]] for stored, sign in zip(order, signs, strict=True)],
            order,
            signs,
        )
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]

    def key(candidate: tuple[list[list[float]], tuple[int, ...], tuple[int, ...]]) -> list[float]:
        columns = candidate[0]
        along = [column[row] for column, row in zip(columns, _CANONICAL_WORLD_AXES, strict=True)]
        return [sum(along), *along, *columns[0], *columns[1], *columns[2]]

    _, order, signs = max(candidates, key=key)
    return order, signs


def axis_codes(affine: np.ndarray) -> str:
    """The world direction nearest to the one in which each index grows, e.g. "LPS"."""
    order, signs = _canonical_order(affine)
    codes = [""] * 3
    for stored, sign, world in zip(order, signs, _CANONICAL_WORLD_AXES, strict=True):
        codes[stored] = _LETTERS[(world, sign)]
    return "".join(codes)


def to_canonical(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A 3-D array reordered to (D, H, W) growing superior, anterior, right, and its own affine.

    The array is C-contiguous and bit-identical for the 48 stored orders of the same image; the affine (4, 4)
    takes (d, h, w) to the same world millimetres as before. No resampling: an oblique scan stays oblique.
    """
    view, result = canonical_view(data, affine)
    return np.ascontiguousarray(view), result


def canonical_view(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `to_canonical`, without copying: the array is a view of `data`."""
    order, signs = _canonical_order(affine)
    source = np.asarray(affine, dtype=np.float64)
    result = np.eye(4)
    result[:3, 3] = source[:3, 3]
    for column, (stored, sign) in enumerate(zip(order, signs, strict=True)):
        result[:3, column] = sign * source[:3, stored]
        if sign < 0:
            result[:3, 3] += source[:3, stored] * (data.shape[stored] - 1)
    steps = tuple(slice(None, None, sign) for sign in signs)
    return np.transpose(data, order)[steps], result + 0.0


def mirror(volume: Volume) -> Volume:
    """The volume with left and right exchanged: W reversed, about the column boundary W / 2.

    The grid stays where it was and the picture in it is mirrored, so index w still grows towards the right of
    the (mirrored) patient, and the affine, which places the grid, is unchanged. Twice gives the same bits.
    """
    data = np.ascontiguousarray(volume.data[..., ::-1])
    return replace(volume, data=data, steps=(*volume.steps, {"name": "mirror", "axis": "right"}))


def mirrored_scan(scan: Scan) -> Scan:
    """The scan of the mirrored patient: its data reversed along the file's own left-right axis.

    That axis is read from the affine, which stays as it is, so an oblique head comes out turned the other way.
    `sha256` is the hash of the mirrored data.
    """
    order, _ = _canonical_order(scan.affine)
    data = np.ascontiguousarray(np.flip(scan.data, order[_CANONICAL_WORLD_AXES.index(0)]))
    return replace(scan, data=data, sha256=hashlib.sha256(data.tobytes()).hexdigest())
