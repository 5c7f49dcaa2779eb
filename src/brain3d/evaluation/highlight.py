"""Two reports side by side: the words that findings were read from, coloured by what the other report has."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import NamedTuple

from brain3d.evaluation.degrees import credit
from brain3d.evaluation.score import overall_attribute, overall_regions
from brain3d.evaluation.stated import SIGNS, placed_regions
from brain3d.reports import Findings, Reading
from brain3d.reports.findings import overall_side

SHOWN = 3000
_MILDEST_FIRST = ("agree", "missing", "contradict")
_SAID = {"unknown": "not stated", "present": "without a degree"}


class Mark(NamedTuple):
    """A finding that words state, and what the other report has of it: the same, something else, or nothing."""

    verdict: str
    says: str


def _known(mine: str, theirs: str) -> str:
    """The verdict on a value; "" where this report leaves it open. A sign without the degree it has here lacks that."""
    if mine == "unknown":
        return ""
    right = credit(mine, theirs)
    if right == 1:
        return "agree"
    return "missing" if theirs == "unknown" or right > 0 else "contradict"


def judged(key: str, own: Findings, other: Findings) -> Mark:
    """What the other report has of the finding that `key` names: a key of the evidence's words, or "normal".

    As in the metrics, all lesions of a report are taken together.
    """
    if key in ("lesion", "normal"):
        there, against = bool(other.lesions), other.normal
        if key == "normal":
            there, against = against, there
        verdict = "agree" if there else "contradict" if against else "missing"
        return Mark(verdict, "a lesion" if key == "lesion" else "no lesion")
    if key == "side":
        return Mark(_known(overall_side(own), overall_side(other)), f"side: {overall_side(own)}")
    if key == "signal" or key in SIGNS:
        mine, theirs = overall_attribute(own, key), overall_attribute(other, key)
        return Mark(_known(mine, theirs), f"{key.replace('_', ' ')}: {mine}")
    return Mark("agree" if key in overall_regions(other) else "missing", f"region: {key}")


def _marks(reading: Reading, other: Findings) -> list[tuple[int, int, Mark]]:
    """The words that were read, from where to where, longer ones first; a word of several findings has one mark."""
    words = [(key, span) for lesion in reading.lesions for key, spans in lesion.words.items() for span in spans]
    words += [("normal", span) for span in reading.normal]
    verdicts = {key: judged(key, reading.findings, other) for key, _ in words}
    found: dict[tuple[int, int], list[Mark]] = {}
    for key, span in words:
        if verdicts[key].verdict:
            found.setdefault((span.start, span.end), []).append(verdicts[key])
    places = sorted(found, key=lambda place: (place[0] - place[1], place[0]))
    return [(start, end, _together(found[start, end])) for start, end in places]


def _together(marks: list[Mark]) -> Mark:
    """All that one piece of text says, coloured by where the other report departs from it most."""
    verdict = max((mark.verdict for mark in marks), key=_MILDEST_FIRST.index)
    return Mark(verdict, "; ".join(dict.fromkeys(mark.says for mark in marks)))


def coloured(text: str, reading: Reading, other: Findings) -> str:
    """`text` as HTML, escaped, with the words that findings were read from marked by what the other report has.

    Words within words (a side within a degree's sentence) keep their own mark. The text is cut after 3,000 characters,
    which is said.
    """
    shown = min(len(text), SHOWN)
    marks: list[Mark | None] = [None] * shown
    for start, end, mark in _marks(reading, other):
        marks[start : min(end, shown)] = [mark] * (min(end, shown) - start)
    parts = []
    for mark_here, run in groupby(range(shown), key=marks.__getitem__):
        places = list(run)
        words = escape(text[places[0] : places[-1] + 1])
        parts.append(words if mark_here is None else _marked(words, mark_here))
    if len(text) > SHOWN:
        parts.append(f" <em>[{len(text) - SHOWN} more characters]</em>")
    return "".join(parts)


def _marked(words: str, mark: Mark) -> str:
    return f'<mark class="{mark.verdict}" title="{escape(mark.says, quote=True)}">{words}</mark>'


def differences(reference: Reading, candidate: Reading) -> list[str]:
    """What the candidate has otherwise than the reference, in short sentences; without a lesion in both, that alone."""
    wanted, said = reference.findings, candidate.findings
    if bool(wanted.lesions) != bool(said.lesions):
        return ["the lesion is missing" if wanted.lesions else "a lesion that the reference does not have"]
    if wanted.normal and not said.normal:
        return ["that there is no lesion is not stated"]
    found = _places_apart(reference, candidate)
    for name in ("signal", *SIGNS):
        a, b = overall_attribute(wanted, name), overall_attribute(said, name)
        if a != "unknown" and credit(a, b) < 1:
            found.append(f"{name.replace('_', ' ')} {_SAID.get(b, b)} instead of {a}")
    return found


def _places_apart(reference: Reading, candidate: Reading) -> list[str]:
    found = []
    wanted, said = overall_side(reference.findings), overall_side(candidate.findings)
    if wanted != said:
        found.append(f"side {said} instead of {wanted}")
    missed = overall_regions(reference.findings) - overall_regions(candidate.findings)
    invented = overall_regions(candidate.findings) - overall_regions(reference.findings)
    if missed:
        found.append("regions missed: " + ", ".join(sorted(missed)))
    if invented:
        found.append("regions added: " + ", ".join(sorted(invented)))
    if not found and placed_regions(reference) != placed_regions(candidate):
        found.append("the same side and regions over all, but not the same region on the same side")
    return found
