"""Cutting a report into sentences and clauses."""

from __future__ import annotations

import re

from brain3d.reports.lexicon import LESION

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u2019": "'"})
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n\s*\n")
_ALWAYS = r"\b(?:but|while|whereas|although|though|however|except)\b"
_STARTER = (
    r"(?:there|the|an?|no|both|it|its|they|their|this|these|another|one|edema|oedema|swelling|necrosis"
    r"|ventricular|ventricles|compression|mild|moderate|severe|marked|slight|extensive|left|right)"
)
_BOUNDARY = re.compile(rf",?\s*{_ALWAYS},?\s*|(?:,\s*(?:and\s+)?|\s+and\s+)(?={_STARTER}\b)")
_VERB = re.compile(
    r"\b(?:is|are|was|were|be|appears?|shows?|seems?|remains?|extends?|involves?|causes?|has|have|lies?"
    r"|occupies|surrounds?|affects?|demonstrates?|exhibits?|crosses|compress(?:es)?|displaces?)\b"
)
_NEW_LESION = re.compile(r"^(?:an?|another|one)\b")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, lower-case, on one line each."""
    parts = _SENTENCE_END.split(text.translate(_DASHES).lower())
    return [" ".join(part.split()) for part in parts if part.strip()]


def has_verb(text: str) -> bool:
    """Whether a finite verb of the kind that reports use stands in `text`."""
    return _VERB.search(text) is not None


def _stands_alone(before: str, piece: str, boundary: str) -> bool:
    if re.search(_ALWAYS, boundary):
        return True
    if _NEW_LESION.match(piece) and LESION.search(piece) and LESION.search(before):
        return True
    return has_verb(before) and has_verb(piece)


def clauses(sentence: str) -> list[str]:
    """The clauses of one sentence: cut at "but" and its like, and where each part has its own verb."""
    found = list(_BOUNDARY.finditer(sentence))
    starts = [match.end() for match in found] + [len(sentence)]
    result, current, joined = [], sentence[: found[0].start()] if found else sentence, ""
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(sentence)
        piece = sentence[starts[index] : end]
        if _stands_alone(current, piece, match.group()):
            result.append(current)
            current = piece
        else:
            joined = match.group()
            current += joined + piece
    return [part.strip(" ,") for part in [*result, current] if part.strip(" ,")]
