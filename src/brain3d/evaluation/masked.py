"""Scores against a lesion mask, without a reference text: side, lobes, edema, necrosis.

The mask is measured in its scan's own brain frame by `grounded`. Labels are those of BraTS: 1 necrosis, 2 edema,
3 or 4 enhancing; a mask of one label says nothing of edema and necrosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brain3d.evaluation.measures import MISSING, Answers, Cases, Family, Measure, mean_rows, ratio
from brain3d.evaluation.score import LOBES, OWED_SHARE, SUPPORTED_SHARE, overall_attribute
from brain3d.evaluation.stated import Stated
from brain3d.reports.findings import REGIONS, SIDES

NECROSIS, EDEMA = 1, 2
LABEL_SHARE = 0.02  # a part of this share of the mask is there
LOBE_COLUMNS = [REGIONS.index(name) for name in LOBES]


class MaskTruth(NamedTuple):
    """What one mask says. `lobes` are shares of its volume, `edema` and `necrosis` None where labels do not tell.

    `point` is the mask's centre as (d, h, w) of the prepared volume, None for an empty mask.
    """

    empty: bool
    side: str
    lobes: tuple[float, ...]
    edema: bool | None
    necrosis: bool | None
    point: tuple[float, float, float] | None


def measure_mask(image: Path, mask: Path) -> MaskTruth:
    """Lay a mask on its scan. InputError where either cannot be read, or the mask has another grid."""
    import nibabel as nib

    from brain3d.evaluation.grounded import ground, mask_points, read_mask
    from brain3d.scans import prepare, read_scan

    scan = read_scan(image)
    inside = read_mask(mask, scan)
    if not inside.any():
        return MaskTruth(True, "unknown", (0.0,) * len(LOBES), False, False, None)
    volume = prepare(scan)
    grounding = ground(scan, inside, volume)
    labels = np.rint(np.asarray(nib.load(mask).dataobj)).reshape(inside.shape)[inside].astype(int)
    several = len(np.unique(labels)) > 1
    shares = {label: float((labels == label).mean()) for label in (NECROSIS, EDEMA)}
    points = mask_points(inside, scan, volume)
    centre = points[int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    return MaskTruth(
        False,
        grounding.side,
        tuple(grounding.shares[name] for name in LOBES),
        shares[EDEMA] >= LABEL_SHARE if several or EDEMA in labels else None,
        shares[NECROSIS] >= LABEL_SHARE if several else None,
        (float(centre[0]), float(centre[1]), float(centre[2])),
    )


def _says(values: Sequence[str]) -> np.ndarray:
    """1 where a sign is stated, 0 where it is denied or not mentioned."""
    return np.array([value not in ("none", "unknown") for value in values], bool)


def mask_family(stated: Stated, masks: Sequence[MaskTruth]) -> Family:
    """Side true, lobes named that hold 5 % of the mask, lobes with 20 % of it named, edema and necrosis there."""
    sides = np.array([SIDES.index(mask.side) for mask in masks], int)
    shares = np.array([mask.lobes for mask in masks], float).reshape(len(masks), len(LOBES))
    ill = np.array([not mask.empty for mask in masks], bool)
    parts = {
        name: np.array([MISSING if value is None else int(value) for value in values], int)
        for name, values in (("edema", [m.edema for m in masks]), ("necrosis", [m.necrosis for m in masks]))
    }
    says = {name: _says([overall_attribute(found, name) for found in stated.findings]) for name in parts}

    def rows(cases: Cases, answers: Answers) -> list[np.ndarray]:
        at, said = np.maximum(cases.masks, 0), np.maximum(answers.text, 0)
        there = answers.text >= 0
        asked = (cases.masks >= 0) & ill[at]
        side = there & (stated.side[said] == sides[at])
        named = stated.regions[said][:, LOBE_COLUMNS] & there[:, None]
        held, owed = named & (shares[at] >= SUPPORTED_SHARE), shares[at] >= OWED_SHARE
        counted = np.where(there, named.sum(axis=1), 1)
        found = [
            mean_rows(side.astype(float), asked),
            np.stack([held.sum(axis=1), counted], axis=-1) * asked[:, None],
            np.stack([(named & owed).sum(axis=1), owed.sum(axis=1)], axis=-1) * asked[:, None],
        ]
        for name, truth in parts.items():
            right = there & (says[name][said] == (truth[at] == 1))
            found.append(mean_rows(right.astype(float), asked & (truth[at] != MISSING)))
        return found

    return Family(
        (
            Measure("grounded/side", "side true of the mask", ratio),
            Measure("grounded/lobes_supported", "named lobes that hold 5 % of the mask", ratio),
            Measure("grounded/lobes_owed", "lobes with 20 % of the mask, named", ratio),
            Measure("grounded/edema", "edema as in the mask", ratio),
            Measure("grounded/necrosis", "necrosis as in the mask", ratio),
        ),
        rows,
    )
