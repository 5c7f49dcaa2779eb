"""Telling what a clause is about: whether it states a lesion, denies one, or speaks of something else."""

from __future__ import annotations

import re

from brain3d.reports import grammar
from brain3d.reports.clauses import has_verb, head, subject
from brain3d.reports.passage import Passage
from brain3d.reports.patterns import Patterns
from brain3d.reports.places import names_place, side_of, without_ventricles

Topic = tuple[int, int, str]  # from where to where a clause names a topic, and which

_ATTRIBUTE = re.compile(r"(?:necrotic|o?edematous|enhancing|cystic|liquefied)$")
_ATTRIBUTE_GAP = re.compile(
    r"(?:(?:,? |[-/])(?!(?:in|of|with|within|without|around|near|by|from|to|is|are|was|were|shows?|areas?|regions?"
    r"|tissue|cores?|changes?|parts?|portions?|material)\b)[\w-]+){0,3} "
)
_DENIED_AFTER = re.compile(
    r"^[^,;]*?\b(?:is|are|was|were|be)(?: not|n't) (?:\w+ )?(?:seen|visible|present|identified|detected|found"
    r"|observed|evident|demonstrated|noted|shown|appreciated)\b|^[^,;]*?\b(?:(?:is|are) absent\b"
    r"|(?:cannot|can not|can't|could not) be (?:\w+ )?(?:seen|identified|found|detected|demonstrated)\b)"
    r"|^-free\b|^(?::| -) (?:none|nil|no|absent|negative)\b"
)
_HEDGE_GAP = re.compile(r"(?: (?!(?:lesion|with|which|that|seen|shows?|in)\b)[\w,-]+){0,6} $")
_HEDGED_AFTER = re.compile(
    r"^[^,;]*?\b(?:(?:cannot|can not|can't|could not) be (?:\w+ )?(?:excluded|ruled out)"
    r"|(?:is|are|was|were) (?:\w+ly )?(?:suspected|possible|questionable|questioned|not excluded|equivocal|probable)"
    r"|(?:may|might|could) (?:also )?be (?:present|seen|visible|there)"
    r"|(?:is|are|may be|might be|could be) (?:\w+ )?(?:an? )?art[ei]facts?)\b"
    r"|^,? (?:versus|vs)\b"
)
_CUT = re.compile(
    r",|\b(?:with|without|and|but|causing|causes?|producing|which|showing|shows?|surrounded|accompanied|plus"
    r"|exerts?|exerting|has|have|is|are|exhibits?|demonstrates?|resulting)\b"
)
_PREDICATE = re.compile(
    r"(?<!\bthat )(?<!\bwhich )\b(?:is|are|was|were|lies?|sits?|occupies|occupy|involves?|affects?)\b"
)
# Of the lesion, not of a ventricle: "the part in the parietal lobe is smaller"
_SMALLER_PART = re.compile(
    r"\b(?:parts?|portions?|components?|lobes?|areas?|regions?|ones?) (?:\w+ly )?(?:is|are|being) (?:\w+ )?(smaller)\b"
)
_VERB_SIGN = re.compile(
    r"^(?:compress(?:es|ing)?|effac(?:es|ing)|deforms?|deforming|displac(?:es|ing)|distorts?|squeez(?:es|ing)"
    r"|flatten(?:s|ing)|press(?:es|ing)|push(?:es|ing))$"
)


def is_attribute(clause: str, start: int, end: int, patterns: Patterns) -> bool:
    """Whether the sign describes a lesion named after it: "a necrotic mass", not "a necrotic mass core" or "focus"."""
    attribute = _ATTRIBUTE.match(clause[start:end])
    lesion = patterns.lesion.search(clause, end) if attribute else None
    if lesion is None or attribute is None or grammar.LESION_PART.match(clause, lesion.end()):
        return False
    if attribute.group() != "enhancing" and patterns.weak_lesion.match(lesion.group()):
        return False
    return _ATTRIBUTE_GAP.fullmatch(clause, end, lesion.start()) is not None


def topics(clause: str, patterns: Patterns) -> list[Topic]:
    """Where the clause names a topic, in order; a lesion's attribute ("a necrotic mass") is none."""
    spans = [(m.start(), m.end(), "lesion") for m in patterns.lesion.finditer(clause)]
    smaller_part = _SMALLER_PART.search(clause)
    others = [*patterns.signs.items(), ("other", patterns.other_topic), ("necrosis", patterns.cystic)]
    for topic, pattern in others:
        found = [(m.start(), m.end(), topic) for m in pattern.finditer(clause)]
        spans += [span for span in found if not is_attribute(clause, span[0], span[1], patterns)]
    if smaller_part:
        spans = [span for span in spans if span[:2] != smaller_part.span(1)]
    return sorted(spans)


def _before(clause: str, sign: Topic) -> int:
    """Up to where `clause` speaks before it turns to `sign`."""
    part = clause[: sign[0]]
    cuts = [] if _VERB_SIGN.match(clause[sign[0] : sign[1]]) else list(_CUT.finditer(part))
    return cuts[-1].start() if cuts else sign[0]


def lesion_part(clause: Passage, patterns: Patterns) -> Passage:
    """The part of a lesion's statement that is about the lesion, before it turns to a sign."""
    signs = [span for span in topics(clause.text, patterns) if span[2] != "lesion"]
    if not signs:
        return clause
    part = clause.cut(0, _before(clause.text, signs[0]))
    located = signs[0][2] not in ("edema", "necrosis") or names_place(part.text, patterns)
    return part if located else _around_sign(clause, signs, patterns)


def _around_sign(clause: Passage, signs: list[Topic], patterns: Patterns) -> Passage:
    """The lesion's part where its place comes after the sign: "a lesion with edema is seen in the left insula".

    A place between the sign and the verb is the sign's: "a lesion with edema in the right insula is seen in ...".
    """
    text = clause.text
    verb = _PREDICATE.search(text, signs[0][1])
    if verb is None:
        return clause
    later = next((sign for sign in signs if sign[0] > verb.start()), None)
    tail = clause.cut(verb.start(), len(text) if later is None else max(_before(text, later), verb.start()))
    if not names_place(tail.text, patterns):
        return clause
    between = text[signs[0][1] : verb.start()]
    opening = clause.cut(0, signs[0][0] if names_place(between, patterns) else verb.start())
    return opening.followed_by(tail) if opening.text.endswith(" ") else opening.followed_by(tail.led_by(" "))


def denied(clause: str, patterns: Patterns) -> bool:
    """Whether every lesion that the clause names is denied."""
    clause = grammar.NO_CHANGE.sub(" ", clause)
    return all(
        patterns.denied_before.search(clause[: match.start()]) or _DENIED_AFTER.match(clause[match.end() :])
        for match in patterns.lesion.finditer(clause)
    )


def past(clause: str, patterns: Patterns) -> bool:
    """Whether every lesion that the clause names was there once: one in a history, or one that has resolved."""
    return all(
        patterns.history_before.search(clause[: match.start()]) or grammar.RESOLVED.match(clause[match.end() :])
        for match in patterns.lesion.finditer(clause)
    )


def of_the_other_side(clause: str, side: str, patterns: Patterns) -> bool:
    """Whether the clause tells its lesion from one on `side` by naming the other: "the lesion on the right is ..."."""
    named = subject(clause)
    lesion = patterns.lesion.search(named)
    if lesion is None or not has_verb(clause) or "the" not in named[: lesion.start()].split():
        return False
    return side_of(named, patterns) == {"left": "right", "right": "left"}.get(side)


def hedged(clause: str, patterns: Patterns) -> bool:
    """Whether the clause leaves open that there is a lesion; "a lesion, possibly a glioma" is stated."""
    first = patterns.lesion.search(clause)
    if first is None:
        return False
    if _HEDGED_AFTER.match(clause[first.end() :]):
        return True
    hedges = patterns.hedge.finditer(clause, 0, first.start())
    return any(
        _HEDGE_GAP.fullmatch(clause, match.end(), first.start()) or match.end() + 1 == first.start() for match in hedges
    )


def is_new(clause: str, patterns: Patterns) -> bool:
    """Whether the clause speaks of a lesion as one not named before: "a lesion"."""
    return any(grammar.INDEFINITE.search(clause[: m.start()]) for m in patterns.lesion.finditer(clause))


def is_another(clause: str, patterns: Patterns) -> bool:
    """Whether the clause says itself that its lesion is not one named before: "a second lesion"."""
    lesion = patterns.lesion.search(clause)
    if lesion is None:
        return False
    before, after = clause[: lesion.start()], clause[lesion.end() :]
    return grammar.ANOTHER.search(before) is not None or grammar.SECOND_BY_NUMBER.match(after) is not None


def about_ventricle(clause: Passage, patterns: Patterns) -> bool:
    """Whether the subject of the clause is a ventricle, or the only place that it names is a ventricle's side."""
    first = head(clause.text)
    if grammar.VENTRICLE.search(first) and not patterns.lesion.search(first):
        return True
    if side_of(clause.text, patterns) == "unknown":
        return False
    return not names_place(without_ventricles(clause).text, patterns)


def goes_on(clause: str) -> bool:
    """Whether a clause that names no topic goes on about the lesion: its subject is the lesion's, or it has none."""
    first = head(clause)
    if grammar.SIGNAL_EVEN.match(clause):
        return False
    if not first or grammar.INVOLVED.search(clause) or grammar.ALSO_IN.match(clause):
        return True
    if grammar.AROUND.search(subject(clause)):
        return False
    if grammar.OF_THE_LESION.fullmatch(first):
        return True
    return not (has_verb(clause) or grammar.UNAFFECTED.search(clause) or first.startswith(("the ", "a ", "an ")))


def only_around(clause: str, patterns: Patterns) -> bool:
    """Whether the clause names lesions only to say that something else is around them."""
    return all(grammar.AROUND_LESION.search(clause[: m.start()]) for m in patterns.lesion.finditer(clause))


def only_parts(clause: str, patterns: Patterns) -> bool:
    """Whether the clause is on parts of lesions, or what is around them, alone: "the lesion core"."""
    return all(
        grammar.PART_OF_LESION.search(before)
        or grammar.LESION_PART.match(after)
        or grammar.AROUND_LESION.search(before)
        for before, after in ((clause[: m.start()], clause[m.end() :]) for m in patterns.lesion.finditer(clause))
    )


def introduced(clause: Passage, patterns: Patterns) -> Passage | None:
    """In a clause on a sign: the words that state the lesion it belongs to.

    They are those on what brings the sign about ("compressed by a lesion in the right insula"), or those of a lesion
    that was not named before ("marked edema surrounds a right temporal mass").
    """
    for match in patterns.lesion.finditer(clause.text):
        before = clause.text[: match.start()]
        if found := grammar.AGENT.search(before):
            return clause.cut(found.start())
        if grammar.RELATIVE.match(clause.text, match.end()):
            return clause.cut(match.start())
        found = grammar.INDEFINITE.search(before)
        if found and not any(pattern.search(before, found.start()) for pattern in patterns.signs.values()):
            return clause.cut(found.start())
    return None
