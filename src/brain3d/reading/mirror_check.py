"""Comparing what was read in a scan with what was read in its mirror image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from brain3d.reports import Findings, mirror_findings, parse_findings, withhold_side
from brain3d.scans.types import Flag

Agreement = Literal["agrees", "side_differs", "findings_differ"]

SIDE_UNSTABLE = Flag(
    "side_unstable",
    "The scan and its mirror image were read as having the lesion on different sides; the side is left open.",
)
FINDINGS_UNSTABLE = Flag(
    "findings_unstable",
    "A lesion was read in only one of the scan and its mirror image; trust neither reading, and no side is given.",
)
SIDE_UNKNOWN = Flag("side_not_in_header", "The header does not say which side is left.")


@dataclass(frozen=True)
class Checked:
    """A text and its findings after the check, with what the check has to say about them."""

    text: str
    findings: Findings
    flags: tuple[Flag, ...] = ()


def compare(findings: Findings, mirrored: Findings) -> Agreement:
    """Compare the findings in a scan with those in its mirror image, whose sides are the mirrored ones.

    Sides agree where both name the same sides, and for each region that both name, the same sides.
    """
    counterpart = mirror_findings(mirrored)
    if bool(findings.lesions) != bool(counterpart.lesions) or findings.normal != counterpart.normal:
        return "findings_differ"
    if _sides(findings) != _sides(counterpart):
        return "side_differs"
    for region in _regions(findings) & _regions(counterpart):
        if _sides(findings, region) != _sides(counterpart, region):
            return "side_differs"
    return "agrees"


def _sides(findings: Findings, region: str | None = None) -> frozenset[str]:
    return frozenset(x.side for x in findings.lesions if region is None or region in x.regions)


def _regions(findings: Findings) -> frozenset[str]:
    return frozenset(region for lesion in findings.lesions for region in lesion.regions)


def check(text: str, mirrored_text: str) -> tuple[Agreement, Checked]:
    """Set the text for a scan against the one for its mirror image.

    The side is withheld where the two name different sides, and where the mirror image shows no lesion to confirm it.
    """
    findings = parse_findings(text)
    agreement = compare(findings, parse_findings(mirrored_text))
    if agreement == "side_differs":
        return agreement, without_side(text, SIDE_UNSTABLE)
    if agreement == "findings_differ" and findings.lesions:
        return agreement, without_side(text, FINDINGS_UNSTABLE)
    flags = (FINDINGS_UNSTABLE,) if agreement == "findings_differ" else ()
    return agreement, Checked(text, findings, flags)


def without_side(text: str, reason: Flag) -> Checked:
    """The text with its sides taken out, the findings with every side unknown, and the reason as a flag."""
    withheld = withhold_side(text)
    findings = parse_findings(withheld)
    lesions = tuple(replace(lesion, side="unknown") for lesion in findings.lesions)
    return Checked(withheld, replace(findings, lesions=lesions), (reason,))
