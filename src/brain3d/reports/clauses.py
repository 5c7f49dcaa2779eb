"""Cutting a report into sentences and clauses."""

from __future__ import annotations

import re

from brain3d.reports.lexicon import LESION, SIGNS, VERBS

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u2019": "'"})
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n\s*\n")
_ALWAYS = r"\b(?:but|while|whereas|although|though|however|except)\b"
_STARTER = (
    r"(?:there|the|an?|no|both|it|its|they|their|this|these|another|one|edema|oedema|swelling|necrosis"
    r"|ventricular|ventricles|compression|mild|moderate|severe|marked|slight|extensive|left|right|high|low"
    r"|surrounding|peri-?(?:lesional|tumou?ral|focal)|vasogenic|necrotic|o?edematous|cystic)"
)
_BOUNDARY = re.compile(rf",?\s*{_ALWAYS},?\s*|(?:,\s*(?:and\s+)?|\s+and\s+)(?={_STARTER}\b)")
_VERB = re.compile(rf"\b{VERBS}\b")
_NEW_LESION = re.compile(r"^(?:an?|another|one)\b")
_ELLIPSIS = re.compile(
    r"^another(?: one)?(?= (?:(?:is|lies|seen|located|found|present|visible) ){0,2}(?:in|on|at|within)\b)"
)
_LEAD = re.compile(
    r"^(?:(?:also|and|additionally|furthermore|moreover|overall|in addition|then|mainly),? )*"
    r"(?:(?:in|on|at|within|from) [^,]*, )?"
)
_EXPLETIVE = re.compile(r"^there (?:is|are|was|were|(?:appears?|seems?) to be)(?: also)?\b")
_HEAD_END = re.compile(
    r"\b(?:in|on|of|at|within|with|without|to|into|from|around|along|near|by|over|between|adjacent|next"
    r"|beside|for)\b|[,:]"
)


def sentences(text: str) -> list[str]:
    """The sentences of `text`, lower-case, on one line each."""
    parts = _SENTENCE_END.split(text.translate(_DASHES).lower())
    return [" ".join(part.split()) for part in parts if part.strip()]


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


def _names_sign(text: str) -> bool:
    return any(pattern.search(text) for pattern in SIGNS.values())


def _is_ellipsis(before: str, piece: str) -> bool:
    """Whether `piece` is "another in ...", with a lesion, and no sign, for what it is another of."""
    return bool(_ELLIPSIS.match(piece) and LESION.search(before)) and not _names_sign(before)


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
    result, current = [], sentence[: found[0].start()] if found else sentence
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(sentence)
        piece = sentence[starts[index] : end]
        if _is_ellipsis(current, piece):
            result.append(current)
            current = _ELLIPSIS.sub("another lesion", piece)
        elif _stands_alone(current, piece, match.group()):
            result.append(current)
            current = piece
        else:
            current += match.group() + piece
    return [part.strip(" ,") for part in [*result, current] if part.strip(" ,")]
