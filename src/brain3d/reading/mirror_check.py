"""What was read in a scan and what was read in its mirror image: weighing the two texts, comparing their findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from brain3d.reports import Findings, mirror_findings, mirror_text, parse_findings, withhold_side
from brain3d.scans.types import Flag

Agreement = Literal["agrees", "side_differs", "findings_differ"]
Chosen = Literal["scan", "mirror", "both"]

SIDE_UNSTABLE = Flag(
    "side_unstable",
    "The scan and its mirror image were read as having the lesion on different sides; the side is left open.",
)
SIDE_UNSTABLE_AS_WRITTEN = Flag(
    SIDE_UNSTABLE.code,
    "The scan and its mirror image were read as having the lesion on different sides; the words are the model's own, "
    "do not rely on a side in them.",
)
FINDINGS_UNSTABLE = Flag(
    "findings_unstable",
    "A lesion was read in only one of the scan and its mirror image; trust neither reading, and no side is given.",
)
FINDINGS_UNSTABLE_AS_WRITTEN = Flag(
    FINDINGS_UNSTABLE.code,
    "A lesion was read in only one of the scan and its mirror image; trust neither reading, and no side in the words, "
    "which are the model's own.",
)


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


Pair = tuple[str, str]  # a text for the scan, and one for its mirror image
Score = Callable[[Pair, Pair | None], float]


def choose(text: str, mirrored_text: str, score: Score) -> Chosen:
    """Which of two separate readings to report: that of the scan, or that of the mirror image, mirrored back.

    Each stands for a pair of texts, one for either image, and `score(pair, None)` weighs the pair. Where
    `score` is symmetric, so is the choice: with the images exchanged, the same pair wins. Of equal scores the first
    in an order wins that does not ask which text is whose; only two pairs that are each other's exchange have
    no such order (the same text was read in both images, and the scores cannot tell it from its mirrored
    words): then the scan's own.

    Where only one of the two states a lesion, `score(pair, other pair)` weighs their openings, through the first word
    at which they part: a long text is less likely than a short one whatever it says, so that of whole texts "no
    lesion" would always win.
    """
    own, other = (text, mirror_text(text)), (mirror_text(mirrored_text), mirrored_text)
    if own == other:
        return "both"
    seen, seen_mirrored = (bool(parse_findings(words).lesions) for words in (text, mirrored_text))
    apart = seen != seen_mirrored
    first, second = score(own, other if apart else None), score(other, own if apart else None)
    if first == second:
        return "scan" if sorted(own) <= sorted(other) else "mirror"
    return "scan" if first > second else "mirror"


def check(text: str, mirrored_text: str, chosen_text: str) -> tuple[Agreement, Checked]:
    """Set the text for a scan against the one for its mirror image, and say what becomes of the chosen text.

    Its side is withheld where the two readings name different sides, and where only one of them shows a lesion.
    """
    agreement = compare(parse_findings(text), parse_findings(mirrored_text))
    findings = parse_findings(chosen_text)
    if agreement == "side_differs":
        return agreement, without_side(chosen_text, SIDE_UNSTABLE)
    if agreement == "findings_differ" and findings.lesions:
        return agreement, without_side(chosen_text, FINDINGS_UNSTABLE)
    flags = (FINDINGS_UNSTABLE,) if agreement == "findings_differ" else ()
    return agreement, Checked(chosen_text, findings, flags)


def check_as_written(text: str, mirrored_text: str) -> tuple[Agreement, Checked]:
    """As `check`, but for a model whose words are to stay as it wrote them: the findings and a flag say what is not
    to be relied on, and the text is the scan's own."""
    agreement = compare(parse_findings(text), parse_findings(mirrored_text))
    findings = parse_findings(text)
    if agreement == "agrees":
        return agreement, Checked(text, findings)
    lesions = tuple(replace(lesion, side="unknown") for lesion in findings.lesions)
    flag = SIDE_UNSTABLE_AS_WRITTEN if agreement == "side_differs" else FINDINGS_UNSTABLE_AS_WRITTEN
    return agreement, Checked(text, replace(findings, lesions=lesions), (flag,))


def without_side(text: str, reason: Flag) -> Checked:
    """The text with its sides taken out, the findings with every side unknown, and the reason as a flag."""
    withheld = withhold_side(text)
    findings = parse_findings(withheld)
    lesions = tuple(replace(lesion, side="unknown") for lesion in findings.lesions)
    return Checked(withheld, replace(findings, lesions=lesions), (reason,))
