"""The orientations that a NIfTI header declares, in millimetres, whether they can be relied on, and which is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from brain3d.scans.orientation import (
    MOST_SHEAR_DEGREES,
    affine_from_axes,
    axis_codes,
    handedness,
    orthogonal_axes,
    shear_deg,
)
from brain3d.scans.source import Source, absurd_spacing

MOST_AWAY_MM = 1e6
MOST_TURNED_DEGREES = 5.0
ROUNDING_DEGREES = 0.01  # what float32 fields of a header leave uncertain, and more
_UNITS = {1: ("metres", 1e3), 3: ("microns", 1e-3)}  # by the spatial part of xyzt_units; all others are millimetres


def unit_of(header: Any) -> tuple[str, float]:
    """The unit in which a header gives lengths, and how many millimetres it has."""
    return _UNITS.get(int(header["xyzt_units"]) & 7, ("millimetres", 1.0))


def counted(header: Any) -> str:
    """Words for a message on lengths: in which unit a header counts them, "" for millimetres."""
    unit, mm = unit_of(header)
    return "" if mm == 1 else f" (its header counts in {unit})"


def header_forms(header: Any) -> tuple[list[np.ndarray], str]:
    """The affines (4, 4) that a header declares and that can be used, sform first, in millimetres.

    Beside them the first that cannot be used, in words such as "sform is singular", or "".
    """
    affines, problems = named_forms(header)
    return list(affines.values()), next((f"{name} {words}" for name, words in problems.items()), "")


def named_forms(header: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The usable affines of a header in millimetres, and what is wrong with the others; each by "sform" or "qform"."""
    affines, problems = {}, {}
    for name, read in (("sform", header.get_sform), ("qform", header.get_qform)):
        try:
            with np.errstate(all="ignore"):
                affine, code = read(coded=True)
        except (HeaderDataError, ValueError):
            problems[name] = "is damaged"
            continue
        if code <= 0:
            continue
        problem = _problem(affine)
        if problem:
            problems[name] = problem
            continue
        in_mm = np.diag([*[unit_of(header)[1]] * 3, 1.0]) @ np.asarray(affine, dtype=np.float64)
        if np.abs(in_mm[:3, 3]).max() > MOST_AWAY_MM:
            problems[name] = "lies more than a kilometre away"
        else:
            affines[name] = in_mm
    return affines, problems


def _problem(affine: np.ndarray) -> str:
    if not np.isfinite(affine).all():
        return "holds NaN or infinity"
    norms = np.sqrt((affine[:3, :3].astype(np.float64) ** 2).sum(axis=0))
    if not norms.all() or abs(np.linalg.det(affine[:3, :3] / norms)) < 0.1:
        return "is singular, two axes coincide"
    return ""


def problem_of_forms(affines: Sequence[np.ndarray]) -> str:
    """Why the usable affines (4, 4) of a header cannot be relied on, in words without an end; or ""."""
    if any(map(is_sheared, affines)):
        return f"the header's axes are sheared by {max(map(shear_deg, affines)):.1f} degrees"
    if len(affines) < 2:
        return ""
    disagree = (
        f"the header's two orientations disagree (sform {axis_codes(affines[0])}, qform {axis_codes(affines[1])})"
    )
    if handedness(affines[0]) != handedness(affines[1]):
        return f"{disagree} in handedness: one is the mirror image of the other"
    degrees = turned_by(*affines)
    return f"{disagree} by {degrees:.1f} degrees" if degrees > MOST_TURNED_DEGREES + ROUNDING_DEGREES else ""


def are_unset(affines: Sequence[np.ndarray]) -> bool:
    """Whether all that a header declares is the identity (4, 4): no scanner puts a scan there, programs without an
    orientation to write do."""
    return bool(affines) and all(np.array_equal(affine, np.eye(4)) for affine in affines)


def is_sheared(affine: np.ndarray) -> bool:
    """Whether the axes of a (4, 4) affine are too far from right angles to be those of an image."""
    return shear_deg(affine) > MOST_SHEAR_DEGREES + ROUNDING_DEGREES


def turned_by(first: np.ndarray, second: np.ndarray) -> float:
    """The angle in degrees of the rotation between the axes of two affines (4, 4), each made orthogonal first.

    180 where they differ in handedness. The axes are compared as directions in the patient: the order in which they
    are stored makes no difference.
    """
    if handedness(first) != handedness(second):
        return 180.0
    one, other = orthogonal_axes(first), orthogonal_axes(second)
    # By the half angle's sine, |R - 1| = sqrt(8) sin(angle / 2), which stays exact for small angles.
    sine = float(np.linalg.norm(one - other)) / 8**0.5
    return float(np.degrees(2 * np.arcsin(min(1.0, sine))))


def chosen_affine(source: Source, header: Any, stated: str | None, without_side: bool) -> tuple[np.ndarray, bool]:
    """The affine (4, 4) of a header in millimetres, and whether it says which side is left.

    `stated` (axes codes, or None) and `without_side` are `read_scan`'s, and answer for a header that does not say how
    the scan lies, or says what cannot be relied on. InputError where they do not.
    """
    affines, unusable = header_forms(header)
    problem = problem_of_forms(affines)
    if problem:
        return _despite(source, header, affines, problem, stated, without_side)
    if affines:
        codes = axis_codes(affines[0])
        if stated not in (None, codes):
            if are_unset(affines):
                return _upright(source, header, stated), True
            raise source.refuse(
                f"stored as {codes} by its header, but --axes says {stated}; leave --axes out, or correct the header"
            )
        return affines[0], True
    if stated is None and not without_side:
        what = f"the header's {unusable}" if unusable else "the header does not say which side is left"
        _zooms(source, header)
        raise source.refuse(f"{what}; give the axes (--axes LPS) or accept a report without a side (--without-side)")
    return affine_from_axes(stated or "RAS", _zooms(source, header)), stated is not None


def _zooms(source: Source, header: Any) -> list[float]:
    """The voxel size in mm by the header's own field, which no orientation enters."""
    zooms = [float(size) * unit_of(header)[1] for size in header["pixdim"][1:4]]
    if not all(0 < size < np.inf for size in zooms):
        raise source.refuse(absurd_spacing(zooms, counted(header)))
    return zooms


def _despite(
    source: Source, header: Any, affines: list[np.ndarray], problem: str, stated: str | None, without_side: bool
) -> tuple[np.ndarray, bool]:
    """The affine of a header that cannot be relied on, as the caller answers for it.

    Stated axes choose the orientation that lies so, the sform where both do; without a side it is the sform. Of a
    sheared one only the axes that lie nearest are taken, or those stated, at right angles and with the header's own
    voxel size.
    """
    straight = [affine for affine in affines if not is_sheared(affine)]
    if stated is None and without_side:
        return straight[0] if straight else _upright(source, header, axis_codes(affines[0])), False
    matching = [affine for affine in straight if axis_codes(affine) == stated]
    if matching:
        return matching[0], True
    if stated is not None and len(straight) < len(affines):
        return _upright(source, header, stated), True
    but = f", and --axes says {stated}, which is neither" if stated else ""
    raise source.refuse(
        f"{problem}{but}; say which is right with --axes, or accept a report without a side (--without-side)"
    )


def _upright(source: Source, header: Any, axes: str) -> np.ndarray:
    return affine_from_axes(axes, _zooms(source, header))
