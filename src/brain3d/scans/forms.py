"""The orientations that a NIfTI header declares: reading them, in millimetres, and whether two of them agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from brain3d.scans.orientation import direction_cosines

LEAST_COSINE = 0.5
MOST_AWAY_MM = 1e6
_UNITS = {1: ("metres", 1e3), 3: ("microns", 1e-3)}  # by the spatial part of xyzt_units; all others are millimetres


def unit_of(header: Any) -> tuple[str, float]:
    """The unit in which a header gives lengths, and how many millimetres it has."""
    return _UNITS.get(int(header["xyzt_units"]) & 7, ("millimetres", 1.0))


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


def forms_differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two affines are of different handedness, or any stored axis turns by more than 60 degrees."""
    one, other = direction_cosines(first), direction_cosines(second)
    handed = float(np.linalg.det(one) * np.linalg.det(other))
    return handed < 0 or float((one * other).sum(axis=0).min()) < LEAST_COSINE


def turned_by(first: np.ndarray, second: np.ndarray) -> float:
    """The most that any stored axis turns from one affine to the other, in degrees."""
    least = float((direction_cosines(first) * direction_cosines(second)).sum(axis=0).min())
    return float(np.degrees(np.arccos(np.clip(least, -1.0, 1.0))))
