"""Reading side, regions and signal out of the words that state a lesion."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from brain3d.reports import grammar
from brain3d.reports.findings import Lesion, canonical_regions
from brain3d.reports.passage import Passage
from brain3d.reports.patterns import Patterns

Span = tuple[int, int, str]  # from where to where in the text, and what is named there
Spans = dict[str, list[tuple[int, int]]]
_NOT = re.compile(r"\b(?:not|no longer|rather than|neither|nor|without|no) (?:\w+ ){0,2}$")
_ITS_NEIGHBOUR = 30
_BY_VENTRICLE = re.compile(r" ventric")


@dataclass
class Described:
    """A lesion as one statement describes it, with the words it was read from (offsets in the report).

    `beside`: its place is only that of something else, near which it lies.
    """

    lesion: Lesion
    places: list[tuple[str, str]] = field(default_factory=list)
    words: Spans = field(default_factory=dict)
    beside: bool = False

    def without_regions(self, keep_side: bool) -> Described:
        """The same without regions, and without the side unless it is kept."""
        side = self.lesion.side if keep_side else "unknown"
        kept = ("lesion", "signal", "side") if keep_side else ("lesion", "signal")
        words = {key: spans for key, spans in self.words.items() if key in kept}
        return Described(replace(self.lesion, side=side, regions=()), [], words)


def _sides(text: str, patterns: Patterns) -> list[Span]:
    """Where the text names a side, in order. Words that only look like sides are none."""
    found = [(m.start(), m.end(), m.group(1)) for m in patterns.lateral.finditer(text)]
    if found:
        lookalikes = [(m.start(), m.end()) for m in grammar.NOT_A_SIDE.finditer(text)]
        found = [one for one in found if not any(a <= one[0] < b for a, b in lookalikes)]
    wide = [(m.start(), m.end(), "bilateral") for m in grammar.BILATERAL.finditer(text)]
    if len({side for _, _, side in found}) == 1:  # "both the frontal and parietal lobes of the left hemisphere"
        two = [(m.start(), m.end()) for m in grammar.BOTH_AND.finditer(text)]
        wide = [one for one in wide if not any(a <= one[0] < b for a, b in two)]
    middle = [(m.start(), m.end(), "midline") for m in grammar.MIDLINE.finditer(text)]
    return sorted([*found, *wide, *middle])


def _one_side(sides: list[Span]) -> str:
    named = {side for _, _, side in sides}
    if "bilateral" in named or {"left", "right"} <= named:
        return "bilateral"
    return next((side for side in ("left", "right", "midline") if side in named), "unknown")


def side_of(text: str, patterns: Patterns) -> str:
    """The side that the text names; both left and right are bilateral."""
    return _one_side(_sides(text, patterns))


def _regions(text: str, patterns: Patterns) -> list[Span]:
    """Where the text names a region, in order; a compound word such as "frontoparietal" names several."""
    found = []
    for match in patterns.region.finditer(text):
        if match.group(1):
            stems = patterns.stem.finditer(text, match.start(1), match.end(1))
            found += [(m.start(), m.end(), patterns.region_of_stem[m.group()]) for m in stems]
        for start, end in (match.span(2), match.span(3)):
            if start >= 0:
                found.append((start, end, _region_named(text[start:end], patterns)))
    return found


def _without_landmarks(text: str, sides: list[Span], regions: list[Span]) -> tuple[list[Span], list[Span]]:
    """The sides and regions that the lesion is in, not those it is only beside, where it is in any region.

    By a ventricle is a place, but the ventricle's side is the lesion's only where it has no other.
    """
    by_ventricle = [one for one in regions if _BY_VENTRICLE.search(text[one[0] : one[1]])]
    within = [one for one in regions if one not in by_ventricle and not _is_landmark(text, one)]
    if not within:
        return sides, regions
    own = [one for one in sides if not _is_landmark(text, one)]
    return own or sides, sorted(within + by_ventricle)


def _only_beside(text: str, named: list[Span]) -> bool:
    """Whether all places that are named are something else's; by a ventricle is a place."""
    return bool(named) and all(
        _is_landmark(text, one) and not _BY_VENTRICLE.search(text[one[0] : one[1]]) for one in named
    )


def _is_landmark(text: str, named: Span) -> bool:
    return grammar.LANDMARK.search(text[: named[0]]) is not None


def _region_named(words: str, patterns: Patterns) -> str:
    return next(region for region, pattern in patterns.region_words.items() if pattern.fullmatch(words))


def regions_of(text: str, patterns: Patterns) -> tuple[str, ...]:
    """The regions that the text names, in the order of `REGIONS`."""
    return canonical_regions(name for _, _, name in _regions(text, patterns))


def names_place(text: str, patterns: Patterns) -> bool:
    """Whether the text names a region or a side."""
    return patterns.region.search(text) is not None or bool(_sides(text, patterns))


def _signals(text: str, patterns: Patterns) -> list[Span]:
    """Where the text speaks of the signal, in order; what it denies is left out."""
    found = [(m.start(), m.end(), name) for name, p in patterns.signal.items() for m in p.finditer(text)]
    if grammar.SIGNAL_NOUN.search(text):
        adjectives = patterns.signal_adjectives
        found += [(m.start(), m.end(), name) for name, p in adjectives.items() for m in p.finditer(text)]
    return sorted(one for one in found if not _NOT.search(text[max(0, one[0] - _ITS_NEIGHBOUR) : one[0]]))


def _one_signal(found: list[Span]) -> str:
    named = {name for _, _, name in found}
    if len(named) > 1:
        return "mixed"
    return named.pop() if named else "unknown"


def signal_of(text: str, patterns: Patterns) -> str:
    """The signal that the text names; several are mixed."""
    return _one_signal(_signals(text, patterns))


def _places(text: str, sides: list[Span], regions: list[Span]) -> list[tuple[str, str]]:
    """Each region with the side that qualifies it, where the whole is on both sides.

    The side stands before its regions ("left frontal and right parietal"), or behind them where the statement begins
    with a region ("the frontal lobe on the left and the parietal lobe on the right"). One behind "than the" is added.
    """
    if not sides:
        return [("unknown", name) for _, _, name in regions]
    before = not regions or sides[0][0] < regions[0][0]
    result = []
    for start, _, name in regions:
        ahead = [one for one in sides if one[0] < start]
        behind = [one for one in sides if one[0] > start]
        near = (ahead or behind) if before else (behind or ahead)
        nearest = near[-1] if near is ahead else near[0]
        run = [one for one in near if not any(min(one, nearest) < other < max(one, nearest) for other in regions)]
        run += [one for one in sides if one[0] > start and text[: one[0]].endswith("than the ")]
        result.append((_one_side(run), name))
    return result


def without_ventricles(part: Passage) -> Passage:
    """`part` without ventricles and their sides, save where they say where something is: "near the ventricle"."""
    return part.without(grammar.VENTRICLE_PHRASE, unless=lambda match: match.group(1))


def described(part: Passage, patterns: Patterns) -> Described:
    """What the words of a lesion's statement say of the lesion: side, regions, signal."""
    if grammar.NO_EVIDENCE_THAT.search(part.text):
        part = part.without(grammar.EXTENDS)
    part = without_ventricles(part.without(grammar.SPARED))
    text = part.text
    signals = _signals(text, patterns)
    sides, regions = _without_landmarks(text, _sides(text, patterns), _regions(text, patterns))
    lesion = Lesion(
        side=_one_side(sides),
        regions=canonical_regions(name for _, _, name in regions),
        signal=_one_signal(signals),
    )
    apart = lesion.side == "bilateral" and len({side for _, _, side in sides}) > 1
    places = _places(text, sides, regions) if apart else [(lesion.side, name) for name in lesion.regions]
    words: Spans = {}
    for key, spans in (("side", sides), ("signal", signals)):
        words[key] = [part.span(start, end) for start, end, _ in spans]
    for start, end, name in regions:
        words.setdefault(name, []).append(part.span(start, end))
    words["lesion"] = [part.span(m.start(), m.end()) for m in patterns.lesion.finditer(text)]
    return Described(lesion, places, words, _only_beside(text, [*sides, *regions]))
