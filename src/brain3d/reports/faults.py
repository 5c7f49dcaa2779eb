"""Reports that cannot be learned from, since they say two things, or would once image and words are mirrored."""

from __future__ import annotations

import re

from brain3d.reports.findings import mirror_findings
from brain3d.reports.mirror import mirror_text
from brain3d.reports.parse import parse_findings

# RT alone may be radiotherapy, and L a vertebra: those count where a place follows.
_PLACE = (
    r"(?i:side|front|pariet|tempor|occipit|insul|hemi|cereb|thalam|basal|caudat|putam|lobe|ventric|anterior|posterior|"
    r"superior|inferior|medial|lateral|mid|deep|peri[vs]|para[sh]|subcort|cortical|corona|centrum|hippoc|lesion|mass|tumou?r)"
)
_ABBREVIATED = re.compile(
    r"(?<!\w)(?:[LlRr]t\b|LT\b|\([LR]\)|[LR]HS\b|[LR]\s*[<>]\s*[LR]\b|(?:on|in) the [LR]\b|(?:[LR]|RT)[. -]{1,2}"
    + _PLACE
    + ")"
)


def mirror_fault(text: str) -> str | None:
    """Why a report must not be mirrored by exchanging its side words, in a few words; None where it may be."""
    turned = mirror_text(text)
    if _ABBREVIATED.search(text):
        return "its report abbreviates a side (Lt, RT, L), which would not be mirrored; write left and right"
    if mirror_text(turned) != text:
        return "a side word of its report is written in a mixture of capitals, and has no mirror image"
    if parse_findings(turned) != mirror_findings(parse_findings(text)):
        return "its report, with left and right exchanged, does not say the mirror image of what it said"
    return None


def report_fault(text: str, healthy: bool | None) -> str | None:
    """Why a report contradicts itself, or what is known of its study, in a few words; None where it does not.

    `healthy` is what the cohort counts the study as, None where it does not say.
    """
    fault = mirror_fault(text)
    if fault is None and healthy and parse_findings(text).lesions:
        return "its report states a lesion, though the cohort counts the study as healthy"
    return fault
