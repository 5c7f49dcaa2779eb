"""What is true of each study, and the groups of studies that are scored together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from brain3d.cohort import Study
from brain3d.evaluation.grounded import Grounding
from brain3d.evaluation.score import OWED_SHARE, Reference, accepted_sides
from brain3d.phantom.truth import Truth
from brain3d.reports import parse_findings
from brain3d.reports.findings import REGIONS, Findings, Lesion, overall_side
from brain3d.scans import InputError

TARGET_ML = 1.0
TARGET_CONTRAST = 1.5
CONTRAST_DEFINITION = (
    "|mean of a part of the lesion - mean of the healthy tissue within 10 mm of it| / standard deviation of all "
    "healthy brain tissue"
)
CONTRAST_EDGES = (0.0, 0.5, 1.0, 1.5, 2.5, 4.0, np.inf)
VOLUME_EDGES_ML = (0.0, 1.0, 5.0, 20.0, 60.0, np.inf)


@dataclass(frozen=True)
class Source:
    """What a study brings along to be judged by: at least one of truth, report and mask is there.

    `grounding` is the mask's measurement, None where there is no mask, or where the case failed before it.
    """

    truth: Truth | None
    report: str | None
    grounding: Grounding | None = None
    masked: bool = False


def load_truth(path: Path) -> Truth:
    """Read a phantom's truth; InputError where the file does not hold one."""
    try:
        return Truth.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a phantom's truth ({error})") from error


def load_source(study: Study) -> Source:
    """The study's truth and report. The mask is measured later, beside the scan.

    InputError for a study with nothing to score against, and for a truth or report that cannot be read.
    """
    if study.truth is None and study.report is None and study.mask is None:
        raise InputError(f"study {study.id} has neither a truth, a report nor a mask to score against")
    truth = None if study.truth is None else load_truth(study.truth)
    try:
        report = None if study.report is None else study.report.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"the report of study {study.id} is not UTF-8 text; convert it") from error
    except OSError as error:
        raise InputError(f"the report of study {study.id} cannot be read ({error.strerror}); check the file") from error
    return Source(truth, report, masked=study.mask is not None)


def reference_of(source: Source) -> Reference:
    """The reference for scoring: a phantom's truth, else the mask for the side, the report for the rest."""
    if source.truth is not None:
        return Reference(source.truth.findings(), accepted_sides(source.truth))
    written = None if source.report is None else parse_findings(source.report)
    if source.grounding is not None:
        return _grounded(source.grounding, written)
    if source.masked or written is None:
        return _unplaced(written)
    side = overall_side(written)
    return Reference(written, frozenset() if side == "unknown" else frozenset({side}))


def _unplaced(written: Findings | None) -> Reference:
    """The reference of a failed case whose mask, not known to be empty, was never laid on its scan."""
    if written is None or not written.lesions:
        written = Findings(normal=False, lesions=(Lesion(),))
    return Reference(written, unplaced=True)


def _grounded(grounding: Grounding, written: Findings | None) -> Reference:
    if grounding.volume_ml == 0:
        return Reference(Findings(normal=True))
    sides = frozenset({grounding.side})
    if written is None or not written.lesions:
        owed = tuple(name for name in REGIONS if grounding.shares[name] >= OWED_SHARE)
        written = Findings(normal=False, lesions=(Lesion(side=grounding.side, regions=owed),))
    return Reference(written, sides, grounding.shares)


def in_target(truth: Truth | None) -> bool:
    """Healthy phantoms, and lesions large and conspicuous enough that they ought to be read right."""
    if truth is None:
        return False
    conspicuous = truth.contrast_to_noise is not None and truth.contrast_to_noise >= TARGET_CONTRAST
    return truth.normal or (conspicuous and truth.volume_ml >= TARGET_ML)


def groups(sources: Sequence[Source]) -> dict[str, np.ndarray]:
    """Named groups of cases, as indices, without the empty ones."""
    truths = [source.truth for source in sources]
    everything = np.arange(len(sources))
    target = np.array([in_target(truth) for truth in truths], dtype=bool)
    skull = np.array([truth is not None and truth.skull for truth in truths], dtype=bool)
    named = {
        f"target phantoms (healthy, or >= {TARGET_ML:g} mL, contrast >= {TARGET_CONTRAST:g})": target,
        "target phantoms without skull": target & ~skull,
        "phantoms with skull": skull,
    }
    chosen = {name: everything[mask] for name, mask in named.items() if mask.any()}
    return {"all cases": everything, **chosen}


def _label(low: float, high: float, unit: str) -> str:
    return f">= {low:g}{unit}" if np.isinf(high) else f"{low:g}-{high:g}{unit}"


def curve_bins(sources: Sequence[Source]) -> list[tuple[str, np.ndarray]]:
    """Phantoms with a lesion, by contrast-to-noise and by volume: (label, indices), empty bins left out."""
    ill = [
        (index, source.truth.contrast_to_noise or 0.0, source.truth.volume_ml)
        for index, source in enumerate(sources)
        if source.truth is not None and not source.truth.normal
    ]
    if not ill:
        return []
    indices, contrast, volume = (np.array(column) for column in zip(*ill, strict=True))
    bins = []
    for c_low, c_high in pairwise(CONTRAST_EDGES):
        for v_low, v_high in pairwise(VOLUME_EDGES_ML):
            inside = (contrast >= c_low) & (contrast < c_high) & (volume >= v_low) & (volume < v_high)
            if inside.any():
                label = f"contrast {_label(c_low, c_high, '')}, {_label(v_low, v_high, ' mL')}"
                bins.append((label, indices[inside]))
    return bins
