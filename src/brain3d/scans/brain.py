"""Brain extraction, a step with interchangeable methods: which there are, which one is used, and what came of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from brain3d.scans.brain_surface import brain_mask
from brain3d.scans.brain_tools import TOOLS, check_installed, tool_mask
from brain3d.scans.foreground import Background
from brain3d.scans.resample import resample
from brain3d.scans.types import Flag, InputError

AUTO, NONE, BUILTIN = "auto", "none", "builtin"
METHODS = (AUTO, NONE, BUILTIN, *TOOLS)
PLAUSIBLE_ML = (700.0, 2500.0)  # a brain with its fluid
LEAST_ML, LEAST_SHARE = 100.0, 0.2  # less, or less of the head than this, was not found at all
SKULL_PRESENT = Flag("skull_present", "The skull seems to be in the image; the model expects it removed.")
SKULL_REMOVED = "The skull was in the image; what is not brain was removed by the method {}."
UNCERTAIN_USED = (
    "The brain that was found measures {:.0f} mL, which no whole brain does: brain extraction may be wrong."
)
UNCERTAIN_BARE = (
    "No skull was recognised; the method {} that was asked for may have taken parts of the brain for something else."
)
UNCERTAIN_LEFT = "No brain was found inside the head; brain extraction left the scan as it was."


class Extraction(NamedTuple):
    """What came of brain extraction: the brain (D, H, W) on the coarse grid, or None where the scan is left as it is;
    the step to record, and the flags."""

    mask: np.ndarray | None
    step: dict[str, Any]
    flags: tuple[Flag, ...]


def check_method(method: str) -> None:
    """InputError where there is no such method, or its tool is not installed."""
    if method not in METHODS:
        raise InputError(f"brain extraction {method or repr(method)}: no such method; give one of {', '.join(METHODS)}")
    if method in TOOLS:
        check_installed(method)


def extract_brain(
    asked: str,
    data: np.ndarray,
    geometry: np.ndarray,
    background: Background,
    coarse: np.ndarray,
    head: np.ndarray,
    step: float,
    skull: bool,
) -> Extraction:
    """The brain by the method `asked`; `skull` says whether a skull was recognised.

    `data` is the canonical (D, H, W) scan of `rounded_geometry`'s matrix, `coarse` the same on a grid of `step` mm, and
    `head` its foreground. Raises InputError as `check_method` and `tool_mask` do.
    """
    check_method(asked)
    method = (BUILTIN if skull else NONE) if asked == AUTO else asked
    left = (SKULL_PRESENT,) if skull else ()
    if method == NONE:
        return Extraction(None, _step(asked, NONE), left)
    if method == BUILTIN:
        mask = brain_mask(coarse, background, step)
    else:
        fine = tool_mask(method, data, geometry).astype(np.float32)
        mask = resample(fine, geometry, (np.array(data.shape) - 1) / 2, coarse.shape, step) >= 0.5
    millilitres = float(mask.sum()) * step**3 / 1000.0
    if millilitres < LEAST_ML or mask.sum() < LEAST_SHARE * head.sum():
        return Extraction(None, _step(asked, NONE), (*left, Flag("brain_extraction_uncertain", UNCERTAIN_LEFT)))
    bare = Flag("brain_extraction_uncertain", UNCERTAIN_BARE.format(method))
    flags = [Flag("skull_removed", SKULL_REMOVED.format(method)) if skull else bare]
    if not PLAUSIBLE_ML[0] <= millilitres <= PLAUSIBLE_ML[1]:
        flags.append(Flag("brain_extraction_uncertain", UNCERTAIN_USED.format(millilitres)))
    return Extraction(mask, _step(asked, method) | {"volume_ml": round(millilitres)}, tuple(flags))


def _step(asked: str, method: str) -> dict[str, Any]:
    return {"name": "brain_extraction", "asked": asked, "method": method}
