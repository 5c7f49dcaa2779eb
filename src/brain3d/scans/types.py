"""The plain data that the rest of the house passes around: scans, volumes, flags."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

UNKNOWN_AXES = "unknown"


class InputError(Exception):
    """The input's or the caller's fault. One line: what was given, what is wrong, what to do. Exit code 2."""


@dataclass(frozen=True)
class Flag:
    """Something a reader of the report must know: a stable `code` and one sentence."""

    code: str
    message: str


SIDE_UNKNOWN = Flag(
    "side_not_in_header",
    "The header does not say for sure how the scan lies: no side is given; front and back, top and bottom are "
    "assumed (from the stored order, or from one of two orientations that disagree), and regions may be wrong.",
)


ORIENTATION_DOUBTFUL = Flag(
    "orientation_doubtful",
    "The header's orientation is the identity matrix, which programs write that know of none: the side may be wrong, "
    "and so may be front and back, top and bottom. Where the axes are known, give them (--axes).",
)


DAMAGED_FILES = "damaged_files"


@dataclass(frozen=True)
class SeriesSummary:
    """One series of a DICOM study, in words that are this software's own and none of the study's.

    `number` counts from 1; `kind` is its protocol or what else it is, such as "T1", "localiser"; `images` its
    number of slices, or of files where these are no slices; `problem` why it cannot be read, or "".
    """

    number: int
    kind: str
    images: int
    problem: str = ""


@dataclass(frozen=True)
class SeriesChoice:
    """Which series of a study was read, in one sentence `why`, and all that there were, the chosen one too."""

    chosen: int
    why: str
    listed: tuple[SeriesSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """The choice as plain JSON values."""
        return {"chosen": self.chosen, "why": self.why, "listed": [asdict(summary) for summary in self.listed]}


@dataclass(frozen=True)
class Scan:
    """What was read from a file, in the file's own axis order.

    `data` is 3-D float32; `affine` (4, 4) takes voxel indices to millimetres towards right, anterior,
    superior; `axes` names the direction in which each index grows, e.g. "LPS", or is "unknown" where
    `side_known` is False; `sha256` is the hash of a NIfTI file's bytes, or of a DICOM series' voxels and
    geometry; `side_known` is False where the header does not say which side is left and the caller accepted
    that. `given` is the file's name as the caller gave it, for error messages alone: it never reaches a report.
    `series` says how the series was chosen, None for NIfTI.
    """

    data: np.ndarray
    affine: np.ndarray
    axes: str
    spacing_mm: tuple[float, float, float]
    sha256: str
    side_known: bool = True
    flags: tuple[Flag, ...] = ()
    given: str = field(default="", repr=False)
    series: SeriesChoice | None = None


@dataclass(frozen=True)
class Stored:
    """How a file or a DICOM series stores its scan, by its header; nothing of whom it shows.

    `format` is "NIfTI-1", "NIfTI-2" or "DICOM", `dtype` the type of the stored numbers, which times `slope` plus
    `intercept` are intensities (both None where the slices of a series differ in them); `unit` that of the header's
    lengths. `sha256`, `axes` and `side_known` are those of the `Scan` that is read from it. `forms` has the usable
    affines (4, 4), in millimetres, by "sform" and "qform", or by "dicom"; `unusable` what is wrong with the others.
    `flags` are those of its `Scan`, of a NIfTI file those that follow from its header alone. Of a series alone: its
    number of `slices`, its `transfer_syntax` in the standard's words, and `series`, how it was chosen. Where its files
    differ in `dtype`, `byte_order` or `transfer_syntax`, all are named, commas between.
    """

    sha256: str
    format: str
    compressed: bool
    dtype: str
    byte_order: str
    slope: float | None
    intercept: float | None
    unit: str
    axes: str
    side_known: bool
    forms: dict[str, np.ndarray]
    unusable: dict[str, str]
    slices: int | None = None
    transfer_syntax: str | None = None
    series: SeriesChoice | None = None
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class VolumeSpec:
    """The grid that a model reads: `shape` (D, H, W) at an isotropic `spacing_mm`."""

    shape: tuple[int, int, int] = (44, 48, 48)
    spacing_mm: float = 4.0


@dataclass(frozen=True)
class Volume:
    """What the model sees: `data` (1, D, H, W) float32 in [-1, 1], growing superior, anterior, right.

    `affine` takes a (d, h, w) index to the scan's world millimetres (right, anterior, superior); `steps`
    lists what was done, in order, each with its parameters. The column boundary W / 2 lies on the brain's
    midline.
    """

    data: np.ndarray
    affine: np.ndarray
    steps: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    flags: tuple[Flag, ...] = ()
    side_known: bool = True
