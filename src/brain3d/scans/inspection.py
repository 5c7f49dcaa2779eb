"""What a scan is, how it lies, where its brain is, and what will be done to it: plain facts, and no model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from brain3d.scans.brain import AUTO
from brain3d.scans.contrast import Contrast
from brain3d.scans.foreground import extent
from brain3d.scans.forms import turned_by
from brain3d.scans.orientation import axis_codes, direction_cosines
from brain3d.scans.preprocess import COARSE_MM, Head, find_head, head_contrast, volume_of
from brain3d.scans.types import UNKNOWN_AXES, Flag, Scan, SeriesChoice, Stored, Volume, VolumeSpec

SCHEMA_VERSION = "1.0"
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
SAMPLE_MM = 1.5
SATURATED_SHARE = 0.01
AGREE_DEGREES = 1.0
AGREE_SPACING = 0.01


@dataclass(frozen=True)
class File:
    """How the scan is stored: see `Stored`."""

    format: str
    compressed: bool
    dtype: str
    byte_order: str
    slope: float | None
    intercept: float | None
    unit: str
    slices: int | None
    transfer_syntax: str | None


@dataclass(frozen=True)
class Lying:
    """How the scan lies.

    `axes` names where each stored index grows, or is "unknown"; `source` says where that comes from: "sform",
    "qform", "dicom" (the places of the slices), "caller" (stated as axes) or "assumed". `oblique_deg` is the largest
    angle between a stored axis and the nearest anatomical one; `handedness` that of the stored indices, "right",
    "left" or "unknown". `sform` and `qform` are axes, None where absent, or what is wrong with them;
    `forms_turned_deg` (by `turned_by`) and `forms_spacing_ratio` how far two usable ones differ; `forms_agree` whether
    that is next to nothing. All three are None where there are not two.
    """

    axes: str
    side_known: bool
    source: str
    oblique_deg: float
    handedness: str
    sform: str | None
    qform: str | None
    forms_agree: bool | None
    forms_turned_deg: float | None
    forms_spacing_ratio: float | None


@dataclass(frozen=True)
class Intensity:
    """The values: of the whole image, of the brain by percentile, of what surrounds it.

    `background_noise` is a standard deviation; `background_constant` whether most of the surroundings has one
    value; `saturated_share` the share of the brain that has the image's highest value. "Brain" is what stands out
    from the background, with the skull where that was neither removed before nor by brain extraction.
    """

    lowest: float
    highest: float
    brain_percentiles: dict[str, float]
    background_level: float
    background_noise: float
    background_constant: bool
    saturated_share: float


@dataclass(frozen=True)
class Tissues:
    """Of which sequence the image looks: "FLAIR", "T1", "T2" or "unknown".

    `grey` and `fluid` are how bright they are beside white matter, as `scans.contrast` finds them, `brightest` what
    is brighter than 98 % of the brain; None where the image does not follow the template.
    """

    like: str
    grey: float | None
    fluid: float | None
    brightest: float | None


@dataclass(frozen=True)
class Brain:
    """Where the brain is, by the foreground at 3 mm.

    `size_mm` runs along superior-inferior, anterior-posterior, left-right. `centre_voxel` is a fractional index in
    the file's own axis order; `centre_from_field_mm` goes from the middle of the field of view towards right,
    anterior, superior; `midline_from_field_mm` is how far right of that middle the midline lies.
    `tilt_deg` is the angle between the mid-sagittal plane and the image's own, `likeness` the correlation of the head
    with its mirror image about it. `share_in_volume` is the share of the foreground that the model is shown.
    """

    size_mm: tuple[float, float, float]
    volume_ml: float
    centre_voxel: tuple[float, float, float]
    centre_from_field_mm: tuple[float, float, float]
    midline_from_field_mm: float
    tilt_deg: float
    likeness: float
    share_in_volume: float


@dataclass(frozen=True)
class Inspection:
    """All that is known of a scan before a model reads it.

    `series` says which series of a DICOM study this is, None for NIfTI; `flags` are those that a report of this scan
    carries for the scan's sake, `notes` what else looks suspicious; `preprocessing` the steps that make `volume`, in
    order, each with its parameters.
    """

    sha256: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    file: File
    series: SeriesChoice | None
    orientation: Lying
    intensity: Intensity
    contrast: Tissues
    brain: Brain
    model_volume: VolumeSpec
    preprocessing: tuple[dict[str, Any], ...]
    flags: tuple[Flag, ...]
    notes: tuple[Flag, ...]
    volume: Volume = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values, with `schema_version`; without the volume."""
        parts = {
            "file": asdict(self.file),
            "series": None if self.series is None else self.series.to_dict(),
            "orientation": asdict(self.orientation),
            "intensity": asdict(self.intensity),
            "contrast": asdict(self.contrast),
            "brain": asdict(self.brain),
            "model_volume": asdict(self.model_volume),
            "flags": [asdict(flag) for flag in self.flags],
            "notes": [asdict(flag) for flag in self.notes],
        }
        own = {"sha256": self.sha256, "shape": list(self.shape), "spacing_mm": list(self.spacing_mm)}
        steps = [dict(step) for step in self.preprocessing]
        return {"schema_version": SCHEMA_VERSION, **own, **parts, "preprocessing": steps}


def inspect_scan(scan: Scan, stored: Stored, spec: VolumeSpec, *, brain_extraction: str = AUTO) -> Inspection:
    """The facts about a scan and about how it is stored, and what `prepare` makes of it on the grid `spec`.

    Raises InputError where `prepare` does, and for the same `brain_extraction`.
    """
    head = find_head(scan, brain_extraction)
    contrast = head_contrast(head)
    volume = volume_of(scan, head, spec, contrast)
    orientation = _orientation(scan, stored, head)
    intensity = _intensity(scan, head)
    return Inspection(
        sha256=scan.sha256,
        shape=(scan.data.shape[0], scan.data.shape[1], scan.data.shape[2]),
        spacing_mm=_three(scan.spacing_mm, 4),
        file=File(
            stored.format,
            stored.compressed,
            stored.dtype,
            stored.byte_order,
            None if stored.slope is None else _short(stored.slope),
            None if stored.intercept is None else _short(stored.intercept),
            stored.unit,
            stored.slices,
            stored.transfer_syntax,
        ),
        series=stored.series,
        orientation=orientation,
        intensity=intensity,
        contrast=_tissues(contrast),
        brain=_brain(scan, head, spec),
        model_volume=spec,
        preprocessing=volume.steps,
        flags=volume.flags,
        notes=_notes(orientation, intensity),
        volume=volume,
    )


def _orientation(scan: Scan, stored: Stored, head: Head) -> Lying:
    cosines = direction_cosines(head.affine)[::-1]
    known = "right" if np.linalg.det(scan.affine[:3, :3]) > 0 else "left"
    agree, degrees, ratio = _compared(stored)
    return Lying(
        axes=scan.axes if scan.side_known else UNKNOWN_AXES,
        side_known=scan.side_known,
        source=_source(scan, stored),
        oblique_deg=round(float(np.degrees(np.arccos(np.clip(np.diag(cosines).min(), -1.0, 1.0)))), 1),
        handedness=known if scan.side_known else "unknown",
        sform=_form(stored, "sform"),
        qform=_form(stored, "qform"),
        forms_agree=agree,
        forms_turned_deg=degrees,
        forms_spacing_ratio=ratio,
    )


def _source(scan: Scan, stored: Stored) -> str:
    same = [name for name, affine in stored.forms.items() if np.array_equal(affine, scan.affine)]
    return same[0] if same else "caller" if scan.side_known else "assumed"


def _form(stored: Stored, name: str) -> str | None:
    if name in stored.forms:
        return axis_codes(stored.forms[name])
    return stored.unusable.get(name)


def _compared(stored: Stored) -> tuple[bool | None, float | None, float | None]:
    if len(stored.forms) < 2:
        return None, None, None
    one, other = stored.forms.values()
    degrees = turned_by(one, other)
    lengths = [np.linalg.norm(affine[:3, :3], axis=0) for affine in (one, other)]
    ratio = float(np.exp(np.abs(np.log(lengths[0] / lengths[1])).max()))
    return degrees < AGREE_DEGREES and ratio < 1 + AGREE_SPACING, round(degrees, 1), round(ratio, 3)


def _intensity(scan: Scan, head: Head) -> Intensity:
    values = _brain_values(head)
    highest = float(scan.data.max())
    found = np.percentile(values, PERCENTILES)
    return Intensity(
        lowest=_short(float(scan.data.min())),
        highest=_short(highest),
        brain_percentiles={str(p): _short(float(value)) for p, value in zip(PERCENTILES, found, strict=True)},
        background_level=_short(head.background.level),
        background_noise=_short(head.background.noise),
        background_constant=head.background.constant,
        saturated_share=round(float((values >= highest).mean()), 5),
    )


def _tissues(found: Contrast) -> Tissues:
    known = found.like != "unknown"
    grey, fluid, brightest = (round(value, 2) if known else None for value in found[:3])
    return Tissues(found.like, grey, fluid, brightest)


def _brain_values(head: Head) -> np.ndarray:
    """The scan's own values (N,) inside the foreground, from every voxel or, of small ones, every so many."""
    spacing = np.sqrt((head.geometry**2).sum(axis=0))
    strides = [max(1, int(SAMPLE_MM / mm)) for mm in spacing]
    taken = [np.arange(0, n, stride) - (n - 1) / 2 for n, stride in zip(head.data.shape, strides, strict=True)]
    places = []
    for world in range(3):
        along = [head.geometry[world, axis] / COARSE_MM * at for axis, at in enumerate(taken)]
        index = along[0][:, None, None] + along[1][None, :, None] + along[2][None, None, :]
        last = head.mask.shape[world] - 1
        places.append(np.clip(np.rint(index + last / 2), 0, last).astype(np.intp))
    sampled = head.data[:: strides[0], :: strides[1], :: strides[2]]
    return np.asarray(sampled[head.mask[tuple(places)]])


def _brain(scan: Scan, head: Head, spec: VolumeSpec) -> Brain:
    spans = [extent(head.mask.sum(axis=tuple(k for k in range(3) if k != axis))) for axis in range(3)]
    world = head.affine[:3, :3] @ head.centre + head.affine[:3, 3]
    voxel = np.linalg.solve(scan.affine[:3, :3], world - scan.affine[:3, 3])
    return Brain(
        size_mm=_three([(last - first + 1) * COARSE_MM for first, last in spans], 0),
        volume_ml=round(float(head.mask.sum()) * COARSE_MM**3 / 1000.0),
        centre_voxel=_three(voxel, 1),
        centre_from_field_mm=_three(head.centre_mm[::-1], 1),
        midline_from_field_mm=round(float(head.offset_mm[2]), 1) + 0.0,
        tilt_deg=round(float(np.degrees(np.arccos(np.clip(head.plane.normal[2], -1.0, 1.0)))), 1),
        likeness=head.plane.likeness,
        share_in_volume=round(_share_in_volume(head, spec), 4),
    )


def _share_in_volume(head: Head, spec: VolumeSpec) -> float:
    places = (np.argwhere(head.mask) - (np.array(head.mask.shape) - 1) / 2) * COARSE_MM
    from_centre_mm = places @ head.turn.T - head.offset_mm
    shown = np.abs(from_centre_mm) <= np.array(spec.shape) * spec.spacing_mm / 2
    return float(shown.all(axis=1).mean())


def _notes(orientation: Lying, intensity: Intensity) -> tuple[Flag, ...]:
    notes = []
    if orientation.forms_agree is False:
        notes.append(
            Flag(
                "forms_differ",
                f"The header's sform and qform differ (axes turned by up to {orientation.forms_turned_deg:g} degrees, "
                f"voxel sizes by a factor of up to {orientation.forms_spacing_ratio:g}).",
            )
        )
    if intensity.saturated_share >= SATURATED_SHARE:
        share = 100 * intensity.saturated_share
        notes.append(
            Flag(
                "saturated", f"{share:.1f} % of the brain has the image's highest value: what is bright may be cut off."
            )
        )
    return tuple(notes)


def _short(value: float) -> float:
    """Six digits, which is what float32 holds; no minus before a zero."""
    return float(f"{value:.6g}") + 0.0


def _three(values: Any, digits: int) -> tuple[float, float, float]:
    one, two, three = (round(float(value), digits) + 0.0 for value in values)
    return one, two, three
