"""Taking the side out of a report whose side cannot be trusted."""

from __future__ import annotations

import re

from brain3d.reports.parse import parse_findings

SIDE_WITHHELD = "The side of the lesion could not be determined."

_LATERAL = r"(?:left|right)(?:[- ]?(?:sided|hand(?:ed)?)(?: side)?)?"
_ONE = rf"(?:{_LATERAL}(?:(?: and(?: the)? |/){_LATERAL})?)"
_HALF = r"(?:(?:cerebral )?hemispheres?|sides?|halves|half)"
_BOTH = rf"both(?: the)? {_HALF}"
_WHERE = rf"(?:(?:the |each |either )?{_ONE}(?: {_HALF})?|{_BOTH}|(?:each|either) {_HALF}|the mid-?line)"
_IN = r"(?:on|in|at|along|within|across|crossing)"
_TO = r"(?:of|on|in|at|along|to|towards?|from|crossing|across)"
_GOES_ON = r"(?:is|are|was|were|with|and(?! (?:the )?(?:left|right)\b)|but|there|side)"
_LOBES = r"(?:frontal|parietal|temporal|occipital|insul|thalam|cerebell|lateral ventric)"
_MIDLINE = r"\bmid-?line\b(?! (?:shift|structures|deviation|is|are)\b)"
# In order: whole phrases before the words that they hold.
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (rf"\b{_IN} {_WHERE} of the brain", "in the brain"),
        (rf"\b{_IN} {_WHERE}(?=, (?:involving|in)\b)", "in the brain"),
        (rf"\b(?:in|within) (?:the {_ONE} {_HALF}|{_BOTH})\b", "in the brain"),
        (rf"\b{_TO} {_WHERE}(?=\s*[.,;:)]|$)", ""),
        (rf"\b{_TO} (?:the {_ONE} (?:side|hemisphere)|{_BOTH})\b", ""),
        (rf"\b{_TO} the (?:left|right|mid-?line)\b(?= {_GOES_ON}\b)", ""),
        (rf"\bboth (?:the |cerebral )?{_HALF}\b", "the brain"),
        (rf"\bboth (?=(?:the )?{_LOBES})", "the "),
        (rf"\b(?:left|right)(?:wards?|most|ness)\b|\bbilateral(?:ly)?\b|\b{_ONE}\b|{_MIDLINE}", ""),
        (r"\bbi(?=(?:frontal|parietal|temporal|occipital|thalamic|hemispheric)\b)", ""),
    )
)
_TIDY = (
    (re.compile(r"[ \t]{2,}"), " "),
    (re.compile(r"\bthe the\b"), "the"),
    (re.compile(r" +([.,;:)])"), r"\1"),
    (re.compile(r"([(,]) *,"), r"\1"),
    (re.compile(r"(^|[.!?]\s+|\n)[ ,]+"), r"\1"),
    (
        re.compile(r"\b([Aa]) (?=(?:occipital|insul|isointense|extensive|abnormal|edematous|oedematous|area)\w*)"),
        r"\1n ",
    ),
)
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?]\s)|(?<=\n))[a-z]")


def withhold_side(text: str) -> str:
    """Take every side out of the words of a report and say in its first sentence that the side is not known.

    A normal report, or one that says nothing, is returned unchanged; a report is changed once only.
    """
    if not text.strip() or text.startswith(SIDE_WITHHELD) or parse_findings(text).normal:
        return text
    for pattern, replacement in (*_RULES, *_TIDY):
        text = pattern.sub(replacement, text)
    text = _SENTENCE_START.sub(lambda match: match.group().upper(), text.strip())
    return f"{SIDE_WITHHELD} {text}"
