"""The leak audit of a cohort: what would make its scores look better than the model is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from brain3d.cohort.facts import Facts
from brain3d.cohort.folder import Cohort
from brain3d.cohort.likeness import Pair, all_pairs
from brain3d.cohort.manifest import SPLITS, Study
from brain3d.cohort.probe import SOME, STRONG, Probe, probe, scan_features, told
from brain3d.cohort.splits import person_of
from brain3d.cohort.volumes import is_published, volume_key
from brain3d.reports import parse_findings, report_fault
from brain3d.scans.cache import VolumeCache
from brain3d.scans.types import VolumeSpec

AUDIT_VERSION = "1.1"
MOST_TOLD = 10
FILES = "the files' geometry and background"
BACKGROUND = "the background of the prepared volumes"


@dataclass(frozen=True)
class Shared:
    """One subject whose studies are in several splits."""

    studies: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Copied:
    """Test studies whose report is, word for word, one of a training study, out of how many."""

    ill: int
    of_ill: int
    healthy: int
    of_healthy: int


@dataclass(frozen=True)
class Faulty:
    """A study whose report training refuses, and why."""

    study: str
    split: str | None
    fault: str


@dataclass(frozen=True)
class Audit:
    """What was found. `compared` says whether volumes were looked at for scans that are only nearly the same;
    `background` is None where there are no volumes."""

    studies: int
    subjects: int
    splits: dict[str, int]
    shared: tuple[Shared, ...]
    duplicates: tuple[Pair, ...]
    across: tuple[Pair, ...]
    compared: bool
    copied: Copied
    files: Probe
    background: Probe | None
    faulty: tuple[Faulty, ...]

    @property
    def warnings(self) -> int:
        """How many of the checks found something."""
        probes = [one.verdict in (SOME, STRONG) for one in (self.files, self.background) if one is not None]
        return sum([bool(self.shared), bool(self.duplicates), self.copied.ill > 0, bool(self.faulty), *probes])

    def to_dict(self) -> dict[str, Any]:
        """The content of audit.json."""
        return {"schema_version": AUDIT_VERSION, "warnings": self.warnings, **asdict(self)}

    def to_text(self) -> str:
        """The findings for people, a line each."""
        counts = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        lines = [f"{self.studies} studies of {self.subjects} subjects ({counts})"]
        lines += _told_shared(self.shared)
        lines += _told_duplicates(self.duplicates, self.across, self.compared)
        lines += _told_copied(self.copied)
        lines += _told_faulty(self.faulty)
        lines += told(self.files, FILES)
        lines += told(self.background, BACKGROUND) if self.background is not None else []
        return "\n".join(lines) + "\n"


def audit_cohort(cohort: Cohort, facts: Mapping[str, Facts], spec: VolumeSpec | None) -> Audit:
    """Look for leaks. `facts` are those of the scans by study; `spec` is the grid of the cohort's volumes, or None."""
    studies = [study for study in cohort.studies if study.id in facts]
    volumes = {} if spec is None or cohort.volumes is None else _volumes(cohort, studies, facts, spec)
    pairs = all_pairs({study.id: facts[study.id] for study in studies}, volumes)
    split = {study.id: study.split for study in studies}
    texts = {study.id: _text(study) for study in cohort.studies}
    reports = {name: _words(text) for name, text in texts.items()}
    healthy = {study.id: _is_healthy(study, reports[study.id]) for study in cohort.studies}
    firsts = [study for study in _first_of_each(studies) if healthy[study.id] is not None]
    labels = [bool(healthy[study.id]) for study in firsts]
    features = scan_features([facts[study.id] for study in firsts])
    seen = [volumes[study.id] for study in firsts if study.id in volumes]
    return Audit(
        studies=len(cohort.studies),
        subjects=len({person_of(study.subject) for study in cohort.studies}),
        splits=_counted(cohort.studies),
        shared=_shared(cohort.studies),
        duplicates=tuple(pairs),
        across=tuple(pair for pair in pairs if split[pair.first] != split[pair.second]),
        compared=bool(volumes),
        copied=_copied(cohort.studies, reports, healthy),
        files=probe(features, labels),
        background=probe(volume_features(seen), labels) if volumes and len(seen) == len(firsts) else None,
        faulty=tuple(_faulty(cohort.studies, texts)),
    )


def _volumes(
    cohort: Cohort, studies: Sequence[Study], facts: Mapping[str, Facts], spec: VolumeSpec
) -> dict[str, np.ndarray]:
    """The volumes (D, H, W) that are in the cache, memory-mapped."""
    assert cohort.volumes is not None
    cache = VolumeCache(cohort.volumes, spec)
    found = {study.id: cache.get(volume_key(facts[study.id].sha256, published=is_published(spec))) for study in studies}
    return {name: volume.data[0] for name, volume in found.items() if volume is not None}


def volume_features(volumes: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """Where a volume (D, H, W) holds nothing: its share, that of each outer plane, and how far the head reaches."""
    heads = [volume > volume.min() for volume in volumes]
    names = (("inferior", "superior"), ("posterior", "anterior"), ("left", "right"))
    found = {"share of background": [float(1 - head.mean()) for head in heads]}
    for axis, ends in enumerate(names):
        for end, name in zip((0, -1), ends, strict=True):
            found[f"content of the {name} plane"] = [float(np.take(head, end, axis=axis).mean()) for head in heads]
            found[f"reach to the {name} end"] = [_reach(head, axis, end) for head in heads]
    return found


def _reach(head: np.ndarray, axis: int, end: int) -> float:
    """How many planes are empty at this end of the axis."""
    filled = np.asarray(head.any(axis=tuple(other for other in range(3) if other != axis)))
    return float(np.argmax(filled if end == 0 else filled[::-1])) if filled.any() else float(len(filled))


def _text(study: Study) -> str | None:
    return None if study.report is None else study.report.read_text(encoding="utf-8", errors="replace").strip()


def _words(text: str | None) -> str | None:
    """A report in lower case with single spaces, so that only its words count."""
    return None if text is None else " ".join(text.lower().split())


def _faulty(studies: Sequence[Study], texts: Mapping[str, str | None]) -> Iterator[Faulty]:
    """The studies whose report says two things, or cannot be mirrored with its image."""
    for study in studies:
        text = texts[study.id]
        fault = None if text is None else report_fault(text, study.healthy)
        if fault is not None:
            yield Faulty(study.id, study.split, fault)


def _is_healthy(study: Study, report: str | None) -> bool | None:
    if study.healthy is not None or report is None:
        return study.healthy
    return parse_findings(report).normal


def _first_of_each(studies: Sequence[Study]) -> list[Study]:
    """The first study of each subject, since those of one are not independent."""
    first: dict[str, Study] = {}
    for study in studies:
        first.setdefault(person_of(study.subject), study)
    return list(first.values())


def _counted(studies: Sequence[Study]) -> dict[str, int]:
    names = [study.split or "no split" for study in studies]
    return {name: names.count(name) for name in dict.fromkeys((*SPLITS, *names)) if name in names}


def _shared(studies: Sequence[Study]) -> tuple[Shared, ...]:
    people: dict[str, list[Study]] = {}
    for study in studies:
        people.setdefault(person_of(study.subject), []).append(study)
    found = []
    for several in people.values():
        splits = tuple(dict.fromkeys(study.split or "no split" for study in several))
        if len(splits) > 1:
            found.append(Shared(tuple(study.id for study in several), splits))
    return tuple(found)


def _copied(studies: Sequence[Study], reports: Mapping[str, str | None], healthy: Mapping[str, bool | None]) -> Copied:
    train = {reports[study.id] for study in studies if study.split == "train"} - {None}
    counts = {True: [0, 0], False: [0, 0]}
    for study in studies:
        if study.split == "test" and reports[study.id] is not None:
            count = counts[bool(healthy[study.id])]
            count[0] += reports[study.id] in train
            count[1] += 1
    return Copied(*counts[False], *counts[True])


def _told_shared(shared: Sequence[Shared]) -> list[str]:
    if not shared:
        return ["No subject is in two splits."]
    lines = [f"{'; '.join(one.studies)}: one subject, in {' and '.join(one.splits)}" for one in shared[:MOST_TOLD]]
    return [f"SUBJECTS IN TWO SPLITS: {len(shared)}.", *lines, *_more(len(shared))]


def _told_duplicates(pairs: Sequence[Pair], across: Sequence[Pair], compared: bool) -> list[str]:
    unseen = "" if compared else " (equal voxels only: there are no volumes to compare)"
    if not pairs:
        return [f"No two scans show the same head{unseen}."]
    lines = []
    for pair in pairs[:MOST_TOLD]:
        how = "the same voxels" if pair.correlation is None else f"alike, correlation {pair.correlation:.3f}"
        where = ", IN DIFFERENT SPLITS" if pair in across else ""
        lines.append(f"{pair.first} and {pair.second}: {how}{', mirrored' if pair.kind == 'mirrored' else ''}{where}")
    head = f"PAIRS THAT SHOW ONE HEAD: {len(pairs)}, {len(across)} of them across splits{unseen}."
    return [head, *lines, *_more(len(pairs))]


def _told_faulty(faulty: Sequence[Faulty]) -> list[str]:
    if not faulty:
        return ["No report contradicts itself."]
    lines = [f"{one.study} ({one.split or 'no split'}): {one.fault}" for one in faulty[:MOST_TOLD]]
    head = f"REPORTS THAT TRAINING REFUSES: {len(faulty)}. Mend them; `faulty=leave_out` trains without them."
    return [head, *lines, *_more(len(faulty))]


def _more(count: int) -> list[str]:
    return [f"... and {count - MOST_TOLD} more, see audit.json"] if count > MOST_TOLD else []


def _told_copied(copied: Copied) -> list[str]:
    if not copied.of_ill and not copied.of_healthy:
        return []
    return [
        f"Test reports that are word for word a training report: {copied.ill} of {copied.of_ill} of the ill, "
        f"{copied.healthy} of {copied.of_healthy} of the healthy (whose reports are often templates)."
    ]
