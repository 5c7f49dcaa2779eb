"""Reading how much edema, necrosis and ventricular compression a clause states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from brain3d.reports.clauses import has_verb
from brain3d.reports.lexicon import DEGREE_WORDS, LESION, SIGNS, VENTRICLE, VENTRICLES_NORMAL

_RANK = {"unknown": 0, "none": 1, "present": 2, "mild": 3, "moderate": 4, "severe": 5}
_DEGREE_OF = {word: degree for degree, words in DEGREE_WORDS.items() for word in words}
_DEGREE = r"(?:high degree|" + "|".join(sorted(_DEGREE_OF, key=len, reverse=True)) + r")"
_STOP = r"(?!(?:with|and|in|on|around|by|of|is|are|the|from|to|but|or|signals?|lesions?|mass|tumou?r)\b)"
_BEFORE = re.compile(
    rf"\b({_DEGREE}(?: (?:to|and|or) {_DEGREE})?)(?:,? {_STOP}[\w/-]+){{0,3}}"
    r"(?: of(?: (?:the|mixed|surrounding|perilesional|vasogenic|adjacent))*)?\s*$"
)
_NOT_OF_THE_SIGN = r"(?![ -](?:high|low|hyper\w*|hypo\w*|iso\w*|signals?|lesion\w*|mass|tumou?r|portion|increased))"
_AFTER = re.compile(
    r"^[^,;]*?(?:\b(?:is|are|was|were|appears?|seems?|remains?|looks?|be)\b"
    r"(?: (?!by\b|in\b|to\b)[\w-]+){0,3}?|:| -) "
    rf"({_DEGREE}(?: (?:to|and|or) {_DEGREE})?)\b{_NOT_OF_THE_SIGN}"
    rf"|\bto an? ({_DEGREE}) (?:degree|extent)\b"
)
# "Edema: the left insula, moderate". A degree before the next sign, which a space parts from it, is that sign's.
_LABELLED = re.compile(rf"^\s*(?::|-) [^;]*?, ({_DEGREE}(?: (?:to|and|or) {_DEGREE})?)(?:,|$)")
_SEEN = (
    r"(?:seen|visible|present|identified|detected|found|observed|evident|demonstrated|noted|shown|appreciated"
    r"|apparent|obvious|visuali[sz]ed)"
)
_NOT_BEFORE = re.compile(
    r"\b(?:no|without|not|nor|neither|never|absence of|free of|lacks?|lacking|negative for|devoid of"
    r"|absent)\b"
    r"(?! (?:only|more than|less than)\b)"
)
_NOT_SEVERE = re.compile(r"\bnot (?:very |particularly )?(?:" + "|".join(DEGREE_WORDS["severe"]) + r")\b")
_NOT_AFTER = re.compile(
    rf"^[^,;]*?(?:\bnot (?:\w+ )?{_SEEN}\b|n't {_SEEN}\b|\b(?:absent|lacking|excluded|ruled out)\b)"
    r"|^\s*(?::|-|is|are) (?:none|no|nil|negative)\b"
)
_OPEN = re.compile(
    r"\b(?:cannot|could not|can not|can't) be (?:\w+ )?"
    r"(?:determined|assessed|evaluated|judged|excluded|ruled out)\b"
    rf"|\bnot (?:be )?(?:clearly|explicitly|definitely|reliably|well) {_SEEN}\b|\bnot (?:assess|evalu)able\b"
)
_LIST = re.compile(r"^(?:\s*,)?\s*(?:and/or|and|or|nor)?(?: [\w-]+){0,2}\s*$")
_NOT_IN_LIST = re.compile(r"\b(?:but|with|without|around|in|of|no|not|near|by)\b")


@dataclass(frozen=True)
class _Mention:
    sign: str
    before: str
    after: str
    listed: bool  # coordinated with the mention before it: "edema, necrosis or ..."


def stronger(one: str, other: str) -> str:
    """The degree of a sign of which two statements are made: the stronger, a denial above silence."""
    return max(one, other, key=lambda degree: _RANK[degree])


def _spans(clause: str) -> list[tuple[int, int, str]]:
    spans = [(m.start(), m.end(), sign) for sign, pattern in SIGNS.items() for m in pattern.finditer(clause)]
    spans += [(m.start(), m.end(), "lesion") for m in LESION.finditer(clause)]
    return sorted(spans)


def _mentions(clause: str) -> list[_Mention]:
    spans = _spans(clause)
    mentions = []
    for index, (start, end, sign) in enumerate(spans):
        before = clause[spans[index - 1][1] if index else 0 : start]
        after = clause[end : spans[index + 1][0] if index + 1 < len(spans) else len(clause)]
        if sign != "lesion" and index + 1 < len(spans) and spans[index + 1][2] == "lesion":
            # The lesion may stand between a sign and its verb: "the edema around the lesion is mild".
            after = clause[end : spans[index + 2][0] if index + 2 < len(spans) else len(clause)]
        listed = bool(index) and bool(_LIST.match(before)) and not _NOT_IN_LIST.search(before)
        mentions.append(_Mention(sign, before, after, listed and not has_verb(before)))
    return mentions


def _strongest(words: str) -> str:
    degrees = [_DEGREE_OF.get(word, "") for word in re.split(r"[\s,]+", words)]
    known = [degree for degree in degrees if degree]
    return max(known, key=lambda degree: _RANK[degree]) if known else "severe"


def _own_degree(mention: _Mention) -> str | None:
    """What a mention's own words say, or None where it stands bare."""
    before = re.split(r"[,;]", mention.before)[-1]
    if _NOT_SEVERE.search(before) or _NOT_SEVERE.search(mention.after):
        return "present"
    if _OPEN.search(mention.after):
        return "unknown"
    if _NOT_BEFORE.search(before) or _NOT_AFTER.search(mention.after):
        return "none"
    if match := _BEFORE.search(before):
        return _strongest(match.group(1))
    if match := _AFTER.search(mention.after):
        return _strongest(match.group(1) or match.group(2))
    if match := _LABELLED.search(mention.after):
        return _strongest(match.group(1))
    return None


def _lists(mentions: list[_Mention]) -> list[list[_Mention]]:
    groups: list[list[_Mention]] = []
    for mention in mentions:
        if mention.listed:
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return groups


def _degrees(group: list[_Mention]) -> list[tuple[str, str]]:
    """Degrees in a list such as "no edema, necrosis or compression" or "edema and necrosis are mild"."""
    own = [_own_degree(mention) for mention in group]
    shared: str | None = None
    if _NOT_BEFORE.search(re.split(r"[,;]", group[0].before)[-1]):
        shared = own[0]
    elif len(group) > 1 and has_verb(group[-1].after):
        shared = own[-1]
    return [(mention.sign, degree or shared or "present") for mention, degree in zip(group, own, strict=True)]


def read_signs(clause: str, about_ventricles: bool = False) -> dict[str, str]:
    """The degree of every sign that `clause` speaks of.

    Compression counts where it is of the ventricles: they are named in the clause, or `about_ventricles` says
    that the sentence is about them.
    """
    ventricles = about_ventricles or VENTRICLE.search(clause) is not None
    result: dict[str, str] = {}
    for group in _lists(_mentions(clause)):
        for sign, degree in _degrees(group):
            denied_effect = degree == "none" and "mass effect" in clause
            if sign == "lesion" or (sign == "ventricular_compression" and not (ventricles or denied_effect)):
                continue
            result[sign] = stronger(result.get(sign, "unknown"), degree)
    if VENTRICLES_NORMAL.search(clause):
        result.setdefault("ventricular_compression", "none")
    return result
