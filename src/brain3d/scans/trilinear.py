"""An image read between its voxels at many places, many times over, with NumPy alone."""

from __future__ import annotations

import numpy as np


class Trilinear:
    """A (D, H, W) float32 image, to be read trilinearly; `outside` is the value beyond the centres of its outer voxels.

    Reads what `scipy.ndimage.map_coordinates` of order 1 does with the mode "constant", in less than half of its time.
    Each voxel is stored with what is added on the way to the next one along W; the image lies in a shell of `outside`.
    """

    def __init__(self, image: np.ndarray, outside: float) -> None:
        filled = np.full([n + 2 for n in image.shape], outside, dtype=np.float64)
        filled[1:-1, 1:-1, 1:-1] = image
        flat = filled.ravel()
        pairs = np.zeros(flat.size, dtype=np.complex128)
        pairs.real = flat
        np.subtract(flat[1:], flat[:-1], out=pairs.imag[:-1])
        row, down = filled.shape[2], filled.shape[1] * filled.shape[2]
        self.corners = [pairs[offset:] for offset in (0, row, down, down + row)]
        self.strides = np.array([down, row, 1.0])
        self.last = np.array(image.shape, dtype=np.float64)[:, None] - 1
        faces = (image[0], image[-1], image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1])
        self.found = np.empty((4, 0), dtype=np.complex128)
        self.outside, self.shelled = np.float32(outside), all((face == outside).all() for face in faces)

    def read(self, index: np.ndarray) -> np.ndarray:
        """The values (N,) float32 at a fractional (d, h, w) index (3, N), which is overwritten."""
        beyond = None if self.shelled else ((index < 0) | (index > self.last)).any(axis=0)
        np.maximum(index, -1.0, out=index)
        np.minimum(index, self.last + 1, out=index)
        corner = np.floor(index)
        index -= corner
        places = (self.strides @ corner + self.strides.sum()).astype(np.intp)
        if self.found.shape[1] != places.size:
            self.found = np.empty((4, places.size), dtype=np.complex128)  # kept: memory anew for each reading is slow
        for corners, values in zip(self.corners, self.found, strict=True):
            corners.take(places, out=values, mode="clip")
        along = self.found.imag * index[2]
        along += self.found.real
        level = _between(along[:2], along[2:], index[0])
        values = _between(level[0], level[1], index[1]).astype(np.float32)
        if beyond is not None:
            values[beyond] = self.outside
        return values


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Linear interpolation, written over `second`."""
    second -= first
    second *= share
    second += first
    return second
