"""`brain3d inspect`: what a scan is, and what will be done to it, without a model."""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from brain3d.cli.common import (
    RAW,
    OutputFile,
    Subparsers,
    add_brain_extraction,
    only_results_on_stdout,
    refuse_overwriting,
    write_together,
)

if TYPE_CHECKING:
    from brain3d.scans import SeriesChoice, SeriesSummary
    from brain3d.scans.inspection import File, Inspection, Intensity, Lying, Tissues

EPILOG = """examples:
  brain3d inspect scan.nii.gz
  brain3d inspect scan.nii.gz --preview look.png
  brain3d inspect scan.nii.gz --json
  brain3d inspect study/                     a DICOM study: its FLAIR series (or a .zip of one)
  brain3d inspect study.zip --series 3       another series of it
  brain3d inspect old.nii --axes LPS         the header does not say which side is left, but you know
  brain3d inspect old.nii --without-side     nobody knows

No model is loaded: this is what `brain3d report` would be given, by the default model."""
LABEL = 14
WIDTH = 100
DIRECTIONS = {"L": "left", "R": "right", "A": "front", "P": "back", "S": "top", "I": "bottom"}
SOURCES = {
    "sform": "as the header's sform says",
    "qform": "as the header's qform says",
    "dicom": "as the headers of its slices say",
    "caller": "as --axes says; the header does not",
    "assumed": "assumed; the header does not say",
}
Row = tuple[str, str]


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("inspect", help="what a scan is, without a model", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("scan", metavar="SCAN", help="a NIfTI file (.nii, .nii.gz) or a DICOM study")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--preview", metavar="PNG", help="also draw three planes as the model sees them")
    parser.add_argument(
        "--series", metavar="N|TEXT", help="which series of a DICOM study (default: its FLAIR series); as for report"
    )
    parser.add_argument("--axes", metavar="LPS", help="where each stored index grows, if the header does not say")
    parser.add_argument("--without-side", action="store_true", help="accept a header without a usable orientation")
    add_brain_extraction(parser)
    return parser


def run(args: argparse.Namespace) -> None:
    """Inspect the scan, draw the picture, print the facts."""
    from brain3d.reading.models import EMBEDDED, find_model, volume_spec
    from brain3d.scans import check_method, find_scan, inspect_scan, read_with_stored

    check_method(args.brain_extraction)
    preview = None if args.preview is None else OutputFile(args.preview, "--preview", ".png")
    refuse_overwriting([preview] if preview else [], find_scan(args.scan, series=args.series))
    with only_results_on_stdout():
        scan, stored = read_with_stored(args.scan, axes=args.axes, without_side=args.without_side, series=args.series)
        spec = volume_spec(find_model(EMBEDDED))
        found = inspect_scan(scan, stored, spec, brain_extraction=args.brain_extraction)
        picture = _picture(found) if preview else b""
    if preview:
        write_together([(preview, picture)])
    if args.json:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = to_text(found, _printable(args.scan))
    sys.stdout.write(text)


def to_text(found: Inspection, name: str) -> str:
    """The facts for a person at a terminal, under the name that the caller gave the scan."""
    sections = (
        ("What it is", _file_rows(found)),
        ("How it lies", _orientation_rows(found.orientation, found.series is not None)),
        ("Intensities", [*_intensity_rows(found.intensity), _contrast_row(found.contrast)]),
        ("The brain", _brain_rows(found)),
        ("What will be done to it", [(f"{n}.", words) for n, words in enumerate(map(step_in_words, _steps(found)), 1)]),
        ("What is suspicious", _suspicious_rows(found)),
    )
    blocks = [f"{title}\n" + "".join(_row(*row) for row in rows) for title, rows in sections]
    return "\n".join([f"{name}\n", *blocks])


def _row(label: str, words: str) -> str:
    first, rest = f"  {label:<{LABEL}}", " " * (LABEL + 2)
    if label.endswith("."):
        first, rest = f"  {label} ", " " * (len(label) + 3)
    return textwrap.fill(words, WIDTH, initial_indent=first, subsequent_indent=rest) + "\n"


def _file_rows(found: Inspection) -> list[Row]:
    file = found.file
    packed = "compressed" if file.compressed else "not compressed"
    slices = "" if file.slices is None else f", {file.slices} slices"
    syntax = "" if file.transfer_syntax is None else f" ({file.transfer_syntax})"
    unit = "" if file.unit == "millimetres" else f"; its lengths are in {file.unit}"
    field = [n * mm for n, mm in zip(found.shape, found.spacing_mm, strict=True)]
    return [
        (
            "format",
            f"{file.format}{slices}, {packed}{syntax}, {file.dtype}, {file.byte_order}-endian{_scaling(file)}{unit}",
        ),
        *_series_rows(found.series),
        ("voxels", f"{_by(found.shape)} of {_by(found.spacing_mm)} mm: a field of view of {_by(field, '.0f')} mm"),
        ("values", f"{found.intensity.lowest:g} to {found.intensity.highest:g}"),
        ("sha256", found.sha256 if found.series is None else f"{found.sha256}, of the series' voxels and geometry"),
    ]


def _scaling(file: File) -> str:
    if file.slope is None or file.intercept is None:
        return "; each slice in a scale of its own"
    return "" if (file.slope, file.intercept) == (1, 0) else f"; times {file.slope:g}, plus {file.intercept:g}"


def _series_rows(series: SeriesChoice | None) -> list[Row]:
    """Which series of a study this is, and, one a line, what the others are."""
    if series is None:
        return []
    others = [one for one in series.listed if one.number != series.chosen]
    words = [_series_in_words(one) for one in others] or ["none"]
    return [("series", series.why), ("others", words[0]), *(("", more) for more in words[1:])]


def _series_in_words(one: SeriesSummary) -> str:
    images = "1 image" if one.images == 1 else f"{one.images} images"
    return f"{one.number}: {one.kind}, {images}" + (f"; cannot be read: {one.problem}" if one.problem else "")


def _orientation_rows(lying: Lying, dicom: bool) -> list[Row]:
    if lying.side_known:
        growing = ", ".join(DIRECTIONS[letter] for letter in lying.axes)
        axes = f"{lying.axes}: the three indices grow towards {growing}; {SOURCES[lying.source]}"
        side = "known"
        handed = f"{lying.handedness}-handed indices"
    else:
        axes = "unknown; front and back, top and bottom are assumed"
        side = "not known; a report names none"
        handed = "unknown"
    straight = "no: along the anatomical axes" if lying.oblique_deg == 0 else f"by {lying.oblique_deg:g} degrees"
    rows = [("axes", axes), ("side", side), ("oblique", straight), ("handedness", handed)]
    if dicom:
        said = "say" if lying.source == "dicom" else "do not say"
        return [*rows, ("headers", f"the slices {said} where they lie")]
    return [*rows, ("header", _forms_in_words(lying))]


def _forms_in_words(lying: Lying) -> str:
    stated = ", ".join(f"{name} {axes or 'absent'}" for name, axes in (("sform", lying.sform), ("qform", lying.qform)))
    if lying.forms_agree is None:
        return stated
    if lying.forms_agree:
        return f"{stated}; they agree"
    return (
        f"{stated}; they differ (axes turned by up to {lying.forms_turned_deg:g} degrees, voxel sizes by a factor of "
        f"up to {lying.forms_spacing_ratio:g})"
    )


def _intensity_rows(intensity: Intensity) -> list[Row]:
    percentiles = ", ".join(f"{p} % {value:g}" for p, value in intensity.brain_percentiles.items())
    level, noise = intensity.background_level, intensity.background_noise
    around = f"{level:g} almost everywhere" if intensity.background_constant else f"around {level:g}"
    return [
        ("brain", f"percentiles {percentiles}"),
        ("background", around + (f", with a noise of {noise:g} (standard deviation)" if noise else ", without noise")),
        ("saturated", f"{100 * intensity.saturated_share:.2g} % of the brain has the image's highest value"),
    ]


def _contrast_row(contrast: Tissues) -> Row:
    if contrast.like == "unknown":
        return "contrast", "of no known sequence: the image does not follow the template's tissues"
    levels = f"grey matter {contrast.grey:g}, fluid {contrast.fluid:g} times as bright as white matter, roughly"
    return "contrast", f"like a {contrast.like}: {levels}"


def _brain_rows(found: Inspection) -> list[Row]:
    brain = found.brain
    height, depth, width = brain.size_mm
    assumed = "" if found.orientation.side_known else " (directions are assumed)"
    grid, mm = found.model_volume.shape, found.model_volume.spacing_mm
    return [
        ("size", f"{width:g} mm wide, {depth:g} mm front to back, {height:g} mm top to bottom; {brain.volume_ml:g} mL"),
        (
            "centre",
            f"at voxel {_by(brain.centre_voxel, '.1f', ', ')}: {_from_middle(*brain.centre_from_field_mm)}{assumed}",
        ),
        ("midline", f"{_from_middle(brain.midline_from_field_mm, 0, 0)}{assumed}"),
        ("tilt", f"{brain.tilt_deg:g} degrees; head and mirror image correlate by {brain.likeness:g}"),
        (
            "shown",
            f"{100 * brain.share_in_volume:.1f} % of it lies inside the model's {_by(grid)} voxels of {mm:g} mm",
        ),
    ]


def _suspicious_rows(found: Inspection) -> list[Row]:
    flags = [(f"{flag.code}.", flag.message) for flag in found.flags]
    notes = [(f"{note.code}.", f"{note.message} A report does not mention it.") for note in found.notes]
    return [*flags, *notes] or [("nothing.", "A report of it carries no flag for the scan's sake.")]


def _steps(found: Inspection) -> list[dict[str, Any]]:
    return [dict(step) for step in found.preprocessing]


def step_in_words(step: dict[str, Any]) -> str:
    """One step of the preprocessing, with its parameters; a step that has no words yet is shown as it is."""
    match step:
        case {"name": "to_canonical", "spacing_mm": spacing}:
            return (
                "The axes are put in the order superior, anterior, right, where voxels are "
                f"{_by(spacing)} mm; nothing is resampled."
            )
        case {"name": "foreground_mask", "at_mm": mm, "background": level}:
            return (
                f"The head is told from the background ({level:g}) on a copy of {mm:g} mm, its largest piece, filled."
            )
        case {"name": "brain_extraction", "method": "none", "asked": asked}:
            return f"Nothing is removed from it ({asked})."
        case {"name": "brain_extraction", "method": method, "asked": asked, "volume_ml": volume}:
            return f"What is not brain is removed by the method {method} ({asked}); {volume:g} mL are left."
        case {"name": "mid_plane", "straightened": True, "likeness": likeness, "roll_deg": roll, "yaw_deg": yaw}:
            return (
                f"The head is held straight about its mid-sagittal plane (tipped by {roll:g}, turned by {yaw:g} "
                f"degrees; head and mirror image correlate by {likeness:g})."
            )
        case {"name": "mid_plane", "likeness": likeness}:
            return (
                "The head is left as it lies: it and its mirror image are too unlike for a mid-sagittal plane "
                f"(they correlate by {likeness:g})."
            )
        case {"name": "brain_centre", "from_field_centre_mm": [top, front, right]}:
            return (
                "The centre is put 70 mm below the top of the head, halfway from front to back, on the midline: "
                f"{_from_middle(right, front, top)}, along the head's own axes."
            )
        case {"name": "resample", "shape": shape, "spacing_mm": mm}:
            return (
                f"{_by(shape)} voxels of {mm:g} mm about that centre are read (superior, anterior, right), averaging "
                "where the scan is finer and interpolating where it is coarser."
            )
        case {"name": "bias_field" | "normalise"}:
            return _brightness_in_words(step)
    return json.dumps(step)


def _brightness_in_words(step: dict[str, Any]) -> str:
    match step:
        case {"name": "bias_field", "per_100_mm": [up, front, right]}:
            ways = ((up, "up"), (front, "to the front"), (right, "to the right"))
            changes = ", ".join(f"{100 * math.expm1(log):+.0f} % {way}" for log, way in ways)
            return (
                f"The slope that a receiving coil leaves on the brightness is divided out; over 10 cm it was {changes}."
            )
        case {"name": "normalise", "clip": [low, high]}:
            return (
                "Intensities are counted from the brain's median, in its spread (1.4826 times the median absolute "
                f"deviation), cut off below {low:g} and above {high:g}, and mapped to the range from -1 to 1; the "
                "background is -1."
            )
    return json.dumps(step)


def _from_middle(right: float, front: float, top: float) -> str:
    """Where something lies from the middle of the field of view; millimetres."""
    ways = ((right, "right", "left"), (front, "to the front", "to the back"), (top, "up", "down"))
    far = [f"{abs(mm):.1f} mm {ways[0] if mm > 0 else ways[1]}" for mm, *ways in ways if round(mm, 1)]
    return f"{', '.join(far)} from the middle of the field of view" if far else "in the middle of the field of view"


def _by(values: Any, form: str = "g", between: str = " x ") -> str:
    return between.join(f"{value:{form}}" for value in values)


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _picture(found: Inspection) -> bytes:
    from brain3d.scans import render_planes

    buffer = io.BytesIO()
    render_planes(found.volume, None, "As the model sees it, through the middle").save(buffer, format="PNG")
    return buffer.getvalue()
