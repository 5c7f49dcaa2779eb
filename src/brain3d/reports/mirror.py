"""Mirroring words: the counterpart, in text, of `scans.mirror`."""

from __future__ import annotations

import re

from brain3d.reports.findings import mirror_side

# Spelled out: re.IGNORECASE would also take the Turkish dotless i for an i, and there would be no way back.
_SIDE_WORD = re.compile(
    r"(?<![^\W\d_])([Ll][Ee][Ff][Tt]|[Rr][Ii][Gg][Hh][Tt])"
    r"(?=(?i:wards?|most|sided(?:ness)?|hand(?:ed)?|ness)?(?![^\W\d_]))"
)


def _swap(match: re.Match[str]) -> str:
    word = match.group(1)
    other = mirror_side(word.lower())
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def mirror_text(text: str) -> str:
    """Swap left and right, as whole words and in "left-sided", "leftward", "leftmost", keeping their case.

    Twice gives the text back if its side words are in lower case, Capitalised or UPPER CASE; odd cases
    ("LeFt") are swapped into the nearest of these. Every such word is swapped, also the verb in "has left a
    scar" and the adverb in "right behind": telling them apart is not attempted, since a wrong word there
    costs a reader nothing and an unmirrored side would. Abbreviations (L, R, lt, rt) are not touched.
    """
    return _SIDE_WORD.sub(_swap, text)
