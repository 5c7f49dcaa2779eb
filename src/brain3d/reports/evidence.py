"""The words that findings were read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from brain3d.reports.findings import REGIONS, Findings, mirror_side


class Span(NamedTuple):
    """A piece of a report: from `start` up to `end`, in characters, and the words that stand there."""

    start: int
    end: int
    text: str

    def to_dict(self) -> dict[str, Any]:
        """The span as plain JSON values."""
        return self._asdict()


@dataclass(frozen=True)
class LesionEvidence:
    """Where one lesion of the findings was read from, and what is too fine for them.

    `certainty` is "possible" where the words leave open that the lesion is there. `places` holds each region with its
    side, the finer form of the lesion's side and regions: a lesion in "the left frontal and right parietal lobes" is
    bilateral, and has the places left frontal and right parietal. `words` has the spans by what they say: "lesion",
    "side", "signal", each region by its name, and each sign.
    """

    certainty: str
    places: tuple[tuple[str, str], ...]
    words: dict[str, tuple[Span, ...]]

    def to_dict(self) -> dict[str, Any]:
        """The evidence as plain JSON values, the regions under "regions"."""
        words = {key: [span.to_dict() for span in spans] for key, spans in self.words.items()}
        regions = {name: words.pop(name) for name in REGIONS if name in words}
        return {
            "certainty": self.certainty,
            "places": [{"side": side, "region": region} for side, region in self.places],
            "words": {**words, "regions": regions},
        }


@dataclass(frozen=True)
class Reading:
    """Findings with their evidence: one entry for each lesion, in the same order, and the words for a normal brain."""

    findings: Findings
    lesions: tuple[LesionEvidence, ...]
    normal: tuple[Span, ...]

    def to_dict(self) -> dict[str, Any]:
        """The findings as they stand in a report, and the evidence beside them."""
        evidence = {
            "normal": [span.to_dict() for span in self.normal],
            "lesions": [lesion.to_dict() for lesion in self.lesions],
        }
        return {**self.findings.to_dict(), "evidence": evidence}

    def places(self) -> frozenset[tuple[int, str, str]]:
        """(lesion, side, region) of all lesions, each lesion by its number from 0."""
        return frozenset((i, *place) for i, lesion in enumerate(self.lesions) for place in lesion.places)


def mirror_places(places: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The places of the same lesion in a mirror."""
    return tuple((mirror_side(side), region) for side, region in places)
