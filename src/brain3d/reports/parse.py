"""Reading findings out of a report.

A lesion's side and regions come from the statement of the lesion alone. A sentence on edema, necrosis,
ventricular compression or midline shift may name a side and regions too: the sign's, which are not read.
A clause that names neither goes on about the lesion only if its subject is one that a lesion's clause has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from brain3d.reports import lexicon
from brain3d.reports.clauses import clauses, has_verb, head, sentences, subject
from brain3d.reports.findings import REGIONS, Findings, Lesion
from brain3d.reports.signs import read_signs, stronger

_ATTRIBUTE = re.compile(r"(?:necrotic|o?edematous|enhancing|cystic|liquefied)$")
_ATTRIBUTE_GAP = re.compile(
    r"(?:,? (?!(?:in|of|with|within|without|around|near|by|from|to|is|are|was|were|shows?|areas?|regions?|tissue"
    r"|cores?|changes?|parts?|portions?|material)\b)[\w-]+){0,3} "
)
_DENIED_BEFORE = re.compile(
    r"\b(?:no|without|nor|neither|never|absence of|free of|lacks?|negative for|devoid of|rather than"
    r"|not (?:show|demonstrate|reveal|contain|have))\b(?! (?:doubt|change|more than))"
    r"(?: (?!(?:around|in|within|inside|next|near|beside|surround\w*|adjacent|is|are"
    r"|seen|causes?|by|from|to)\b)[\w,/-]+){0,7} $"
)
_DENIED_AFTER = re.compile(
    r"^[^,;]*?\b(?:is|are|was|were|be)(?: not|n't) (?:\w+ )?(?:seen|visible|present|identified|detected|found"
    r"|observed|evident|demonstrated|noted|shown|appreciated)\b|^[^,;]*?\b(?:is|are) absent\b"
)
_CUT = re.compile(
    r",|\b(?:with|without|and|but|causing|causes?|producing|which|showing|shows?|surrounded|accompanied|plus"
    r"|exerts?|exerting|has|have|is|are|exhibits?|demonstrates?|resulting)\b"
)
_PREDICATE = re.compile(
    r"(?<!\bthat )(?<!\bwhich )\b(?:is|are|was|were|lies?|sits?|occupies|occupy|involves?|affects?)\b"
)
_VERB_SIGN = re.compile(
    r"^(?:compress(?:es|ing)?|effac(?:es|ing)|deforms?|deforming|displac(?:es|ing)|distorts?|squeez(?:es|ing)"
    r"|flatten(?:s|ing)|press(?:es|ing)|push(?:es|ing))$"
)


@dataclass
class _Reading:
    """What has been read so far; `topic` is what the last clause was about, and a bare clause goes on."""

    lesions: list[Lesion] = field(default_factory=list)
    topic: str = ""
    early_signs: dict[str, str] = field(default_factory=dict)  # stated before any lesion
    normal: bool = False
    sign_seen: bool = False
    side_withheld: bool = False

    def findings(self) -> Findings:
        if not self.lesions:
            return Findings(normal=self.normal and not self.sign_seen)
        if self.side_withheld:
            return Findings(False, tuple(replace(lesion, side="unknown") for lesion in self.lesions))
        return Findings(False, tuple(self.lesions))


def _side(text: str) -> str:
    text = lexicon.NOT_A_SIDE.sub(" ", text)
    named = {match.group(1) for match in lexicon.LATERAL.finditer(text)}
    if lexicon.BILATERAL.search(text) or len(named) == 2:
        return "bilateral"
    if named:
        return named.pop()
    return "midline" if lexicon.MIDLINE.search(text) else "unknown"


def _regions(text: str) -> tuple[str, ...]:
    return tuple(name for name in REGIONS if lexicon.REGION_PATTERNS[name].search(text))


def _signal(text: str) -> str:
    found = {name for name, pattern in lexicon.SIGNAL_PATTERNS.items() if pattern.search(text)}
    if lexicon.SIGNAL_NOUN.search(text):
        found |= {name for name, pattern in lexicon.SIGNAL_ADJECTIVES.items() if pattern.search(text)}
    if len(found) > 1 or "mixed" in found:
        return "mixed"
    return found.pop() if found else "unknown"


def _is_attribute(clause: str, start: int, end: int) -> bool:
    """Whether the sign describes a lesion named after it: "a necrotic mass", not "a necrotic mass core" or "focus"."""
    attribute = _ATTRIBUTE.match(clause[start:end])
    lesion = lexicon.LESION.search(clause, end) if attribute else None
    if lesion is None or attribute is None or lexicon.LESION_PART.match(clause, lesion.end()):
        return False
    if attribute.group() != "enhancing" and lexicon.WEAK_LESION.match(lesion.group()):
        return False
    return _ATTRIBUTE_GAP.fullmatch(clause, end, lesion.start()) is not None


def _topic_spans(clause: str) -> list[tuple[int, int, str]]:
    """Where the clause names a topic, in order; a lesion's attribute ("a necrotic mass") is none."""
    spans = [(m.start(), m.end(), "lesion") for m in lexicon.LESION.finditer(clause)]
    topics = [*lexicon.SIGNS.items(), ("other", lexicon.OTHER_TOPIC), ("necrosis", lexicon.CYSTIC)]
    for topic, pattern in topics:
        found = [(m.start(), m.end(), topic) for m in pattern.finditer(clause)]
        spans += [span for span in found if not _is_attribute(clause, span[0], span[1])]
    return sorted(spans)


def _names_place(text: str) -> bool:
    return bool(_regions(text)) or _side(text) != "unknown"


def _before(clause: str, sign: tuple[int, int, str]) -> str:
    """What `clause` says before it turns to `sign`."""
    part = clause[: sign[0]]
    cuts = [] if _VERB_SIGN.match(clause[sign[0] : sign[1]]) else list(_CUT.finditer(part))
    return part[: cuts[-1].start()] if cuts else part


def _lesion_part(clause: str, spans: list[tuple[int, int, str]]) -> str:
    """The part of a lesion's statement that is about the lesion, before it turns to a sign."""
    signs = [span for span in spans if span[2] != "lesion"]
    if not signs:
        return clause
    part = _before(clause, signs[0])
    located = signs[0][2] not in ("edema", "necrosis") or _names_place(part)
    return part if located else _around_sign(clause, signs)


def _around_sign(clause: str, signs: list[tuple[int, int, str]]) -> str:
    """The lesion's part where its place comes after the sign: "a lesion with edema is seen in the left insula".

    A place between the sign and the verb is the sign's: "a lesion with edema in the right insula is seen in ...".
    """
    verb = _PREDICATE.search(clause, signs[0][1])
    if verb is None:
        return clause
    later = next((sign for sign in signs if sign[0] > verb.start()), None)
    tail = (clause if later is None else _before(clause, later))[verb.start() :]
    if not _names_place(tail):
        return clause
    between = clause[signs[0][1] : verb.start()]
    return f"{clause[: signs[0][0] if _names_place(between) else verb.start()]} {tail}"


def _denied(clause: str) -> bool:
    """Whether every lesion that the clause names is denied."""
    clause = lexicon.NO_CHANGE.sub(" ", clause)
    return all(
        _DENIED_BEFORE.search(clause[: match.start()]) or _DENIED_AFTER.match(clause[match.end() :])
        for match in lexicon.LESION.finditer(clause)
    )


def _is_new(clause: str) -> bool:
    return any(lexicon.INDEFINITE.search(clause[: m.start()]) for m in lexicon.LESION.finditer(clause))


def _without_ventricles(text: str) -> str:
    """`text` without ventricles and their sides, save where they say where something is: "near the ventricle"."""
    return lexicon.VENTRICLE_PHRASE.sub(lambda match: match.group() if match.group(1) else " ", text)


def _about_ventricle(clause: str) -> bool:
    """Whether the subject of the clause is a ventricle, or the only place that it names is a ventricle's side."""
    first = head(clause)
    if lexicon.VENTRICLE.search(first) and not lexicon.LESION.search(first):
        return True
    return _side(clause) != "unknown" and not _names_place(_without_ventricles(clause))


def _goes_on(clause: str) -> bool:
    """Whether a clause that names no topic goes on about the lesion: its subject is the lesion's, or it has none."""
    first = head(clause)
    if not first or lexicon.INVOLVED.search(clause):
        return True
    if lexicon.AROUND.search(subject(clause)):
        return False
    if lexicon.OF_THE_LESION.fullmatch(first):
        return True
    return not (has_verb(clause) or lexicon.UNAFFECTED.search(clause) or first.startswith(("the ", "a ", "an ")))


def _described(text: str) -> Lesion:
    text = _without_ventricles(lexicon.SPARED.sub(" ", text))
    return Lesion(side=_side(text), regions=_regions(text), signal=_signal(text))


def _both(one: str, other: str, mixture: str) -> str:
    if "unknown" in (one, other):
        return other if one == "unknown" else one
    return one if one == other else mixture


def _merged(lesion: Lesion, more: Lesion) -> Lesion:
    """One lesion from two statements about it; a midline named beside a side does not change the side."""
    sides = {lesion.side, more.side} - {"unknown"}
    side = _both(lesion.side, more.side, "bilateral")
    if "midline" in sides and len(sides) == 2:
        side = (sides - {"midline"}).pop()
    regions = tuple(name for name in REGIONS if name in lesion.regions or name in more.regions)
    return replace(lesion, side=side, regions=regions, signal=_both(lesion.signal, more.signal, "mixed"))


def _place(lesion: Lesion) -> tuple[str, tuple[str, ...]]:
    return lesion.side, lesion.regions


def _located(lesion: Lesion) -> bool:
    return _place(lesion) != ("unknown", ())


def _state_lesion(reading: _Reading, clause: str, part: str) -> None:
    lesion = _described(part)
    last = reading.lesions[-1] if reading.lesions else None
    elsewhere = last is not None and _place(last) != _place(lesion) and _located(last) and _located(lesion)
    if last is None:
        early: dict[str, Any] = reading.early_signs
        reading.lesions.append(replace(lesion, **early))
    elif elsewhere and _is_new(clause):
        reading.lesions.append(lesion)
    else:
        reading.lesions[-1] = _merged(last, lesion)
    reading.topic = "lesion"


def _state_signs(reading: _Reading, signs: dict[str, str]) -> None:
    """A sign belongs to the lesion stated last, and to earlier ones of which nothing else was said.

    One stated before any lesion belongs to the first.
    """
    for sign, degree in signs.items():
        reading.sign_seen |= degree not in ("none", "unknown")
        if not reading.lesions:
            reading.early_signs[sign] = stronger(reading.early_signs.get(sign, "unknown"), degree)
        for index, lesion in enumerate(reading.lesions):
            before = getattr(lesion, sign)
            if index == len(reading.lesions) - 1 or before == "unknown":
                change: dict[str, Any] = {sign: stronger(before, degree)}
                reading.lesions[index] = replace(lesion, **change)


def _only_around(clause: str) -> bool:
    """Whether the clause names lesions only to say that something else is around them."""
    return all(lexicon.AROUND_LESION.search(clause[: m.start()]) for m in lexicon.LESION.finditer(clause))


def _only_parts(clause: str) -> bool:
    """Whether the clause is on parts of lesions, or what is around them, alone: "the lesion core"."""
    return all(
        lexicon.PART_OF_LESION.search(before)
        or lexicon.LESION_PART.match(after)
        or lexicon.AROUND_LESION.search(before)
        for before, after in ((clause[: m.start()], clause[m.end() :]) for m in lexicon.LESION.finditer(clause))
    )


def _is_statement(reading: _Reading, clause: str, spans: list[tuple[int, int, str]]) -> bool:
    """Whether the clause states a lesion, rather than pointing back at one while it speaks of a sign."""
    known = bool(reading.lesions)
    if _about_ventricle(clause) and (known or not spans):
        return False
    if not spans and known:
        return reading.topic == "lesion" and _goes_on(clause)
    if not spans:
        around = lexicon.AROUND.search(subject(clause)) is not None
        return _signal(clause) != "unknown" and bool(_regions(clause)) and not around
    if spans[0][2] != "lesion" or _only_around(clause):
        return False
    if known and _names_place(clause) and _located(reading.lesions[-1]) and _only_parts(clause):
        return False
    return not known or _is_new(clause) or all(topic == "lesion" for _, _, topic in spans)


def _agent(reading: _Reading, clause: str, spans: list[tuple[int, int, str]]) -> str:
    """In a clause on a sign, before any lesion was stated: the words on the lesion that brings the sign about."""
    if reading.lesions or not spans or spans[0][2] == "lesion":
        return ""
    for match in lexicon.LESION.finditer(clause):
        if agent := lexicon.AGENT.search(clause[: match.start()]):
            return clause[agent.start() :]
    return ""


def _new_topic(reading: _Reading, clause: str, spans: list[tuple[int, int, str]]) -> str:
    if _about_ventricle(clause):
        return "ventricular_compression"
    if spans and not (spans[0][2] == "lesion" and _only_parts(clause)):
        return spans[0][2]
    return "other" if _names_place(clause) else reading.topic


def _read_clause(reading: _Reading, clause: str, about_ventricles: bool) -> None:
    if lexicon.UNDETERMINED_SIDE.search(clause):
        reading.side_withheld = True
        if not _regions(clause):
            return
    spans = _topic_spans(clause)
    signs = read_signs(clause, about_ventricles)
    named = any(topic == "lesion" for _, _, topic in spans)
    reading.normal |= lexicon.NORMAL_BRAIN.search(clause) is not None
    if named and _denied(clause):
        reading.normal |= lexicon.NOT_A_WHOLE_NORMAL.search(clause) is None
        reading.topic = "other"
        signs = signs if reading.lesions else {s: d for s, d in signs.items() if d not in ("none", "unknown")}
    elif _is_statement(reading, clause, spans):
        _state_lesion(reading, clause, _lesion_part(clause, spans))
    elif agent := _agent(reading, clause, spans):
        _state_lesion(reading, agent, _lesion_part(agent, _topic_spans(agent)))
    else:
        reading.topic = _new_topic(reading, clause, spans)
    _state_signs(reading, signs)


def parse_findings(text: str) -> Findings:
    """What the report `text` says, in closed lists. Text that says nothing of the brain gives no lesions."""
    reading = _Reading()
    for sentence in sentences(text):
        if lexicon.OTHER_ORGANS.search(sentence):
            continue
        about_ventricles = lexicon.VENTRICLE.search(sentence) is not None
        for clause in clauses(sentence):
            _read_clause(reading, clause, about_ventricles)
    return reading.findings()
