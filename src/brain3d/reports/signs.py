"""Reading how much edema, necrosis and ventricular compression a clause states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from brain3d.reports.clauses import has_verb
from brain3d.reports.grammar import VENTRICLE, VENTRICLES_NORMAL
from brain3d.reports.patterns import Patterns
from brain3d.reports.statements import is_attribute

_RANK = {"unknown": 0, "none": 1, "present": 2, "mild": 3, "moderate": 4, "severe": 5}
_SEEN = (
    r"(?:seen|visible|present|identified|detected|found|observed|evident|demonstrated|noted|shown|appreciated"
    r"|apparent|obvious|visuali[sz]ed)"
)
_NOT_AFTER = re.compile(
    rf"^[^,;]*?(?:\bnot (?!only\b)(?:\w+ )?(?:{_SEEN}|significant|noticeable)\b|n't {_SEEN}\b"
    r"|\b(?:cannot|can not|can't|could not) be (?:\w+ )?(?:seen|identified|found|detected|demonstrated)\b"
    r"|\b(?:absent|lacking|(?<!not )excluded|(?<!not )ruled out)\b)"
    r"|^-free\b|^\s*(?::|-|is|are) (?:none|no|nil|negative)\b"
)
_OPEN = re.compile(
    r"\b(?:cannot|could not|can not|can't) be (?:\w+ )?"
    r"(?:determined|assessed|evaluated|judged|excluded|ruled out)\b"
    r"|\bnot (?:\w+ )?(?:excluded|ruled out)\b"
    rf"|\b(?:cannot|could not|can not|can't) be (?:clearly|definitely|reliably|well) {_SEEN}\b"
    rf"|\bnot (?:be )?(?:clearly|explicitly|definitely|reliably|well) {_SEEN}\b|\bnot (?:assess|evalu)able\b"
)
_OPEN_BEFORE = re.compile(
    r"\b(?:cannot|could not|can not|can't) (?:\w+ )?(?:exclude|rule out|assess|determine|tell)\b"
    r"|\b(?:unclear|uncertain|unknown|undetermined|not (?:\w+ )?(?:clear|certain|known|determined)) (?:whether|if)\b"
    r"|\b(?:do|does|did) not (?:clearly|explicitly|definitely|reliably) (?:show|demonstrate|display)\b"
)
# "The horn is not visible because of compression"
_CAUSED = re.compile(r"\b(?:because of|due to|owing to|caused by|as an? (?:result|consequence) of|from)\b")
_LIST = re.compile(r"^(?:\s*,)?\s*(?:and/or|and|or|nor)?(?: [\w-]+){0,2}\s*$")
_NOT_IN_LIST = re.compile(r"\b(?:but|with|without|around|in|of|no|not|near|by)\b")
# Of the ventricles where it is denied, though they are not named.
_BARE_COMPRESSION = re.compile(r"\bmass effect\b|\bcompression\b(?! of)")
_CLAUSE_PART = re.compile(r"[,;]")
_SIZE = re.compile(r"(?:large|small|massive)$")  # of the lesion in "a large necrotic mass"


@dataclass(frozen=True)
class Degree:
    """How much of a sign a clause states, and from where to where in the clause the words for it stand."""

    degree: str
    start: int
    end: int


@dataclass(frozen=True)
class _Mention:
    sign: str
    before: str
    after: str
    listed: bool  # coordinated with the mention before it: "edema, necrosis or ..."
    start: int
    end: int
    attribute: bool  # of a lesion named after it: "a necrotic mass"


def stronger(one: str, other: str) -> str:
    """The degree of a sign of which two statements are made: the stronger, a denial above silence."""
    return max(one, other, key=lambda degree: _RANK[degree])


def _spans(clause: str, patterns: Patterns) -> list[tuple[int, int, str]]:
    spans = [(m.start(), m.end(), sign) for sign, pattern in patterns.signs.items() for m in pattern.finditer(clause)]
    spans += [(m.start(), m.end(), "lesion") for m in patterns.lesion.finditer(clause)]
    return sorted(spans)


def _mentions(clause: str, patterns: Patterns) -> list[_Mention]:
    spans = _spans(clause, patterns)
    mentions = []
    for index, (start, end, sign) in enumerate(spans):
        before = clause[spans[index - 1][1] if index else 0 : start]
        after = clause[end : spans[index + 1][0] if index + 1 < len(spans) else len(clause)]
        if sign != "lesion" and index + 1 < len(spans) and spans[index + 1][2] == "lesion":
            # The lesion may stand between a sign and its verb: "the edema around the lesion is mild".
            after = clause[end : spans[index + 2][0] if index + 2 < len(spans) else len(clause)]
        listed = bool(index) and bool(_LIST.match(before)) and not _NOT_IN_LIST.search(before)
        attribute = sign != "lesion" and is_attribute(clause, start, end, patterns)
        mentions.append(_Mention(sign, before, after, listed and not has_verb(before), start, end, attribute))
    return mentions


def _strongest(words: str, patterns: Patterns) -> str:
    known = [name for name, pattern in patterns.degrees.items() if pattern.search(words)]
    return max(known, key=lambda degree: _RANK[degree]) if known else "severe"


def _own_degree(mention: _Mention, patterns: Patterns) -> Degree | None:
    """What a mention's own words say, or None where it stands bare."""
    before = _CLAUSE_PART.split(mention.before)[-1]
    first, last = mention.start - len(before), mention.end
    if patterns.not_severe.search(before) or patterns.not_severe.search(mention.after):
        return Degree("present", mention.start, mention.end)
    if match := _OPEN.search(mention.after):
        return Degree("unknown", mention.start, last + match.end())
    if _OPEN_BEFORE.search(before):
        return Degree("unknown", mention.start, mention.end)
    match = patterns.not_before.search(before)
    if match and not _CAUSED.search(before, match.end()):
        return Degree("none", first + match.start(), mention.end)
    match, said = _NOT_AFTER.search(mention.after), patterns.degree_after.search(mention.after)
    if match and not (said and said.end() < match.end()):  # "is marked on the left and absent on the right" is marked
        return Degree("none", mention.start, last + match.end())
    match = patterns.degree_before.search(before)
    if match and not (mention.attribute and _SIZE.match(match.group(1))):
        return Degree(_strongest(match.group(1), patterns), first + match.start(), mention.end)
    for pattern in (patterns.degree_after, patterns.degree_labelled):
        if match := pattern.search(mention.after):
            return Degree(_strongest(_matched(match), patterns), mention.start, last + match.end())
    return None


def _matched(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def _lists(mentions: list[_Mention]) -> list[list[_Mention]]:
    groups: list[list[_Mention]] = []
    for mention in mentions:
        if mention.listed:
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return groups


def _degrees(group: list[_Mention], patterns: Patterns) -> list[tuple[str, Degree]]:
    """Degrees in a list such as "no edema, necrosis or compression" or "edema and necrosis are mild"."""
    own = [_own_degree(mention, patterns) for mention in group]
    shared: str | None = None
    if own[0] and patterns.not_before.search(_CLAUSE_PART.split(group[0].before)[-1]):
        shared = own[0].degree
    elif len(group) > 1 and own[-1] and has_verb(group[-1].after):
        shared = own[-1].degree
    return [
        (mention.sign, degree or Degree(shared or "present", mention.start, mention.end))
        for mention, degree in zip(group, own, strict=True)
    ]


def read_signs(clause: str, patterns: Patterns, about_ventricles: bool = False) -> dict[str, Degree]:
    """The degree of every sign that `clause` speaks of.

    Compression counts where it is of the ventricles: they are named in the clause, or `about_ventricles` says
    that the sentence is about them.
    """
    ventricles = about_ventricles or VENTRICLE.search(clause) is not None
    result: dict[str, Degree] = {}
    for group in _lists(_mentions(clause, patterns)):
        for sign, found in _degrees(group, patterns):
            denied_effect = found.degree == "none" and _BARE_COMPRESSION.search(clause) is not None
            if sign == "lesion" or (sign == "ventricular_compression" and not (ventricles or denied_effect)):
                continue
            before = result.get(sign)
            if before is None or stronger(before.degree, found.degree) != before.degree:
                result[sign] = found
    if "ventricular_compression" not in result and (normal := VENTRICLES_NORMAL.search(clause)):
        result["ventricular_compression"] = Degree("none", normal.start(), normal.end())
    return result


def bare_degree(clause: str, patterns: Patterns) -> str | None:
    """The degree in a clause that says nothing else: "severe", "it is mild"."""
    match = patterns.degree_alone.search(clause)
    return _strongest(match.group(1), patterns) if match else None
