"""What a cohort's split has to teach: volumes, reports, and the mirrored twin of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from brain3d.cohort import Study, is_published, study_volume, volume_key
from brain3d.cohort.volumes import file_sha256
from brain3d.reports import Findings, mirror_text, overall_side, parse_findings, report_fault
from brain3d.scans import InputError, Volume, mirror
from brain3d.scans.cache import CacheError, VolumeCache
from brain3d.training.augment import VERSION as AUGMENTATION
from brain3d.training.augment import augmented
from brain3d.training.batches import View


class StudyError(InputError):
    """One study cannot be trained on; the line names it by its id. `study` is the id, `kind` a word for counting."""

    kind = "study"

    def __init__(self, study: str, what: str) -> None:
        super().__init__(f"study {study}: {what}")
        self.study = study


class UnreadableScan(StudyError):
    """The scan cannot be read or prepared."""

    kind = "unreadable_scan"


class NoReport(StudyError):
    """There is no report, no text in it, or its file cannot be read."""

    kind = "no_report"


class ContradictoryReport(StudyError):
    """The report says two things: its mirror image would not be what the mirrored brain shows, or it states a lesion
    of a healthy study."""

    kind = "contradictory_report"


@dataclass(frozen=True)
class Item:
    """A study that is ready to be trained on.

    `content` is the hash of its prepared volume, `key` what the volume cache knows it by. `side` is the report's
    overall side, "none" where it states no lesion.
    """

    study: Study
    key: str
    content: str
    report: str
    mirrored_report: str
    findings: Findings
    healthy: bool
    side: str


class CohortData:
    """The studies of a split: volumes from a memory-mapped cache, reports, both mirrored on demand."""

    def __init__(self, items: Sequence[Item], volumes: VolumeCache, seed: int = 0) -> None:
        self.items, self.volumes, self.seed = list(items), volumes, seed

    def __len__(self) -> int:
        return len(self.items)

    def prepared(self, row: int) -> Volume:
        """The prepared volume of a study, as it is."""
        kept = self.volumes.get(self.items[row].key)
        if kept is None:
            raise CacheError(f"{self.volumes.folder}: lacks a volume that was prepared; start again")
        return kept

    def volume(self, view: View) -> np.ndarray:
        """The volume (1, D, H, W) float32 of a view: augmented, then mirrored left to right, as the view says."""
        prepared = self.prepared(view.row)
        data = augmented(prepared.data, self.items[view.row].content, self.seed, view.augmentation)
        return mirror(replace(prepared, data=data)).data if view.mirrored else data

    def report(self, view: View) -> str:
        """The report of a view: of a mirrored one with left and right exchanged."""
        item = self.items[view.row]
        return item.mirrored_report if view.mirrored else item.report

    def reports(self, views: Iterable[View]) -> list[str]:
        """The reports of several views."""
        return [self.report(view) for view in views]

    def content(self, view: View) -> str:
        """A hash of what a view's volume follows from: equal for equal volumes, whatever the studies are called."""
        drawn = f"{AUGMENTATION} {self.seed} {view.augmentation}" if view.augmentation else ""
        facts = f"{self.items[view.row].content} {view.mirrored} {drawn}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def summary(self) -> dict[str, int]:
        """How many studies there are, healthy ones, and reports of each side."""
        sides = [item.side for item in self.items]
        counts = {side: sides.count(side) for side in sorted(set(sides))}
        return {"studies": len(self.items), "healthy": sum(item.healthy for item in self.items), **counts}


def load_data(
    studies: Sequence[Study],
    volumes: VolumeCache,
    *,
    seed: int = 0,
    left_out: list[StudyError] | None = None,
) -> CohortData:
    """Read every study's report, and prepare every scan whose volume is not in the cache yet, with a progress bar.

    Args:
        studies: such as `Cohort.split("train")`.
        volumes: the cohort's (`brain3d.cohort.open_volumes`), of the model's grid, with a spacing of 0 for the
            published system's.
        seed: of the augmentation; see `augment.augmented`.
        left_out: where given, what is wrong with a study is put here and the study is left out; else the first such
            fault is raised. A caller that leaves studies out has to say so.

    Raises:
        StudyError: a scan, report or text that cannot be used, one class for each.
        CacheError: the cache's folder, which is no fault of a study.
        InputError: no study is left.
    """
    items: list[Item] = []
    for study in tqdm(studies, desc="preparing volumes", unit="scan", disable=len(studies) < 2):
        try:
            items.append(_load(study, volumes))
        except StudyError as error:
            if left_out is None:
                raise
            left_out.append(error)
    if not items:
        first = f", the first fault: {left_out[0]}" if left_out else ""
        raise InputError(f"none of {len(studies)} studies can be trained on{first}")
    return CohortData(items, volumes, seed)


def _load(study: Study, cache: VolumeCache) -> Item:
    text = read_report(study)
    findings = parse_findings(text)
    fault = report_fault(text, study.healthy)
    if fault is not None:
        raise ContradictoryReport(study.id, f"{fault}; mend it, or leave the study out")
    key, volume = _volume(study, cache)
    return Item(
        study=study,
        key=key,
        content=_content(volume),
        report=text,
        mirrored_report=mirror_text(text),
        findings=findings,
        healthy=findings.normal if study.healthy is None else study.healthy,
        side=overall_side(findings) if findings.lesions else "none",
    )


def read_report(study: Study) -> str:
    """The report's text, without a byte-order mark and white space at both ends. NoReport where there is none."""
    if study.report is None:
        raise NoReport(study.id, "the cohort names no report for it; give one, or leave the study out")
    try:
        text = study.report.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoReport(study.id, f"its report cannot be read ({type(error).__name__}); check the file") from error
    if not text:
        raise NoReport(study.id, "its report is empty; write one, or leave the study out")
    return text


def _volume(study: Study, cache: VolumeCache) -> tuple[str, Volume]:
    """The key of a study's volume, and the volume."""
    try:
        volume = study_volume(study, cache)
        return volume_key(file_sha256(study.image), published=is_published(cache.spec)), volume
    except CacheError:
        raise
    except InputError as error:
        raise UnreadableScan(study.id, f"its scan cannot be used: {error}") from error


def _content(volume: Volume) -> str:
    data = np.ascontiguousarray(volume.data)
    return hashlib.sha256(f"{data.shape}".encode() + data.tobytes()).hexdigest()
