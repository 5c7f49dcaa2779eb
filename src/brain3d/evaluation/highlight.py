"""Two reports side by side: the words on findings coloured by whether the other report agrees."""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

from brain3d.evaluation.score import overall_attribute, overall_regions, same_degree
from brain3d.evaluation.stated import SIGNS
from brain3d.reports.findings import Findings, overall_side

SHOWN = 3000
_SIDE_WORDS = r"left(?:-sided)?|right(?:-sided)?|bilateral(?:ly)?|both (?:sides|hemispheres|halves)|midline"
_REGION_WORDS = {
    "frontal": r"(?:bi)?frontal|fronto\w*",
    "parietal": r"parietal|parieto\w*",
    "temporal": r"temporal|temporo\w*",
    "occipital": r"occipital|occipito\w*",
    "insula": r"insula\w*",
    "deep grey matter": r"basal ganglia|thalam\w+|deep gr[ae]y (?:matter|nuclei)|putamen|caudate",
    "corpus callosum": r"corpus callosum|callosal",
    "periventricular": r"periventricular",
    "cerebellum": r"cerebell\w+",
    "brainstem": r"brain ?stem|pons|midbrain|medulla",
}
_SIGN_WORDS = {
    "edema": r"o?edemas?|o?edematous|swelling|swollen",
    "necrosis": r"necros[ei]s|necrotic",
    "ventricular_compression": r"(?:ventricular )?compression(?: of the ventricles)?|compress(?:ed|es|ing)",
}
_LESION_WORDS = r"lesions?|mass(?:es)?|tumou?rs?|abnormalit(?:y|ies)"
_NAMED = {
    "side": _SIDE_WORDS,
    "lesion": _LESION_WORDS,
    **{f"region:{name}": words for name, words in _REGION_WORDS.items()},
    **{f"sign:{name}": words for name, words in _SIGN_WORDS.items()},
}
_GROUPS = {f"g{index}": name for index, name in enumerate(_NAMED)}
_WORDS = re.compile(
    r"\b(?:" + "|".join(f"(?P<g{index}>{words})" for index, words in enumerate(_NAMED.values())) + r")\b",
    re.IGNORECASE,
)


class Verdict(NamedTuple):
    """Whether the other report agrees with one thing that is named: "agree", "contradict", or "" (not told)."""

    what: str
    verdict: str


def _agreement(agrees: bool) -> str:
    return "agree" if agrees else "contradict"


def verdict(what: str, own: Findings, other: Findings) -> str:
    """How the other report's findings stand to what this report's words name."""
    if what == "side":
        side = overall_side(own)
        return "" if side == "unknown" else _agreement(side == overall_side(other))
    if what == "lesion":
        return _agreement(bool(own.lesions) == bool(other.lesions))
    kind, name = what.split(":")
    if kind == "region":
        return _agreement(name in overall_regions(other)) if name in overall_regions(own) else ""
    mine, theirs = overall_attribute(own, name), overall_attribute(other, name)
    if mine == "unknown" or (mine == "none" and theirs == "unknown"):
        return ""
    return _agreement(same_degree(mine, theirs))


def coloured(text: str, own: Findings, other: Findings) -> str:
    """`text` as HTML, escaped, with the words on findings marked; cut after 3,000 characters, which is said."""
    shown = text[:SHOWN]
    parts, end = [], 0
    for match in _WORDS.finditer(shown):
        found = verdict(_GROUPS[match.lastgroup or ""], own, other)
        parts.append(escape(shown[end : match.start()]))
        word = escape(match.group())
        parts.append(f'<mark class="{found}">{word}</mark>' if found else word)
        end = match.end()
    parts.append(escape(shown[end:]))
    if len(text) > SHOWN:
        parts.append(f" <em>[{len(text) - SHOWN} more characters]</em>")
    return "".join(parts)


def differences(reference: Findings, candidate: Findings) -> list[str]:
    """What the candidate has otherwise than the reference, in short sentences."""
    found = []
    if bool(reference.lesions) != bool(candidate.lesions):
        found.append("the lesion is missing" if reference.lesions else "a lesion that the reference does not have")
    wanted, said = overall_side(reference), overall_side(candidate)
    if wanted != said and reference.lesions and candidate.lesions:
        found.append(f"side {said} instead of {wanted}")
    missed = overall_regions(reference) - overall_regions(candidate)
    invented = overall_regions(candidate) - overall_regions(reference)
    if missed:
        found.append("regions missed: " + ", ".join(sorted(missed)))
    if invented:
        found.append("regions added: " + ", ".join(sorted(invented)))
    for name in SIGNS:
        a, b = overall_attribute(reference, name), overall_attribute(candidate, name)
        if a != "unknown" and (a, b) != ("none", "unknown") and not same_degree(a, b):
            found.append(f"{name.replace('_', ' ')} {'not stated' if b == 'unknown' else b} instead of {a}")
    return found
