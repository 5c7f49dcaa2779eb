"""Whether a report contradicts itself, sentence against sentence."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from brain3d.reports import Findings, parse_findings
from brain3d.reports.findings import overall_side

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n\s*\n")
# Several lesions, or several halves of the brain: sentences may differ and both be true.
_SEVERAL = re.compile(
    r"\b(?:lesions|masses|foci|tumou?rs|metastases|multiple|several|two|both|bilateral(?:ly)?|another|second|third|other"
    r"|further|additional(?:ly)?|also|separate|contralateral|opposite|crosses|crossing|extend\w*|greater|more than)\b",
    re.IGNORECASE,
)
# Where a denial holds for a part of the brain alone, or for one time.
_PARTIAL = re.compile(
    r"\b(?:left|right|lobe|hemisphere|frontal|parietal|temporal|occipital|cerebell\w+|other|further|additional|new"
    r"|elsewhere|remaining|rest|ventric\w+)\b",
    re.IGNORECASE,
)
_LEAD = "A lesion is seen. "
_SIGNS = ("edema", "necrosis", "ventricular_compression")
MOST_SENTENCES = 400


class _Sentence(NamedTuple):
    alone: Findings
    signs: tuple[str, str, str]
    several: bool
    partial: bool


@lru_cache(maxsize=50_000)
def _read(sentence: str) -> _Sentence:
    """What one sentence states; its signs are those that it would give to a lesion stated before it."""
    led = parse_findings(_LEAD + sentence).lesions
    degrees = {name: {getattr(lesion, name) for lesion in led} - {"unknown"} for name in _SIGNS}
    edema, necrosis, compression = (found.pop() if len(found) == 1 else "unknown" for found in degrees.values())
    several = _SEVERAL.search(sentence) is not None
    alone = parse_findings(sentence)
    return _Sentence(alone, (edema, necrosis, compression), several, _PARTIAL.search(sentence) is not None)


def _sentences(text: str) -> list[_Sentence]:
    parts = _SENTENCE_END.split(text)[:MOST_SENTENCES]
    return [_read(" ".join(part.split())) for part in parts if part.strip()]


def contradicts_side(text: str) -> bool:
    """Whether one sentence has the lesion on the left and another the same lesion on the right.

    Only where no sentence speaks of several lesions, or of both halves; lesions in regions that have nothing in
    common are taken for two lesions.
    """
    return _contradicts_side(_sentences(text))


def _contradicts_side(read: list[_Sentence]) -> bool:
    if any(sentence.several for sentence in read):
        return False
    regions: dict[str, list[frozenset[str]]] = {"left": [], "right": []}
    for sentence in read:
        side = overall_side(sentence.alone)
        if side in regions:
            regions[side].append(frozenset(name for lesion in sentence.alone.lesions for name in lesion.regions))
    left, right = regions["left"], regions["right"]
    return any(not a or not b or a & b for a in left for b in right)


def contradicts_itself(text: str) -> bool:
    """Whether the text states and denies the same: a lesion in a brain without one, a sign, or two sides of one lesion.

    Judged by sentence; a denial for a part of the brain denies nothing elsewhere. Sentences beyond the first 400 are
    not looked at.
    """
    read = _sentences(text)
    ill = any(sentence.alone.lesions for sentence in read)
    normal = any(sentence.alone.normal and not sentence.partial for sentence in read)
    several = any(sentence.several for sentence in read)
    return (ill and normal) or (not several and _contradicts_sign(read)) or _contradicts_side(read)


def _contradicts_sign(read: list[_Sentence]) -> bool:
    for index in range(len(_SIGNS)):
        stated = {sentence.signs[index] for sentence in read} - {"unknown"}
        if "none" in stated and len(stated) > 1:
            return True
    return False
