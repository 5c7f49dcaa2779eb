"""Reading findings out of a report.

A lesion's side and regions come from the statement of the lesion alone. A sentence on edema, necrosis,
ventricular compression or midline shift may name a side and regions too: the sign's, which are not read.
A clause that names neither goes on about the lesion only if its subject is one that a lesion's clause has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from brain3d.reports import grammar, statements
from brain3d.reports.clauses import clauses
from brain3d.reports.evidence import LesionEvidence, Reading, Span
from brain3d.reports.findings import REGIONS, Findings, Lesion
from brain3d.reports.lexicon import Lexicon, default_lexicon
from brain3d.reports.passage import Passage, sentences
from brain3d.reports.patterns import Patterns, compiled
from brain3d.reports.places import Described, described, names_place, regions_of, side_of, signal_of
from brain3d.reports.signs import Degree, bare_degree, read_signs, stronger
from brain3d.reports.statements import Topic

_SIGN_NAMES = ("edema", "necrosis", "ventricular_compression")


@dataclass
class _Entry:
    """A lesion as far as it has been read."""

    lesion: Lesion
    places: list[tuple[str, str]]
    words: dict[str, list[tuple[int, int]]]
    possible: bool


@dataclass
class _State:
    """What has been read so far; `topic` is what the last clause was about, and a bare clause goes on."""

    entries: list[_Entry] = field(default_factory=list)
    current: int = 0  # the lesion spoken of last
    topic: str = ""
    early: _Entry = field(default_factory=lambda: _Entry(Lesion(), [], {}, False))  # signs stated before any lesion
    normal: list[tuple[int, int]] = field(default_factory=list)
    sign_seen: bool = False
    side_withheld: bool = False


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


def _located(lesion: Lesion) -> bool:
    return lesion.side != "unknown" or bool(lesion.regions)


def _may_be(one: Lesion, other: Lesion) -> bool:
    """Whether two statements may be of the same lesion: no other side, and no region but those of the fuller one."""
    if one.side != other.side and "unknown" not in (one.side, other.side):
        return False
    regions, others = set(one.regions), set(other.regions)
    return regions <= others or others <= regions


def _points_at(lesion: Lesion, words: Lesion) -> bool:
    """Whether words that name a place fit a lesion."""
    if words.side not in ("unknown", lesion.side):
        return False
    return not words.regions or bool(set(words.regions) & set(lesion.regions))


def _meant(state: _State, words: Lesion) -> int | None:
    """The one of several lesions that words on a place fit."""
    if len(state.entries) < 2 or not _located(words):
        return None
    fitting = [i for i, entry in enumerate(state.entries) if _points_at(entry.lesion, words)]
    return fitting[0] if len(fitting) == 1 else None


def _chosen(state: _State, clause: str, lesion: Lesion, patterns: Patterns) -> int | None:
    """Which lesion a statement is about; None for one not named before."""
    last = state.entries[state.current].lesion
    if not (_located(last) and _located(lesion)):
        return state.current
    if statements.is_another(clause, patterns) and last != lesion:
        return None
    same = [i for i, entry in enumerate(state.entries) if _may_be(entry.lesion, lesion)]
    if statements.is_new(clause, patterns):
        return same[-1] if same else None
    if not same and statements.of_the_other_side(clause, last.side, patterns):
        return None
    meant = _meant(state, lesion)
    return meant if meant is not None else (same[-1] if same and len(state.entries) > 1 else state.current)


def _add(words: dict[str, list[tuple[int, int]]], more: dict[str, list[tuple[int, int]]]) -> None:
    for key, spans in more.items():
        words.setdefault(key, []).extend(spans)


def _state_lesion(state: _State, clause: str, found: Described, possible: bool, patterns: Patterns) -> None:
    chosen = _chosen(state, clause, found.lesion, patterns) if state.entries else None
    if chosen is None:
        state.entries.append(_Entry(found.lesion, found.places, found.words, possible))
        state.current = len(state.entries) - 1
        if state.current == 0:
            signs: dict[str, Any] = {name: getattr(state.early.lesion, name) for name in _SIGN_NAMES}
            state.entries[0].lesion = replace(found.lesion, **signs)
            _add(state.entries[0].words, state.early.words)
    else:
        entry = state.entries[chosen]
        if found.beside and entry.lesion.regions:  # "it is close to the corpus callosum"
            found = found.without_regions(keep_side=entry.lesion.side == "unknown")
        entry.lesion = _merged(entry.lesion, found.lesion)
        entry.places += found.places
        entry.possible &= possible or not names_lesion(clause, patterns)
        _add(entry.words, found.words)
        state.current = chosen
    state.topic = "lesion"


def names_lesion(clause: str, patterns: Patterns) -> bool:
    """Whether the clause has a noun for a lesion."""
    return patterns.lesion.search(clause) is not None


def _state_sign(entry: _Entry, sign: str, degree: str, span: tuple[int, int]) -> None:
    change: dict[str, Any] = {sign: stronger(getattr(entry.lesion, sign), degree)}
    entry.lesion = replace(entry.lesion, **change)
    _add(entry.words, {sign: [span]})


def _state_signs(state: _State, clause: Passage, signs: dict[str, Degree], patterns: Patterns) -> None:
    """A sign belongs to the lesion whose place its clause names, else to the lesion spoken of last.

    Then also to earlier ones of which nothing else was said. One stated before any lesion belongs to the first.
    """
    if not signs:
        return
    words = Lesion(side=side_of(clause.text, patterns), regions=regions_of(clause.text, patterns))
    meant = _meant(state, words)
    for sign, found in signs.items():
        state.sign_seen |= found.degree not in ("none", "unknown")
        span = clause.span(found.start, found.end)
        if not state.entries:
            _state_sign(state.early, sign, found.degree, span)
        for index, entry in enumerate(state.entries):
            unsaid = getattr(entry.lesion, sign) == "unknown"
            if index == meant or (meant is None and (index == state.current or unsaid)):
                _state_sign(entry, sign, found.degree, span)


def _is_statement(state: _State, clause: Passage, spans: list[Topic], patterns: Patterns) -> bool:
    """Whether the clause states a lesion, rather than pointing back at one while it speaks of a sign."""
    known, text = bool(state.entries), clause.text
    if statements.about_ventricle(clause, patterns) and (known or not spans):
        return False
    if not spans and known:
        unplaced = not _located(state.entries[state.current].lesion)
        return state.topic == "lesion" and (statements.goes_on(text) or (unplaced and _shows_signal(text, patterns)))
    if not spans:
        return _shows_signal(text, patterns)
    if spans[0][2] != "lesion" or statements.only_around(text, patterns):
        return False
    located = known and _located(state.entries[state.current].lesion)
    if located and names_place(text, patterns) and statements.only_parts(text, patterns):
        return False
    if not known or statements.is_new(text, patterns) or all(topic == "lesion" for _, _, topic in spans):
        return True
    return statements.of_the_other_side(text, state.entries[state.current].lesion.side, patterns)


def _shows_signal(text: str, patterns: Patterns) -> bool:
    """Whether the clause says of a place that its signal is not as it should be, and so states a lesion by itself."""
    if grammar.AROUND.search(statements.subject(text)) or grammar.SIGNAL_EVEN.match(text):
        return False
    if statements.topics(text, patterns):
        return False
    told = signal_of(text, patterns) in ("high", "low", "mixed") or grammar.SIGNAL_ABNORMAL.search(text) is not None
    hemisphere = "hemisphere" in text and side_of(text, patterns) != "unknown"
    return told and (hemisphere or bool(regions_of(text, patterns)))


def _new_topic(state: _State, clause: Passage, spans: list[Topic], patterns: Patterns) -> str:
    if statements.about_ventricle(clause, patterns):
        return "ventricular_compression"
    if spans and not (spans[0][2] == "lesion" and statements.only_parts(clause.text, patterns)):
        return spans[0][2]
    return "other" if names_place(clause.text, patterns) else state.topic


def _in_full(state: _State, clause: Passage) -> Passage:
    """A clause such as "one is in the insula", said of lesions, with the noun that it leaves out."""
    ellipsis = grammar.ELLIPSIS.match(clause.text)
    if ellipsis is None or not (state.topic == "denial" or (state.topic == "lesion" and state.entries)):
        return clause
    noun = "the lesion" if "largest" in ellipsis.group() and state.topic == "lesion" else "another lesion"
    return clause.cut(ellipsis.end()).led_by(noun)


def _read_denial(state: _State, clause: Passage, patterns: Patterns) -> None:
    """A clause that denies lesions; what it says before of abnormal signal states one all the same."""
    stated = clause.cut(0, grammar.up_to_denial(clause.text))
    if _shows_signal(stated.text, patterns):
        _state_lesion(state, stated.text, described(stated, patterns), False, patterns)
        return
    if grammar.NOT_A_WHOLE_NORMAL.search(clause.text) is None:
        state.normal.append(clause.span(0, len(clause.text)))
    state.topic = "denial"


def _read_clause(state: _State, clause: Passage, about_ventricles: bool, patterns: Patterns) -> None:
    clause = _in_full(state, clause)
    text = clause.text
    if grammar.UNDETERMINED_SIDE.search(text):
        state.side_withheld = True
        if not regions_of(text, patterns):
            return
    spans = statements.topics(text, patterns)
    signs = read_signs(text, patterns, about_ventricles)
    if not spans and state.topic in _SIGN_NAMES and (degree := bare_degree(text, patterns)):
        signs = {state.topic: Degree(degree, 0, len(text))}
    named = any(topic == "lesion" for _, _, topic in spans)
    if normal := grammar.NORMAL_BRAIN.search(text):
        state.normal.append(clause.span(normal.start(), normal.end()))
    if named and statements.denied(text, patterns):
        _read_denial(state, clause, patterns)
        signs = signs if state.entries else {s: d for s, d in signs.items() if d.degree not in ("none", "unknown")}
    elif named and statements.past(text, patterns):
        state.topic = "other"
    elif _is_statement(state, clause, spans, patterns):
        part = statements.lesion_part(clause, patterns)
        _state_lesion(state, text, described(part, patterns), statements.hedged(text, patterns), patterns)
    elif not state.entries and spans and spans[0][2] != "lesion" and (cause := statements.introduced(clause, patterns)):
        part = statements.lesion_part(cause, patterns)
        _state_lesion(state, cause.text, described(part, patterns), False, patterns)
    elif not (signs and not spans):
        state.topic = _new_topic(state, clause, spans, patterns)
    _state_signs(state, clause, signs, patterns)


def _read_sections(text: str, patterns: Patterns) -> list[Passage]:
    """The sentences of a report without those that stand under a heading such as "history"."""
    found = sentences(text)
    last = max((i for i, one in enumerate(found) if patterns.heading.match(one.text)), default=-1)
    kept, skipping = [], False
    for index, sentence in enumerate(found):
        if patterns.heading.match(sentence.text):
            skipping = False
        if patterns.skipped_heading.match(sentence.text):
            skipping = index < last
            continue
        heading = patterns.heading.match(sentence.text)
        if not skipping:
            kept.append(sentence.cut(heading.end()).stripped() if heading else sentence)
    return [sentence for sentence in kept if sentence.text]


def _spans(text: str, found: list[tuple[int, int]]) -> tuple[Span, ...]:
    return tuple(Span(start, end, text[start:end]) for start, end in sorted(set(found)))


def _evidence(text: str, entry: _Entry, withheld: bool) -> LesionEvidence:
    sides: dict[str, set[str]] = {}
    for side, region in entry.places:
        sides.setdefault(region, set()).add("unknown" if withheld else side)
    places = [(_side_of_all(named, entry.lesion.side), region) for region, named in sides.items()]
    words = {key: _spans(text, found) for key, found in entry.words.items() if found}
    return LesionEvidence("possible" if entry.possible else "stated", tuple(places), words)


def _side_of_all(named: set[str], whole: str) -> str:
    """The side of a region that was named several times; where it has none of its own, that of the lesion."""
    known = named - {"unknown"}
    if not known:
        return whole if whole != "bilateral" else "unknown"
    return known.pop() if len(known) == 1 else "bilateral"


def _result(text: str, state: _State) -> Reading:
    if not state.entries:
        normal = bool(state.normal) and not state.sign_seen
        return Reading(Findings(normal=normal), (), _spans(text, state.normal if normal else []))
    if state.side_withheld:
        for entry in state.entries:
            entry.lesion = replace(entry.lesion, side="unknown")
    findings = Findings(False, tuple(entry.lesion for entry in state.entries))
    evidence = tuple(_evidence(text, entry, state.side_withheld) for entry in state.entries)
    return Reading(findings, evidence, ())


def read_report(text: str, lexicon: Lexicon | None = None) -> Reading:
    """What the report `text` says, in closed lists, with the words that each finding was read from.

    `lexicon` is the package's own where none is given. Offsets are those of characters in `text`.
    """
    patterns = compiled(lexicon or default_lexicon())
    state = _State()
    for sentence in _read_sections(text, patterns):
        if patterns.other_organs.search(sentence.text):
            continue
        about_ventricles = grammar.VENTRICLE.search(sentence.text) is not None
        for clause in clauses(sentence, patterns):
            _read_clause(state, clause, about_ventricles, patterns)
    return _result(text, state)


def parse_findings(text: str, lexicon: Lexicon | None = None) -> Findings:
    """What the report `text` says, in closed lists. Text that says nothing of the brain gives no lesions."""
    return read_report(text, lexicon).findings
