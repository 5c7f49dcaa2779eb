"""What generated reports say of phantoms whose truth is known: the figures that text stages are validated by."""

from __future__ import annotations

from typing import Any

import numpy as np

from brain3d.phantom.truth import Truth
from brain3d.reports import parse_findings
from brain3d.training.cells import is_clear


def said_scores(texts: list[str], truths: list[Truth], flip: np.ndarray) -> dict[str, float]:
    """Scores of `texts` against `truths`, mirrored where `flip`: clear lesions (1 mL, contrast-to-noise 1.5), healthy.

    A text without a lesion has no side and no region; the side is that of its first lesion.
    """
    said = [parse_findings(text) for text in texts]
    turned = [t.mirrored() if f else t for t, f in zip(truths, flip, strict=True)]
    pairs = list(zip(said, turned, strict=True))
    ill = [(s, t) for s, t in pairs if is_clear(t)]
    named = [(set(s.lesions[0].regions) if s.lesions else set(), set(t.regions)) for s, t in ill]
    overlap = sum(len(a & b) for a, b in named)
    scores: dict[str, Any] = {
        "sensitivity": np.mean([bool(s.lesions) for s, _ in ill]),
        "specificity": np.mean([s.normal for s, t in pairs if t.normal]),
        "side": np.mean([bool(s.lesions) and s.lesions[0].side == t.side for s, t in ill]),
        "regions_f1": 2 * overlap / max(1, sum(len(a) + len(b) for a, b in named)),
    }
    for sign in ("signal", "edema", "necrosis", "ventricular_compression"):
        hits = [bool(s.lesions) and getattr(s.lesions[0], sign) == getattr(t, sign) for s, t in ill]
        scores[sign] = np.mean(hits)
    return {name: float(value) for name, value in scores.items()}
