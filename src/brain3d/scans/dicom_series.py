"""The series of a DICOM study: grouping its files, saying what each series is, choosing the one to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from brain3d.scans.dicom_geometry import problem_of, step_mm
from brain3d.scans.dicom_headers import Header, Slice
from brain3d.scans.dicom_kinds import DERIVED, FLAIR, UNKNOWN, is_localiser, kind_of
from brain3d.scans.source import Source
from brain3d.scans.types import Flag, InputError, SeriesChoice, SeriesSummary

MOST_LISTED = 16
_RULE = "3-D before 2-D acquisitions, then the thinnest slices, then the most"


@dataclass(frozen=True)
class Series:
    """The images of one series that are of one category ("" for MR images that may be read).

    `number` counts from 1 in the order of the study's own numbers; `evidence` says what `kind` was recognised
    by; `problem` why the slices are no single image, or "". `study` and `names` never leave this package.
    """

    number: int
    category: str
    kind: str
    evidence: str
    problem: str
    three_d: bool
    step_mm: float
    slices: tuple[Slice, ...] = field(repr=False)
    syntaxes: frozenset[str]
    study: str = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    images: int

    def summary(self) -> SeriesSummary:
        """The series in words that name nobody."""
        if self.category == DERIVED:
            words = DERIVED if self.kind == UNKNOWN else f"{self.kind}, derived images"
        else:
            words = self.category or self.kind
        return SeriesSummary(self.number, words, self.images, self.problem)


class Chosen(NamedTuple):
    """The series to read, how it was chosen, and what a reader of the report must know of that."""

    series: Series
    choice: SeriesChoice
    flags: tuple[Flag, ...]


def group(headers: Sequence[Header], without_place: bool) -> list[Series]:
    """The series of a study, in the order of their own numbers. The order of `headers` does not matter.

    `without_place` as in `problem_of`.
    """
    groups: dict[tuple[int, str, str], list[Header]] = {}
    for header in headers:
        groups.setdefault((header.number, header.series, _category(header)), []).append(header)
    ordered = [groups[key] for key in sorted(groups)]
    return [_series(number, members, without_place) for number, members in enumerate(ordered, 1)]


def _category(header: Header) -> str:
    return "localiser" if not header.category and is_localiser(header.names[:1]) else header.category


def _series(number: int, headers: list[Header], without_place: bool) -> Series:
    first = min(headers, key=lambda header: (header.instance, header.file))
    category = _category(first)
    slices = tuple(one for header in headers if header.has_pixels for one in header.slices)
    if not category and not slices:
        category = "no pixel data"
    kind, evidence = kind_of(first.names, first.echo_ms, first.inversion_ms, first.inversion)
    image = category in ("", DERIVED)
    return Series(
        number=number,
        category=category,
        kind=kind,
        evidence=evidence,
        problem=_cut(headers) or problem_of(slices, without_place) if image and slices else "",
        three_d=first.three_d,
        step_mm=step_mm(slices) if image else 0.0,
        slices=slices,
        syntaxes=frozenset(header.syntax for header in headers if header.has_pixels),
        study=first.study,
        names=tuple(sorted({name for header in headers for name in header.names if name})),
        images=len(slices) or len(headers),
    )


def _cut(headers: list[Header]) -> str:
    cut = sum(header.cut or not header.has_pixels for header in headers)
    if not cut:
        return ""
    return f"cut short: {cut} of {len(headers)} files end before their pixels do; copy or export them again"


def choose(source: Source, listed: Sequence[Series], wanted: str | None) -> Chosen:
    """The series to read: the one `wanted` (its number here, or words of its name), or else the FLAIR series.

    InputError where that leaves none or several, with the list of what there is, or where the chosen one cannot
    be read.
    """
    series, why, flags = _wanted(source, listed, wanted) if wanted is not None else _found(source, listed)
    if series.problem:
        raise _refuse_series(source, listed, series, series.problem)
    if series.kind != FLAIR:
        flags += (
            Flag(
                "not_known_to_be_flair",
                f"The series is not known to be FLAIR (it looks like: {series.kind}); the model knows FLAIR alone.",
            ),
        )
    if series.category == DERIVED:
        flags += (Flag("derived_series", "The series is derived from other images, and may lack detail of theirs."),)
    summaries = tuple(one.summary() for one in listed)
    what = f"Series {series.number} of {len(listed)} was read ({series.kind}, {len(series.slices)} slices)"
    return Chosen(series, SeriesChoice(series.number, f"{what}: {why}.", summaries), flags)


def _wanted(source: Source, listed: Sequence[Series], wanted: str) -> tuple[Series, str, tuple[Flag, ...]]:
    words = " ".join(wanted.split())
    if re.fullmatch(r"[0-9]{1,6}", words):
        matching = [one for one in listed if one.number == int(words)]
    else:
        matching = [one for one in listed if _is_named(one, words)] if words else []
    if len(matching) != 1:
        found = "is none of" if not matching else f"names {len(matching)} of"
        raise source.refuse(f"--series {words!r} {found} its series ({_list(listed)}); give a number")
    (series,) = matching
    if series.category not in ("", DERIVED):
        raise _refuse_series(source, listed, series, f"{series.category}; choose another with --series")
    return series, "it was asked for", ()


def _is_named(series: Series, words: str) -> bool:
    return any(words.lower() in " ".join(name.split()).lower() for name in (*series.names, series.kind))


def _found(source: Source, listed: Sequence[Series]) -> tuple[Series, str, tuple[Flag, ...]]:
    usable = [one for one in listed if not one.category]
    flair = [one for one in usable if one.kind == FLAIR]
    derived = [one for one in listed if one.category == DERIVED and one.kind == FLAIR]
    if not usable:
        hint = "choose one with --series to read it nevertheless" if derived else "give a FLAIR series of a head"
        raise source.refuse(f"no MR series that can be read ({_list(listed)}); {hint}")
    if len({one.study for one in usable}) > 1:
        raise source.refuse(f"images of several studies ({_list(listed)}); give one study, or choose with --series")
    if flair:
        return _best(flair)
    if derived:
        raise source.refuse(f"its only FLAIR images are derived ({_list(listed)}); choose a series with --series")
    if len(usable) > 1:
        raise source.refuse(f"no series is known to be FLAIR ({_list(listed)}); choose one with --series")
    return usable[0], "it is the only one that can be read", ()


def _best(flair: list[Series]) -> tuple[Series, str, tuple[Flag, ...]]:
    """The best of the FLAIR series, by the rule, among those without a problem where there are any."""
    whole = [one for one in flair if not one.problem] or flair
    best = min(whole, key=lambda one: (not one.three_d, round(one.step_mm, 2), -len(one.slices), one.number))
    why = f"FLAIR by {best.evidence}"
    if len(flair) == 1:
        return best, why, ()
    numbers = ", ".join(str(one.number) for one in flair)
    faulty = len(flair) - len(whole)
    left_out = f"; {faulty} of them cannot be read" if faulty else ""
    message = f"Series {numbers} of the study are FLAIR{left_out}. Series {best.number} was read, by the rule: {_RULE}."
    return best, f"{why}; of {len(flair)} FLAIR series by the rule: {_RULE}", (Flag("several_flair_series", message),)


def _list(listed: Sequence[Series]) -> str:
    words = []
    for one in [series.summary() for series in listed[:MOST_LISTED]]:
        words.append(f"{one.number}: {one.kind}, {one.images} {'image' if one.images == 1 else 'images'}")
    more = [f"and {len(listed) - MOST_LISTED} more"] if len(listed) > MOST_LISTED else []
    return "; ".join(words + more)


def _refuse_series(source: Source, listed: Sequence[Series], series: Series, problem: str) -> InputError:
    named = f"series {series.number} of {len(listed)} ({series.summary().kind}, {series.images} images): "
    return source.refuse(f"{named if len(listed) > 1 else ''}{problem}")
