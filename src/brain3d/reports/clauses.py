"""Cutting a sentence into clauses, and finding what each is about."""

from __future__ import annotations

import re

from brain3d.reports.grammar import ELLIPSIS, VERBS
from brain3d.reports.passage import Passage
from brain3d.reports.patterns import Patterns

_ALWAYS = r"\b(?:but|while|whereas|although|though|however|except)\b"
_STARTER = (
    r"(?:there|the|an?|no|both|it|its|they|their|this|these|another|one|two|three|edema|oedema|swelling|necrosis"
    r"|ventricular|ventricles|compression|mild|moderate|severe|marked|slight|extensive|left|right|high|low"
    r"|small|smaller|larger|second|additional|further|surrounding|peri-?(?:lesional|tumou?ral|focal)|vasogenic|necrotic|o?edematous|cystic|possible|probable)"
)
_JOINED = r"(?:and|as well as|together with|along with|in addition to)"
_BOUNDARY = re.compile(rf",?\s*{_ALWAYS},?\s*|(?:,\s*(?:{_JOINED}\s+)?|\s+{_JOINED}\s+)(?={_STARTER}\b)")
_CUTS_ALWAYS = re.compile(_ALWAYS)
_VERB = re.compile(rf"\b{VERBS}\b")
_AND_VERB = re.compile(r"(?:,|\band)(?: (?:also|then|\w+ly))* $")
_NEW_LESION = re.compile(r"^(?:an?|another|one|smaller|larger|second|additional|further)\b")
_LEAD = re.compile(
    r"^(?:(?:also|and|additionally|furthermore|moreover|overall|in addition|then|mainly),? )*"
    r"(?:(?:in|on|at|within|from) [^,]*, )?"
)
_EXPLETIVE = re.compile(r"^there (?:is|are|was|were|(?:appears?|seems?) to be)(?: also)?\b")
_HEAD_END = re.compile(
    r"\b(?:in|on|of|at|within|with|without|to|into|from|around|along|near|by|over|between|adjacent|next"
    r"|beside|for)\b|[,:]"
)


def has_verb(text: str) -> bool:
    """Whether a finite verb of the kind that reports use stands in `text`."""
    return _VERB.search(text) is not None


def subject(clause: str) -> str:
    """The words that `clause` is about: those before its verb, or those after "there is"."""
    text = _LEAD.sub("", clause)
    if expletive := _EXPLETIVE.match(text):
        return text[expletive.end() :].strip()
    verb = _VERB.search(text)
    return (text[: verb.start()] if verb else text).strip()


def head(clause: str) -> str:
    """The first words of the subject of `clause`, without what a preposition adds to them."""
    words = subject(clause)
    end = _HEAD_END.search(words)
    return (words[: end.start()] if end else words).strip()


def _is_ellipsis(before: str, piece: str, patterns: Patterns) -> bool:
    """Whether `piece` is "another in ..." or "the second is in ...", said of lesions and not of a sign."""
    if not ELLIPSIS.match(piece) or any(pattern.search(before) for pattern in patterns.signs.values()):
        return False
    return patterns.lesion.search(before) is not None or ELLIPSIS.match(before) is not None


def _stands_alone(before: str, piece: str, boundary: str, patterns: Patterns) -> bool:
    if _CUTS_ALWAYS.search(boundary) or _is_ellipsis(before, piece, patterns):
        return True
    if _NEW_LESION.match(piece) and patterns.lesion.search(piece) and patterns.lesion.search(before):
        return True
    return has_verb(before) and _has_own_verb(piece)


def _has_own_verb(piece: str) -> bool:
    """Whether the verb of `piece` has its subject there: not so in "the left lobe, and crosses the midline"."""
    verb = _VERB.search(piece)
    return verb is not None and not _AND_VERB.search(piece[: verb.start()])


def clauses(sentence: Passage, patterns: Patterns) -> list[Passage]:
    """The clauses of one sentence: cut at "but" and its like, and where each part has its own verb or lesion."""
    result, start, text = [], 0, sentence.text
    found = list(_BOUNDARY.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    for match, end in zip(found, ends):  # noqa: B905 - without a boundary there is one end too many
        if _stands_alone(text[start : match.start()], text[match.end() : end], match.group(), patterns):
            result.append(sentence.cut(start, match.start()))
            start = match.end()
    parts = [part.stripped() for part in [*result, sentence.cut(start)]]
    return [part for part in parts if part.text]
