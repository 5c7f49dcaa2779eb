"""Which subject goes to which split. All procedures depend on subjects, strata and a seed alone, on any machine."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence

from brain3d.cohort.manifest import SPLITS
from brain3d.reports.findings import overall_side
from brain3d.reports.parse import parse_findings
from brain3d.scans.types import InputError

STRATIFIED, HASHED, PUBLISHED = "stratified", "hashed", "published"
PROCEDURES = (STRATIFIED, HASHED, PUBLISHED)
RATIOS = (0.7, 0.1, 0.2)
ROUNDING = 0.005  # of the sum of given ratios
HEALTHY = "healthy"
LEAST_STRATUM = 3  # a stratum of fewer subjects cannot be in every split

# "Bilateral words first" is all that is known of the published procedure's list. A report that names left and right
# counts as bilateral there in any case, so the list decides only about reports that name one of them or none.
PUBLISHED_BILATERAL = re.compile(r"\bbilateral(?:ly)?\b|\bboth (?:sides|hemispheres|cerebral hemispheres)\b")
PUBLISHED_LEFT, PUBLISHED_RIGHT = re.compile(r"\bleft\b"), re.compile(r"\bright\b")

_SESSION = re.compile(r"[_-]ses-?[a-z0-9]+$")


def person_of(subject: str) -> str:
    """The subject's name without what data sets add to it: capitals, "sub-", "_ses-1", dashes and underscores.

    Two studies whose subjects have the same one are taken to show the same person.
    """
    plain = _SESSION.sub("", subject.strip().casefold()).removeprefix("sub-")
    return re.sub(r"[\s_-]+", "", plain)


def side_stratum(report: str, healthy: bool | None) -> str:
    """A report's stratum: healthy, left, right, both (bilateral or midline) or unknown, as `parse_findings` reads it.

    Where nothing says whether the subject is healthy, the report that states no lesion does.
    """
    findings = parse_findings(report)
    if healthy or (healthy is None and findings.normal):
        return HEALTHY
    side = overall_side(findings)
    return "both" if side in ("bilateral", "midline") else side


def published_stratum(report: str, healthy: bool | None) -> str:
    """A report's stratum in the published procedure, by whole words after lower-casing.

    There, a subject is healthy by its folder; where nothing says it, the report that states no lesion does.
    """
    if healthy or (healthy is None and parse_findings(report).normal):
        return "none"
    text = report.lower()
    left, right = PUBLISHED_LEFT.search(text), PUBLISHED_RIGHT.search(text)
    if PUBLISHED_BILATERAL.search(text) or (left and right):
        return "bilateral"
    return "left" if left else "right" if right else "unknown"


def joined_stratum(strata: Sequence[str]) -> str:
    """The stratum of a subject with several studies: healthy where all are; sides that differ make "both"."""
    ill = {stratum for stratum in strata if stratum != HEALTHY}
    known = ill - {"unknown"} or ill
    return HEALTHY if not ill else known.pop() if len(known) == 1 else "both"


def check_ratios(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Shares of train, validation and test that add up to 1, out of shares or percentages.

    InputError for what is neither: each must be 0 or more, train above 0, and the sum 1 or 100 but for rounding
    (33.3/33.3/33.3). Numbers that add up to anything else are mostly a slip.
    """
    total = sum(ratios)
    if len(ratios) != 3 or not all(ratio >= 0 for ratio in ratios) or not ratios[0] > 0:
        raise InputError("ratios: give three numbers, train/validation/test, such as 70/10/20; train above 0")
    if not any(abs(total - whole) <= ROUNDING * whole for whole in (1, 100)):
        raise InputError(f"ratios: they add up to {total:g}; give percentages that add up to 100, or shares of 1")
    train, validation, test = (ratio / total for ratio in ratios)
    return train, validation, test


def stratified_splits(strata: Mapping[str, str], ratios: Sequence[float], seed: int) -> dict[str, str]:
    """Each subject's split, by the ratios within each stratum; `strata` goes from subject to stratum.

    Within a stratum subjects are put in the order of a seeded hash and cut at the rounded ratios; from three subjects
    on every split whose ratio is above 0 gets one. Smaller strata are cut together. The order of `strata` makes no
    difference. One more subject moves, in its stratum of three or more, at most one other over each of the two cuts.
    """
    sizes: dict[str, int] = {}
    for stratum in strata.values():
        sizes[stratum] = sizes.get(stratum, 0) + 1
    groups: dict[str | None, list[str]] = {}
    for subject, stratum in strata.items():
        groups.setdefault(stratum if sizes[stratum] >= LEAST_STRATUM else None, []).append(subject)
    splits: dict[str, str] = {}
    for subjects in groups.values():
        ordered = sorted(subjects, key=lambda subject: (_draw(subject, seed), subject))
        first, second = _cuts(len(ordered), ratios)
        for place, subject in enumerate(ordered):
            splits[subject] = SPLITS[(place >= first) + (place >= second)]
    return splits


def _cuts(count: int, ratios: Sequence[float]) -> tuple[int, int]:
    """Where train ends and where validation ends, among `count` in order."""
    train, validation, test = ratios
    first, second = _rounded(count * train), _rounded(count * (train + validation))
    wanted = [int(validation > 0), int(test > 0)]
    if count >= 1 + sum(wanted):
        first = min(max(first, 1), count - sum(wanted))
        second = min(max(second, first + wanted[0]), count - wanted[1])
        return first, second
    return 1, 1 if test > 0 else count  # of two subjects the second is kept for the test


def _rounded(value: float) -> int:
    """Half up, after dropping the last bits of the product."""
    return int(round(value, 6) + 0.5)


def _draw(subject: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{subject}".encode()).digest()[:8], "big")


def hashed_splits(subjects: Sequence[str], ratios: Sequence[float], seed: int) -> dict[str, str]:
    """Each subject's split by its own hash alone: no other subject ever moves it, and no ratio is kept exactly."""
    train, validation, _ = ratios
    splits = {}
    for subject in subjects:
        share = _draw(subject, seed) / 2**64
        splits[subject] = SPLITS[(share >= train) + (share >= train + validation)]
    return splits


def published_splits(strata: Mapping[str, str], seed: int) -> dict[str, str]:
    """The published procedure, 70/10/20; here the order of `strata` counts: folders sorted by name, healthy last.

    Python's generator with this seed shuffles the strata in the order in which they first appear; of each the first
    int(0.7 n) are train and the next int(0.1 n) validation, at least one each, the rest test. (Random(seed) draws what
    the module's functions draw after random.seed(seed).)
    """
    generator = random.Random(seed)
    groups: dict[str, list[str]] = {}
    for subject, stratum in strata.items():
        groups.setdefault(stratum, []).append(subject)
    splits: dict[str, str] = {}
    for subjects in groups.values():
        generator.shuffle(subjects)
        first = max(1, int(0.7 * len(subjects)))
        second = first + max(1, int(0.1 * len(subjects)))
        for place, subject in enumerate(subjects):
            splits[subject] = SPLITS[(place >= first) + (place >= second)]
    return splits
