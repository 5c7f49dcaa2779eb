"""Reading scans, owning their orientation, and making the volume that the model sees."""

from brain3d.scans.brain import METHODS, check_method
from brain3d.scans.inspection import Inspection, inspect_scan
from brain3d.scans.midplane import MidPlane, mid_plane, upright_rotation
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
from brain3d.scans.preprocess import brain_centre, foreground_mask, level, levelled, normalise, prepare
from brain3d.scans.preview import render_planes
from brain3d.scans.published import PUBLISHED_SHAPE, published_volume
from brain3d.scans.read import find_scan, is_part, read_scan, read_stored, read_with_stored
from brain3d.scans.types import Flag, InputError, Scan, SeriesChoice, SeriesSummary, Stored, Volume, VolumeSpec
from brain3d.scans.undoing import map_to_scan, to_scan, to_volume

__all__ = [
    "METHODS",
    "PUBLISHED_SHAPE",
    "Flag",
    "InputError",
    "Inspection",
    "MidPlane",
    "Scan",
    "SeriesChoice",
    "SeriesSummary",
    "Side",
    "Stored",
    "Volume",
    "VolumeSpec",
    "affine_from_axes",
    "axis_codes",
    "brain_centre",
    "check_axes",
    "check_method",
    "find_scan",
    "foreground_mask",
    "inspect_scan",
    "is_part",
    "level",
    "levelled",
    "map_to_scan",
    "mid_plane",
    "mirror",
    "mirrored_scan",
    "normalise",
    "prepare",
    "published_volume",
    "read_scan",
    "read_stored",
    "read_with_stored",
    "render_planes",
    "side_of",
    "to_canonical",
    "to_scan",
    "to_volume",
    "upright_rotation",
    "write_scan",
]
