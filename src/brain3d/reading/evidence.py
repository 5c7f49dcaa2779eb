"""Where the model suspects a lesion."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SMOOTHING_MM = 10.0
LEAST_EVIDENCE = 0.5


def suspected_point(evidence: np.ndarray, spacing_mm: float) -> tuple[float, float, float] | None:
    """The (d, h, w) where smoothed evidence (D, H, W) is highest; None where it is nowhere probable."""
    if float(evidence.max()) < LEAST_EVIDENCE:
        return None
    smooth = ndimage.gaussian_filter(evidence, SMOOTHING_MM / spacing_mm)
    d, h, w = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return float(d), float(h), float(w)
