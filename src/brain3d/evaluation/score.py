"""The metrics. Each case adds to a numerator and a denominator; a metric is the ratio of the two sums.

All functions are pure: a reference (what is true of a scan), an answer (what was reported of the scan and of
its mirror image), and out come two numbers. A missing answer is a case that failed, and counts as wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from brain3d.phantom.truth import Truth
from brain3d.reading.mirror_check import compare
from brain3d.reports.findings import Findings, mirror_findings, mirror_side, overall_side

Contribution = tuple[float, float]
NOTHING: Contribution = (0.0, 0.0)
MISS: Contribution = (0.0, 1.0)

ATTRIBUTES = ("signal", "edema", "necrosis", "ventricular_compression")
LOBES = ("frontal", "parietal", "temporal", "occipital")
SUPPORTED_SHARE = 0.05  # a lobe that is named must hold this share of the mask
OWED_SHARE = 0.20  # a lobe that holds this share of the mask must be named
_DEGREE_ORDER = ("none", "present", "mild", "moderate", "severe")


@dataclass(frozen=True)
class Reference:
    """What is true of one scan.

    `sides` are the sides accepted for whatever was drawn or masked, visible or not.
    `lobe_shares` is the share of the lesion's mask in each lobe, None where there is no mask to ask.
    `unplaced`: a mask holds a lesion, but its case failed before the lesion could be placed in the brain. Each
    metric that the mask would have answered then counts one miss, for the model and for the baselines.
    """

    findings: Findings
    sides: frozenset[str] = frozenset()
    lobe_shares: dict[str, float] | None = None
    unplaced: bool = False


@dataclass(frozen=True)
class Answer:
    """The findings reported of a scan and of its mirror image, each handed in as a scan of its own.

    `unstable`: a flag says that the reader, which looked at both images for one report, read them differently.
    """

    findings: Findings
    mirrored: Findings
    unstable: bool = False


@dataclass(frozen=True)
class Metric:
    """A named metric; `contribution` takes a reference and an answer (None: the case failed)."""

    name: str
    title: str
    contribution: Callable[[Reference, Answer | None], Contribution]


def accepted_sides(truth: Truth) -> frozenset[str]:
    """The sides that count as right for a phantom: its own, and near the rule's edges the neighbour's too."""
    if truth.left_share is None:
        return frozenset()
    sides = {truth.side}
    if 0.25 <= truth.left_share <= 0.35:
        sides |= {"right", "bilateral"}
    if 0.65 <= truth.left_share <= 0.75:
        sides |= {"left", "bilateral"}
    return frozenset(sides)


def overall_regions(findings: Findings) -> frozenset[str]:
    """The regions of all lesions together."""
    return frozenset(name for lesion in findings.lesions for name in lesion.regions)


def overall_attribute(findings: Findings, name: str) -> str:
    """One value for all lesions together: the highest degree; for the signal, several values make "mixed"."""
    values = {getattr(lesion, name) for lesion in findings.lesions} - {"unknown"}
    if not values:
        return "unknown"
    if name == "signal":
        return values.pop() if len(values) == 1 else "mixed"
    return max(values, key=_DEGREE_ORDER.index)


def same_degree(wanted: str, found: str) -> bool:
    """Equal values, or one side says "present" where the other gives a degree other than none."""
    if "present" in (wanted, found):
        return "none" not in (wanted, found) and "unknown" not in (wanted, found)
    return wanted == found


def sensitivity(reference: Reference, answer: Answer | None) -> Contribution:
    """Of the visibly ill: a lesion is stated. A vague text that states none does not count."""
    if not reference.findings.lesions:
        return NOTHING
    return float(answer is not None and bool(answer.findings.lesions)), 1.0


def specificity(reference: Reference, answer: Answer | None) -> Contribution:
    """Of the healthy (and of those whose lesion cannot be seen): the absence of lesions is stated."""
    if not reference.findings.normal:
        return NOTHING
    return float(answer is not None and answer.findings.normal), 1.0


def _side_counts(reference: Reference) -> bool:
    return bool(reference.findings.lesions and (reference.sides or reference.unplaced))


def side(reference: Reference, answer: Answer | None) -> Contribution:
    """Of the visibly ill: the side is exactly right; "unknown" is wrong."""
    if not _side_counts(reference):
        return NOTHING
    return float(answer is not None and overall_side(answer.findings) in reference.sides), 1.0


def side_seen(reference: Reference, answer: Answer | None) -> Contribution:
    """The same of the visibly ill in whose report a lesion is stated. A failed case states none."""
    if answer is None or not answer.findings.lesions or not reference.findings.lesions or not reference.sides:
        return NOTHING
    return float(overall_side(answer.findings) in reference.sides), 1.0


def side_mirrored(reference: Reference, answer: Answer | None) -> Contribution:
    """The same of the mirror image, whose right answer is the mirrored side."""
    if not _side_counts(reference):
        return NOTHING
    sides = {mirror_side(name) for name in reference.sides}
    return float(answer is not None and overall_side(answer.mirrored) in sides), 1.0


def regions_f1(reference: Reference, answer: Answer | None) -> Contribution:
    """Micro-F1 of the regions over the visibly ill: twice the hits over regions wanted plus named."""
    wanted = overall_regions(reference.findings)
    if not wanted:
        return MISS if reference.unplaced else NOTHING
    found = overall_regions(answer.findings) if answer is not None else frozenset()
    return 2.0 * len(wanted & found), float(len(wanted) + len(found))


def _attribute(name: str) -> Callable[[Reference, Answer | None], Contribution]:
    def contribution(reference: Reference, answer: Answer | None) -> Contribution:
        wanted = overall_attribute(reference.findings, name)
        if wanted == "unknown":
            return NOTHING
        found = overall_attribute(answer.findings, name) if answer is not None else "unknown"
        return float(same_degree(wanted, found)), 1.0

    return contribution


def _in_any_order(findings: Findings) -> tuple[bool, list[str]]:
    return findings.normal, sorted(map(repr, findings.lesions))


def mirror_consistency(reference: Reference, answer: Answer | None) -> Contribution:
    """Over all cases: the mirror image's findings are the findings with the side swapped, the rest kept."""
    if answer is None:
        return MISS
    return float(_in_any_order(mirror_findings(answer.findings)) == _in_any_order(answer.mirrored)), 1.0


def readings_agree(reference: Reference, answer: Answer | None) -> Contribution:
    """Of the visibly ill: the readings of scan and mirror image both state a lesion, on the same side of the patient.

    Where both agree that there is none, they have no say here, nor has a failed case.
    """
    if answer is None or not reference.findings.lesions:
        return NOTHING
    agree = not answer.unstable and compare(answer.findings, answer.mirrored) == "agrees"
    return NOTHING if agree and not answer.findings.lesions else (float(agree), 1.0)


def drawn_sensitivity(reference: Reference, answer: Answer | None) -> Contribution:
    """Of every scan with a lesion in it, visible or not: a lesion is stated."""
    if not reference.sides:
        return NOTHING
    return float(answer is not None and bool(answer.findings.lesions)), 1.0


def drawn_side(reference: Reference, answer: Answer | None) -> Contribution:
    """Of every scan with a lesion in it, visible or not: the side is right."""
    if not reference.sides:
        return NOTHING
    return float(answer is not None and overall_side(answer.findings) in reference.sides), 1.0


def lobes_supported(reference: Reference, answer: Answer | None) -> Contribution:
    """Of the lobes named: the mask has at least 5 % of its volume there. A failed case counts as one miss."""
    if reference.unplaced:
        return MISS
    if not reference.lobe_shares:
        return NOTHING
    if answer is None:
        return MISS
    named = overall_regions(answer.findings) & set(LOBES)
    held = [name for name in named if reference.lobe_shares[name] >= SUPPORTED_SHARE]
    return float(len(held)), float(len(named))


def lobes_owed(reference: Reference, answer: Answer | None) -> Contribution:
    """Of the lobes that hold at least 20 % of the mask: the report names them."""
    if reference.unplaced:
        return MISS
    if not reference.lobe_shares:
        return NOTHING
    owed = {name for name in LOBES if reference.lobe_shares[name] >= OWED_SHARE}
    named = overall_regions(answer.findings) if answer is not None else frozenset()
    return float(len(owed & named)), float(len(owed))


METRICS = (
    Metric("sensitivity", "ill called ill", sensitivity),
    Metric("specificity", "healthy called healthy", specificity),
    Metric("side", "side exactly right", side),
    Metric("side_seen", "side exactly right, of the lesions seen", side_seen),
    Metric("side_mirrored", "side right on the mirror image", side_mirrored),
    Metric("mirror_consistency", "mirrored findings agree", mirror_consistency),
    Metric("readings_agree", "separate readings agree on the side", readings_agree),
    Metric("regions_f1", "regions, micro-F1", regions_f1),
    *(Metric(name, name.replace("_", " "), _attribute(name)) for name in ATTRIBUTES),
    Metric("lobes_supported", "named lobes that hold 5 % of the mask", lobes_supported),
    Metric("lobes_owed", "lobes with 20 % of the mask, named", lobes_owed),
)
CURVE_METRICS = (
    Metric("drawn_sensitivity", "called ill", drawn_sensitivity),
    Metric("drawn_side", "side right", drawn_side),
)
