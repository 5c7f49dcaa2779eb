"""Text that knows where each of its letters stood in the report, and cutting a report into sentences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_SAME = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u02bc", "'"),
    **dict.fromkeys('"\u201c\u201d\u201e\u00ab\u00bb', " "),
}
_ALIKE = str.maketrans(_SAME)
_ABBREVIATED = "".join(
    rf"(?<!\b(?i:{word})\.)" for word in ("approx", "ca", "vs", r"e\.g", r"i\.e", "dr", "max", "min", "incl")
)
_END = re.compile(
    rf"[.!?;](?=\s|$){_ABBREVIATED}|[\u2022\u25aa\u25cf\u00b7]|\s(?=\d{{1,2}}\)\s)"
    # bullets, numbers and headings begin a sentence; so does a line with a capital, as in a list without bullets
    r"|\n(?:\s*\n|(?=\s*(?:[-*]|\d{1,2}[.)])\s)|(?=\s*[A-Z][a-z])|(?=[A-Z][A-Z /]{3,40}:))"
)
_BULLET = re.compile(r"[\s*-]*(?:\d{1,2}[.)](?:\s|$))?\s*")
_QUESTION = re.compile(r"(?:is|are|was|were|does|do|did|can|could|any|what|which|where|has|have)\b")
_WORD = re.compile(r"\S+")
_LONGEST_WORD = 60
_LONG = re.compile(rf"\S{{{_LONGEST_WORD}}}")
_MOST_WORDS = 150


class Passage(NamedTuple):
    """Lower-case text on one line, and for each of its characters the offset in the report it was taken from."""

    text: str
    at: tuple[int, ...]

    def cut(self, start: int, end: int | None = None) -> Passage:
        """The passage from `start` to `end`."""
        return Passage(self.text[start:end], self.at[start:end])

    def stripped(self) -> Passage:
        """The passage without spaces and commas around it."""
        inner = self.text.strip(" ,")
        start = self.text.find(inner)
        return self.cut(start, start + len(inner))

    def followed_by(self, other: Passage) -> Passage:
        """Both, one after the other."""
        return Passage(self.text + other.text, self.at + other.at)

    def led_by(self, words: str) -> Passage:
        """The passage after `words` that stand for something at its beginning."""
        return Passage(words + self.text, self.at[:1] * len(words) + self.at)

    def without(self, pattern: re.Pattern[str], unless: Callable[[re.Match[str]], object] | None = None) -> Passage:
        """The passage with a space in place of each match, save those for which `unless` holds."""
        text, at, done = [], [], 0
        for match in pattern.finditer(self.text):
            if match.start() == match.end() or (unless is not None and unless(match)):
                continue
            text.append(self.text[done : match.start()] + " ")
            at += [*self.at[done : match.start()], self.at[match.start()]]
            done = match.end()
        return Passage("".join(text) + self.text[done:], (*at, *self.at[done:]))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """From where to where a part of the passage stands in the report."""
        return self.at[start], self.at[end - 1] + 1


def _lower(text: str) -> str:
    """Lower case, of the same length: what has no lower case of one letter stays."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _too_long(word: str) -> bool:
    """Whether this is no word of any language; left and right count alike."""
    return len(word.replace("right", "left")) > _LONGEST_WORD


def _on_one_line(text: str, start: int, end: int) -> list[Passage]:
    """The words of `text[start:end]` with single spaces between; in several passages where they are very many."""
    start = _bullet_end(text, start, end)
    words = list(_WORD.finditer(text, start, end))
    if _LONG.search(text, start, end):
        words = [word for word in words if not _too_long(word.group())]
    return [_passage(words[first : first + _MOST_WORDS]) for first in range(0, len(words), _MOST_WORDS)]


def _bullet_end(text: str, start: int, end: int) -> int:
    bullet = _BULLET.match(text, start, end)
    return bullet.end() if bullet else start


def _passage(words: list[re.Match[str]]) -> Passage:
    parts, at = [], []
    for word in words:
        parts.append(word.group())
        at += [*range(word.start(), word.end()), word.end()]
    return Passage(" ".join(parts), tuple(at[:-1]))


def sentences(text: str) -> list[Passage]:
    """The sentences of a report, lower-case, on one line each; questions state nothing and are left out.

    Very long ones are cut, so that reading stays linear.
    """
    plain = text.translate(_ALIKE)
    ends = [(match.start(), match.end()) for match in _END.finditer(plain)]
    starts = [0, *(end for _, end in ends)]
    stops = [*(start for start, _ in ends), len(plain)]
    lower = _lower(plain)
    parts = (part for start, stop in zip(starts, stops, strict=True) for part in _on_one_line(lower, start, stop))
    return [part for part in parts if not _asks(part, lower)]


def _asks(part: Passage, text: str) -> bool:
    """Whether a sentence is a question: "is there a lesion?"."""
    end = part.at[-1] + 1 if part.at else 0
    return text[end : end + 1] == "?" and _QUESTION.match(part.text) is not None
