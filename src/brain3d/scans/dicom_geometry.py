"""Where the slices of a DICOM series lie: what speaks against their being one image, their order, their affine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from brain3d.scans.dicom_headers import Slice
from brain3d.scans.orientation import MOST_SHEAR_DEGREES, affine_from_axes, axis_codes, ras_from_lps
from brain3d.scans.source import MIN_VOXELS

SAME_PLACE_MM = 0.05
UNEVEN_MM, UNEVEN_SHARE = 0.1, 0.1
MOST_MISSING_SHARE = 10
MOST_SIDEWAYS_MM = 1.0
SAME_DIRECTION = 5e-3
UNIT = 1e-2
# What the steps of slice locations may be, of the distance that the headers state: less where these count along one
# axis of the scanner, as some do, and the slices are oblique.
STEP_OF_STATED = (0.7, 1.01)

_MIXED = "mixed orientations, as in a localiser or several stacks; give a series of parallel slices"


@dataclass(frozen=True)
class Stack:
    """Slices in the order of their places, and the (4, 4) affine that takes (column, row, slice) to RAS mm.

    `placed` is False where the slices do not say where they lie: the affine then has the spacing alone.
    """

    slices: tuple[Slice, ...]
    affine: np.ndarray
    placed: bool


def problem_of(slices: Sequence[Slice], without_place: bool) -> str:
    """Why some slices cannot be read as one image, in words without a name of any file; or "".

    `without_place` is whether the caller knows, or does without, what slices that do not say where they lie
    leave open.
    """
    if len({one.size for one in slices}) > 1:
        return f"mixed matrix sizes ({_sizes(slices)}); export the scan alone"
    if len(slices) == 1:
        return "a single slice; give the folder or the zip archive with the whole series"
    if min(slices[0].size) < 1:
        return "no matrix size in its headers; export it again"
    if not np.isfinite([(one.slope, one.intercept) for one in slices]).all():
        return "a rescale slope or intercept that is no number; export it again"
    if any(one.slope == 0 for one in slices):
        return "a rescale slope of 0, which leaves no intensities; export it again"
    if len({_rounded(one.pixel_mm) for one in slices}) > 1 or slices[0].pixel_mm is None:
        return "mixed or missing pixel sizes; export the scan again"
    if min(slices[0].pixel_mm) <= 0:
        return "pixel sizes of zero or less in its headers; export the scan again"
    placed = sum(_is_placed(one) for one in slices)
    if 0 < placed < len(slices):
        return f"{len(slices) - placed} of {len(slices)} slices do not say where they lie; export the scan again"
    problem = _problem_of_places(slices) if placed else _problem_without_place(slices, without_place)
    return problem or _problem_of_shape((slices[0].size[1], slices[0].size[0], len(slices)))


def _problem_of_shape(shape: tuple[int, int, int]) -> str:
    """Why an image of so many columns, rows and slices is too small for a scan of a head, in words; or ""."""
    if min(shape) >= MIN_VOXELS:
        return ""
    return f"too small ({' x '.join(map(str, shape))} voxels); a scan needs at least {MIN_VOXELS} along each axis"


def _sizes(slices: Sequence[Slice]) -> str:
    return ", ".join(f"{columns} x {rows}" for rows, columns in sorted({one.size for one in slices})[:4])


def _rounded(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(round(value, 4) for value in values)


def _is_placed(one: Slice) -> bool:
    """Whether a slice says where it lies."""
    return one.position is not None and _is_turned(one)


def _is_turned(one: Slice) -> bool:
    """Whether a slice says where its rows and columns run, at right angles."""
    if one.orientation is None:
        return False
    row, column = np.array(one.orientation[:3]), np.array(one.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    return bool(max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) < UNIT)


def _problem_without_place(slices: Sequence[Slice], without_place: bool) -> str:
    if len({plane_codes(one) for one in slices}) > 1:
        return _MIXED
    if not without_place:
        return (
            "its slices do not say where they lie; give the axes (--axes LPS) or accept a report without a side "
            "(--without-side)"
        )
    if len({one.order for one in slices}) < len(slices):
        return "its slices say neither where they lie nor in which order; export the scan again"
    locations = _locations(slices)
    if locations is not None:
        return _problem_of_gaps(locations)
    return "" if slices[0].between_mm else "its slices do not say how far they are apart; export the scan again"


def _locations(slices: Sequence[Slice]) -> np.ndarray | None:
    """The slice locations, sorted, in mm; None where they are not all different, as where they are not said."""
    along = np.sort([one.location_mm for one in slices])
    return along if len(along) > 1 and np.diff(along).min() > SAME_PLACE_MM else None


def _unplaced_step(slices: Sequence[Slice]) -> float:
    """The distance in mm of slices that do not say where they lie: as stated, or by their locations if these differ."""
    stated, locations = slices[0].between_mm, _locations(slices)
    if locations is None:
        return stated
    step = _step(locations)
    return stated if STEP_OF_STATED[0] * stated <= step <= STEP_OF_STATED[1] * stated else step


def _problem_of_places(slices: Sequence[Slice]) -> str:
    directions = np.array([one.orientation for one in slices])
    if np.abs(directions - directions[0]).max() > SAME_DIRECTION:
        return _MIXED
    along = np.sort(_along_normal(slices))
    fresh = np.concatenate([[True], np.diff(along) > SAME_PLACE_MM])
    if not fresh.all():
        return _problem_of_repeats(slices, np.bincount(np.cumsum(fresh) - 1))
    return _problem_of_gaps(along) or _problem_of_shear(slices)


def _along_normal(slices: Sequence[Slice]) -> np.ndarray:
    """How far each slice lies along the normal of the first, in mm."""
    return np.array([one.position for one in slices]) @ _normal(slices[0])


def _normal(one: Slice) -> np.ndarray:
    assert one.orientation is not None
    normal = np.cross(one.orientation[:3], one.orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal))


def _problem_of_repeats(slices: Sequence[Slice], counts: np.ndarray) -> str:
    differing = [name for name, values in _variants(slices).items() if len(values) > 1]
    if differing and counts.min() == counts.max():
        return (
            f"a 4-D series, {counts[0]} images at each of {len(counts)} places (several {differing[0]}), "
            "not one image; export one of them alone"
        )
    return (
        f"duplicate positions: {int((counts > 1).sum())} of {len(counts)} places hold more than one slice; "
        "remove the copies"
    )


def _variants(slices: Sequence[Slice]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in slices:
        for name, value in one.variant:
            found.setdefault(name, set()).add(value)
    return found


def _step(along: np.ndarray) -> float:
    """The usual distance of neighbours among sorted places: the lower median."""
    steps = np.sort(np.diff(along))
    return float(steps[(len(steps) - 1) // 2])


def _problem_of_gaps(along: np.ndarray) -> str:
    step = _step(along)
    gaps = [(low, high, round((high - low) / step) - 1) for low, high in pairwise(along - along[0])]
    wide = [(low, high, count) for low, high, count in gaps if (high - low) > 1.5 * step]
    missing = sum(count for _, _, count in wide)
    if 0 < missing <= MOST_MISSING_SHARE * len(along):
        places = ", ".join(f"{low:.1f} and {high:.1f} mm" for low, high, _ in wide[:4])
        more = f", and {len(wide) - 4} more gaps" if len(wide) > 4 else ""
        return (
            f"missing slices: {missing}, between {places} from the first slice{more} "
            f"(slices are {step:.2f} mm apart); export the whole series"
        )
    steps = np.diff(along)
    if np.abs(steps - step).max() > max(UNEVEN_MM, UNEVEN_SHARE * step):
        return f"uneven slices, {steps.min():.2f} to {steps.max():.2f} mm apart; export the scan with even ones"
    return ""


def _problem_of_shear(slices: Sequence[Slice]) -> str:
    along = _along_normal(slices)
    ordered = np.argsort(along)
    positions = np.array([slices[k].position for k in ordered])
    line = positions[-1] - positions[0]
    degrees = float(np.degrees(np.arccos(np.clip(line @ _normal(slices[0]) / np.linalg.norm(line), -1.0, 1.0))))
    if degrees > MOST_SHEAR_DEGREES:
        return f"slices sheared by {degrees:.0f} degrees (a tilted gantry); resample it to upright slices"
    shares = (along[ordered] - along[ordered[0]]) / (along[ordered[-1]] - along[ordered[0]])
    aside = np.linalg.norm(positions - positions[0] - shares[:, None] * line, axis=1).max()
    if aside > MOST_SIDEWAYS_MM:
        return f"slices shifted sideways against each other, by up to {aside:.1f} mm; export the scan again"
    return ""


def plane_codes(one: Slice) -> str:
    """The two letters of the directions in which the column and the row index grow, or "" where not said."""
    if not _is_turned(one):
        return ""
    assert one.orientation is not None
    affine = np.eye(4)
    affine[:3, :3] = np.stack([one.orientation[:3], one.orientation[3:], _normal(one)], axis=1)
    return axis_codes(ras_from_lps(affine))[:2]


def _assumed(one: Slice) -> str:
    """Axes for slices whose place nobody knows: RAS, but for what is said of their rows and columns."""
    codes = plane_codes(one) or "RA"
    return codes + next(pair[0] for pair in ("RL", "AP", "SI") if codes[0] not in pair and codes[1] not in pair)


def step_mm(slices: Sequence[Slice]) -> float:
    """The distance of neighbouring slices in mm, from their places where they have any; 0 if unknown."""
    if len(slices) < 2 or not all(map(_is_placed, slices)):
        return _unplaced_step(slices) if slices else 0.0
    return _step(np.sort(_along_normal(slices)))


def stack(slices: Sequence[Slice], axes: str | None) -> Stack:
    """Slices without a problem, in order, with their affine; from `axes` where they do not say where they lie."""
    first = slices[0]
    assert first.pixel_mm is not None
    rows_mm, columns_mm = first.pixel_mm
    if not _is_placed(first):
        ordered = sorted(slices, key=lambda one: one.order)
        affine = affine_from_axes(axes or _assumed(first), (columns_mm, rows_mm, _unplaced_step(slices)))
        return Stack(tuple(ordered), affine, placed=False)
    along = _along_normal(slices)
    ordered = [slices[k] for k in np.argsort(along)]
    start, end = np.array(ordered[0].position), np.array(ordered[-1].position)
    affine = np.eye(4)
    directions = np.array([one.orientation for one in ordered]).mean(axis=0)
    affine[:3, 0] = directions[:3] / np.linalg.norm(directions[:3]) * columns_mm
    affine[:3, 1] = directions[3:] / np.linalg.norm(directions[3:]) * rows_mm
    affine[:3, 2] = (end - start) / (len(ordered) - 1)
    affine[:3, 3] = start
    return Stack(tuple(ordered), ras_from_lps(affine), placed=True)
