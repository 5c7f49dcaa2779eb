"""Where in a head of usual size white matter, grey matter and fluid are likely: what `scans.contrast` is fitted with.

    python -m brain3d.phantom.priors src/brain3d/scans/tissue_priors.npz

writes the file that comes with the package, from the template that phantoms derive from.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import ndimage

from brain3d.phantom.anatomy import GRID_MM, load_anatomy
from brain3d.scans import brain_centre
from brain3d.scans.foreground import TOP_TO_CENTRE_MM

STEP_MM = 6.0
BLUR_MM = 6.0  # heads differ by about as much from each other, once their sizes are made equal
REACH_MM = ((-99.0, 0.0), (-90.0, 91.0), (-72.0, 73.0))
LEAST_TISSUE = 0.5
SLAB_BELOW_CENTRE_MM = 30.0


def tissue_priors() -> dict[str, np.ndarray]:
    """`places` (3, N) int16 mm from the top of the brain, the middle from front to back and the midline; `shares`
    (3, N) uint8, how likely white, grey and fluid are there, of 255; `spread_mm` (2,) the standard deviation of the
    brain's places (those above 30 mm below the volume's centre) from front to back and from left to right."""
    soft = load_anatomy().soft.numpy()
    brain = soft[3] < 0
    centre = np.array(brain_centre(brain, (GRID_MM,) * 3))
    inside = (np.argwhere(brain) - centre) * GRID_MM
    spread = inside[inside[:, 0] > -SLAB_BELOW_CENTRE_MM, 1:].std(axis=0)
    places = np.stack(np.meshgrid(*(np.arange(*reach, STEP_MM) for reach in REACH_MM), indexing="ij")).reshape(3, -1)
    index = (places + np.array([[TOP_TO_CENTRE_MM], [0.0], [0.0]])) / GRID_MM + centre[:, None]
    shares = [
        ndimage.map_coordinates(ndimage.gaussian_filter(one, BLUR_MM / GRID_MM), index, order=1) for one in soft[:3]
    ]
    kept = np.sum(shares, axis=0) > LEAST_TISSUE
    return {
        "places": places[:, kept].astype(np.int16),
        "shares": np.rint(255 * np.stack(shares)[:, kept]).astype(np.uint8),
        "spread_mm": spread.round(2),
    }


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **tissue_priors())  # type: ignore[arg-type]
