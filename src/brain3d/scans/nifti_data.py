"""The voxels of a NIfTI file: read piece by piece, no more of them than the header says, and checked to their end."""

from __future__ import annotations

from typing import IO, Any, NamedTuple

import numpy as np

from brain3d.scans.compressed import opened
from brain3d.scans.source import Source

TRAILING_BYTES = 2**20
_PIECE_VOXELS = 2**21


class Layout(NamedTuple):
    """Where the voxels of a file begin, in bytes, and what they are: intensities are stored * slope + intercept."""

    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    slope: float
    intercept: float


def read_voxels(source: Source, raw: IO[bytes], layout: Layout) -> np.ndarray:
    """The scaled voxels (float32) in the stored axis order.

    A compressed stream is read to its end, where its checksum is. InputError where there are fewer voxels, or more
    than `TRAILING_BYTES` behind them; and what `refusing` turns into one.
    """
    content = opened(raw)
    content.read(layout.offset)
    count = layout.shape[0] * layout.shape[1] * layout.shape[2]
    data = np.empty(count, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, count, _PIECE_VOXELS):
            piece = data[start : start + _PIECE_VOXELS]
            block = content.read(piece.size * layout.dtype.itemsize)
            if len(block) < piece.size * layout.dtype.itemsize:
                raise source.refuse("cut short: the data ends before its last voxel; copy or export it again")
            piece[:] = np.frombuffer(block, dtype=layout.dtype)
            if (layout.slope, layout.intercept) != (1.0, 0.0):
                piece *= np.float32(layout.slope)
                piece += np.float32(layout.intercept)
    if len(content.read(TRAILING_BYTES + 1)) > TRAILING_BYTES:
        words = " x ".join(map(str, layout.shape))
        raise source.refuse(f"it holds far more than its {words} voxels need; copy or export it again")
    return data.reshape(layout.shape, order="F")
