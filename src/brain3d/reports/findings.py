"""The findings of a report: what its text says about the brain, in closed lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain3d.scans.orientation import Side

SIDES = ("left", "right", "bilateral", "midline", "unknown")
REGIONS = (
    "frontal",
    "parietal",
    "temporal",
    "occipital",
    "insula",
    "deep grey matter",
    "corpus callosum",
    "periventricular",
    "cerebellum",
    "brainstem",
)
SIGNALS = ("high", "low", "mixed", "iso", "unknown")
DEGREES = ("none", "mild", "moderate", "severe", "present", "unknown")

_OVERALL_ORDER: tuple[Side, ...] = ("left", "right", "midline")
_MIRRORED = {"left": "right", "right": "left"}


def mirror_side(side: str) -> str:
    """The side of the same finding in a mirror: left and right change places, the others stay."""
    return _MIRRORED.get(side, side)


def canonical_regions(names: Iterable[str]) -> tuple[str, ...]:
    """The given regions in the order of `REGIONS`, each once."""
    wanted = set(names)
    unknown = wanted.difference(REGIONS)
    if unknown:
        raise ValueError(f"not a region: {', '.join(sorted(unknown))}")
    return tuple(name for name in REGIONS if name in wanted)


@dataclass(frozen=True)
class Lesion:
    """One statement of a lesion. `side` is the patient's; a degree says how much of each sign there is.

    "present" is a sign stated without a degree, "unknown" one that the text does not mention or leaves open.
    """

    side: str = "unknown"
    regions: tuple[str, ...] = ()
    signal: str = "unknown"
    edema: str = "unknown"
    necrosis: str = "unknown"
    ventricular_compression: str = "unknown"

    def __post_init__(self) -> None:
        degrees = (self.edema, self.necrosis, self.ventricular_compression)
        if self.side not in SIDES or self.signal not in SIGNALS or not set(degrees) <= set(DEGREES):
            raise ValueError(f"outside the closed lists: {self.side}, {self.signal}, {', '.join(degrees)}")
        if self.regions != canonical_regions(self.regions):
            raise ValueError(f"regions must stand once each, in the order of REGIONS: {', '.join(self.regions)}")

    def to_dict(self) -> dict[str, Any]:
        """The lesion as plain JSON values."""
        return {
            "side": self.side,
            "regions": list(self.regions),
            "signal": self.signal,
            "edema": self.edema,
            "necrosis": self.necrosis,
            "ventricular_compression": self.ventricular_compression,
        }


@dataclass(frozen=True)
class Findings:
    """What a report says. `normal` is a stated absence of lesions; where nothing is stated it is False."""

    normal: bool
    lesions: tuple[Lesion, ...] = ()

    def __post_init__(self) -> None:
        if self.normal and self.lesions:
            raise ValueError("a normal brain has no lesions")

    def to_dict(self) -> dict[str, Any]:
        """The findings as plain JSON values."""
        return {"normal": self.normal, "lesions": [lesion.to_dict() for lesion in self.lesions]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Findings:
        """The inverse of `to_dict`. ValueError, KeyError or TypeError for values that are no findings."""
        if not isinstance(values["normal"], bool):
            raise TypeError("normal is true or false")
        lesions = [Lesion(**{**lesion, "regions": tuple(lesion["regions"])}) for lesion in values["lesions"]]
        return cls(values["normal"], tuple(lesions))


def mirror_findings(findings: Findings) -> Findings:
    """The findings of the mirrored brain."""
    lesions = tuple(replace(lesion, side=mirror_side(lesion.side)) for lesion in findings.lesions)
    return replace(findings, lesions=lesions)


def overall_side(findings: Findings) -> Side:
    """One side for all lesions: left and right make bilateral, a lateral side outweighs the midline.

    Lesions whose side is unknown do not count; where no other is left, "unknown".
    """
    sides = {lesion.side for lesion in findings.lesions}
    if "bilateral" in sides or {"left", "right"} <= sides:
        return "bilateral"
    return next((side for side in _OVERALL_ORDER if side in sides), "unknown")
