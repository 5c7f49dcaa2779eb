"""Compiling the words of a lexicon into the patterns that reading needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from brain3d.reports import grammar
from brain3d.reports.findings import REGIONS
from brain3d.reports.lexicon import Lexicon

Pattern = re.Pattern[str]
_DEGREES = ("mild", "moderate", "severe")
_STOP = r"(?!(?:with|and|in|on|around|by|of|is|are|the|from|to|but|or|signals?|lesions?|mass|tumou?r)\b)"
_NOT_OF_THE_SIGN = r"(?![ -](?:high|low|hyper\w*|hypo\w*|iso\w*|signals?|lesion\w*|mass|tumou?r|portion|increased))"


def phrase(words: str) -> str:
    """The expression of one phrase: a space is also a hyphen, a star any letters or, alone, any word."""
    parts = []
    for word in words.split(" "):
        escaped = re.escape(word).replace(r"\-", "-?")
        escaped = re.sub(r"\\\((\w+)\\\)$", r"(?:\1)?", escaped)
        parts.append(r"[\w-]+" if word == "*" else escaped.replace(r"\*", r"\w*"))
    return "[ -]".join(parts)


def alternatives(words: Iterable[str]) -> str:
    """The expression of any of the phrases, longer ones first."""
    return "(?:" + "|".join(phrase(one) for one in sorted(words, key=lambda one: (-len(one), one))) + ")"


def _any(words: Iterable[str], *more: str) -> Pattern:
    return re.compile(r"\b(?:" + "|".join([*more, alternatives(words)]) + r")\b")


@dataclass(frozen=True, eq=False)
class Patterns:
    """The patterns made from one lexicon, each named for what it finds."""

    region: Pattern
    region_words: dict[str, Pattern]
    stem: Pattern
    region_of_stem: dict[str, str]
    lateral: Pattern
    lesion: Pattern
    weak_lesion: Pattern
    signs: dict[str, Pattern]
    other_topic: Pattern
    cystic: Pattern
    signal: dict[str, Pattern]
    signal_adjectives: dict[str, Pattern]
    other_organs: Pattern
    history_before: Pattern
    hedge: Pattern
    denied_before: Pattern
    not_before: Pattern
    degrees: dict[str, Pattern]
    degree_before: Pattern
    degree_after: Pattern
    degree_labelled: Pattern
    degree_alone: Pattern
    not_severe: Pattern
    heading: Pattern
    skipped_heading: Pattern


def _region(lexicon: Lexicon) -> Pattern:
    """Words for regions: stems of a compound word (group 1), if any, and the word or phrase itself (group 2)."""
    words = [one for region in REGIONS for one in lexicon.words(f"regions.{region}")]
    endings = "|".join(phrase(one[1:]) for one in sorted(words, key=len, reverse=True) if one.startswith("*"))
    whole = alternatives(one for one in words if not one.startswith("*"))
    names = rf"(?:{grammar.NEAR_VENTRICLE}|{whole}|\w*(?:{endings}))\b"
    stems = "|".join(dict(lexicon.stems))
    excluded = alternatives(lexicon.words("not_a_region"))
    return re.compile(rf"\b(?!{excluded}\b)(?:((?:\w{{0,8}}?(?:{stems})-?)+)({names})?|({names}))")


def _region_words(lexicon: Lexicon) -> dict[str, Pattern]:
    """For each region its words; of a phrase that is in several, the first counts."""
    words = {region: alternatives(lexicon.words(f"regions.{region}")) for region in REGIONS}
    words["periventricular"] = rf"(?:{grammar.NEAR_VENTRICLE}|{words['periventricular']})"
    return {region: re.compile(expression) for region, expression in words.items()}


def _lateral(lexicon: Lexicon) -> Pattern:
    others = alternatives(lexicon.words("not_the_brains_side"))
    return re.compile(
        r"\b(left|right)(?:[- ]?sided)?\b(?![- ]?hand(?:ed)?\b(?![- ](?:side|knob|area)))"
        rf"(?!(?: (?!and\b|or\b|with\b)\w+)? {others}\b(?! (?:area|cortex|region)\b))"
    )


def _lesion(lexicon: Lexicon) -> Pattern:
    weak, nouns = alternatives(lexicon.words("lesions.weak_nouns")), alternatives(lexicon.words("lesions.nouns"))
    excluded = alternatives(lexicon.words("lesions.not"))
    weak_noun = rf"{weak}\b(?!{grammar.IS_A_SIGN})"
    return re.compile(rf"\b(?<!peri-)(?<!peri )(?!{excluded}\b)(?:{weak_noun}|{nouns})\b")


def _signs(lexicon: Lexicon) -> dict[str, Pattern]:
    nouns = alternatives(lexicon.words("signs.ventricular_compression.nouns"))
    compression = rf"(?:ventricular |ventricle )?{nouns}{grammar.OF_VENTRICLES}"
    return {
        "edema": _any(lexicon.words("signs.edema")),
        "necrosis": _any(lexicon.words("signs.necrosis")),
        "ventricular_compression": _any(
            lexicon.words("signs.ventricular_compression.other"), compression, grammar.SMALLER
        ),
    }


def _signals(lexicon: Lexicon) -> tuple[dict[str, Pattern], dict[str, Pattern]]:
    signals = {name: _any(lexicon.words(f"signal.{name}")) for name in ("high", "low", "mixed")}
    signals["iso"] = _any(lexicon.words("signal.iso"), grammar.LIKE_NORMAL)
    adjectives = {
        name: re.compile(rf"\b{alternatives(lexicon.words(f'signal_adjectives.{name}'))}\b{grammar.GRADED}")
        for name in ("high", "low")
    }
    return signals, adjectives


def _degrees(lexicon: Lexicon) -> dict[str, Pattern]:
    one = "(?:high degree|" + alternatives(w for n in _DEGREES for w in lexicon.words(f"degrees.{n}")) + ")"
    some = rf"{one}(?: (?:to|and|or) {one})?"
    severe = alternatives(word for word in lexicon.words("degrees.severe") if not word.startswith("significant"))
    return {
        "degree_before": re.compile(
            rf"\b({some})(?:,? {_STOP}[\w/-]+){{0,3}}"
            r"(?: of(?: (?:the|mixed|surrounding|perilesional|vasogenic|adjacent))*)?\s*$"
        ),
        "degree_after": re.compile(
            r"^[^,;]*?(?:\b(?:is|are|was|were|appears?|seems?|remains?|looks?|be)\b"
            rf"(?: (?!by\b|in\b|to\b)[\w-]+){{0,3}}?|:| -) ({some})\b{_NOT_OF_THE_SIGN}"
            rf"|\bto an? ({one}) (?:degree|extent)\b"
            rf"|^[^;]*?,? where it (?:is|was) ({some})\b|^,? (?:which|and) (?:is|are|appears?) (?:also )?({some})\b"
            # "edema, which reaches the lobe, is marked"
            rf"|^, [^,;]*, (?:is|are|was|were|appears?) (?:\w+ly )?({some})\b{_NOT_OF_THE_SIGN}"
            # "edema takes up a large part of the lobe", "edema is obvious there and extensive in the white matter"
            r"|^[^,;]*?\b(?:occup|tak|cover|account|fill)\w* (?:up |for )?an? (large|extensive) "
            r"(?:part|portion|area|share|range)\b"
            rf"|^[^,;]*? (?:is|are|was|were) [^,;]*? (?:and|but) (?:\w+ly )?({one}) (?:in|on|at)\b"
            rf"|^[^;]*? (?:and|but) (?:is|are|was|were) (?:\w+ly )?({some})\b{_NOT_OF_THE_SIGN}"
            # without a verb: "edema pronounced in the frontal lobe", "edema (extensive)"
            rf"|^ (?:\w+ly )?({some}) (?:in|on|at|around|throughout)\b|^ \(({some})\)"
        ),
        # "Edema: the left insula, moderate". A degree before the next sign, with a space between, is that sign's.
        "degree_labelled": re.compile(rf"^(?:\s*(?::|-)| in\b) [^;]*?, ({some})(?:,|$)"),
        "degree_alone": re.compile(
            rf"^(?:(?:also|rather|indeed|even|but) )*(?:(?:it|this|they|which) (?:is|are|was|were|appears?|seems?) )?"
            rf"(?:\w+ly )?({some})(?: (?:in degree|in extent|on the (?:left|right)))?$"
        ),
        "not_severe": re.compile(rf"\bnot (?:very |particularly |as |so )?{severe}\b|\bnot very significant(?:ly)?\b"),
    }


def _denials(lexicon: Lexicon) -> dict[str, Pattern]:
    words = lexicon.words("denials")
    denials = alternatives([*words, "absent"])
    without_not = alternatives(word for word in words if word != "not")
    return {
        # "no lesion", "no sign of a lesion", but not "no edema around the lesion"
        "denied_before": re.compile(
            rf"(?:\b|(?=n't))(?:{without_not}|rather than|fails? to (?:show|demonstrate|reveal)"
            r"|(?:not|n't|cannot|never) (?:any|show|demonstrate|reveal|contain|have|see|find|detect|identify))\b"
            r"(?! (?:doubt|change|more than))"
            r"(?: (?!(?:around|in|within|inside|next|near|beside|surround\w*|adjacent|is|are"
            r"|seen|causes?|by|from|to|that)\b)[\w,/-]+){0,7} $"
        ),
        "not_before": re.compile(rf"\b{denials}\b(?! (?:only|more than|less than)\b)"),
    }


@lru_cache(maxsize=8)
def compiled(lexicon: Lexicon) -> Patterns:
    """The patterns of `lexicon`, compiled when first asked for."""
    signal, adjectives = _signals(lexicon)
    skipped, read = (alternatives(lexicon.words(f"sections.{kind}")) for kind in ("skipped", "read"))
    history = alternatives(lexicon.words("history"))
    return Patterns(
        region=_region(lexicon),
        region_words=_region_words(lexicon),
        stem=re.compile("|".join(dict(lexicon.stems))),
        region_of_stem=dict(lexicon.stems),
        lateral=_lateral(lexicon),
        lesion=_lesion(lexicon),
        weak_lesion=_any(lexicon.words("lesions.weak_nouns")),
        signs=_signs(lexicon),
        other_topic=_any(lexicon.words("other_topics"), grammar.SURROUNDING_SIGNAL),
        cystic=_any(lexicon.words("cystic")),
        signal=signal,
        signal_adjectives=adjectives,
        other_organs=_any(lexicon.words("other_organs")),
        history_before=re.compile(rf"\b{history}(?: (?!shows?\b|has\b|with\b|now\b)[\w,/-]+){{0,8}} $"),
        hedge=_any(lexicon.words("hedges")),
        **_denials(lexicon),
        degrees={name: _any(lexicon.words(f"degrees.{name}")) for name in _DEGREES},
        heading=re.compile(rf"^(?:{read}):"),
        skipped_heading=re.compile(rf"^(?:{skipped}):"),
        **_degrees(lexicon),
    )
