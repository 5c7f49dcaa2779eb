"""Reading scans, owning their orientation, and making the volume that the model sees."""

from brain3d.scans.nifti import write_scan
from brain3d.scans.orientation import (
    Side,
    affine_from_axes,
    axis_codes,
    check_axes,
    mirror,
    mirrored_scan,
    side_of,
    to_canonical,
)
from brain3d.scans.preprocess import brain_centre, foreground_mask, normalise, prepare
from brain3d.scans.preview import render_planes
from brain3d.scans.read import find_scan, is_part, read_scan
from brain3d.scans.types import Flag, InputError, Scan, SeriesChoice, SeriesSummary, Volume, VolumeSpec

__all__ = [
    "Flag",
    "InputError",
    "Scan",
    "SeriesChoice",
    "SeriesSummary",
    "Side",
    "Volume",
    "VolumeSpec",
    "affine_from_axes",
    "axis_codes",
    "brain_centre",
    "check_axes",
    "find_scan",
    "foreground_mask",
    "is_part",
    "mirror",
    "mirrored_scan",
    "normalise",
    "prepare",
    "read_scan",
    "render_planes",
    "side_of",
    "to_canonical",
    "write_scan",
]
