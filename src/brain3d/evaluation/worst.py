"""The cases whose findings agree least, and a picture of each where there is an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from brain3d.evaluation.pairs import Pair
from brain3d.evaluation.scoring import Scores
from brain3d.scans.types import InputError

MOST = 12
# The metrics whose rows make a case's own score: numerator over denominator, averaged over those that have a say.
JUDGES = (
    "findings/side",
    "findings/lesion_tuples_f1",
    "findings/regions_f1_mean",
    "findings/edema",
    "findings/necrosis",
    "findings/ventricular_compression",
    "findings/sensitivity",
    "findings/specificity",
)


def case_scores(scores: Scores) -> np.ndarray:
    """The mean of each case's own findings metrics: (N,), NaN where none has a say."""
    tables = [item.rows["model"] for item in scores.metrics if item.measure.name in JUDGES]
    count = len(scores.setting.cases.reference)
    total, says = np.zeros(count), np.zeros(count)
    for rows in tables:
        there = rows[:, 1] > 0
        total[there] += rows[there, 0] / rows[there, 1]
        says += there
    return np.divide(total, says, out=np.full(count, np.nan), where=says > 0)


def worst_cases(scores: Scores, most: int = MOST) -> list[int]:
    """The indices of the cases that score least, the worst first; those that are all right are left out."""
    values = case_scores(scores)
    order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
    return [int(index) for index in order[:most] if values[index] < 1]


def picture(pair: Pair, point: Sequence[float] | None) -> tuple[str, str]:
    """Three planes of a pair's image through `point` as a data URI, and "" or why there is none."""
    if pair.image is None:
        return "", "no image is given"
    from brain3d.scans import prepare, read_scan, render_planes

    try:
        volume = prepare(read_scan(pair.image))
    except (InputError, OSError) as error:
        reason = " ".join(str(error).split())
        return "", reason.replace(str(pair.image), "the image").replace(pair.image.name, "the image")
    out = io.BytesIO()
    render_planes(volume, point, "As a model sees it").save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii"), ""
