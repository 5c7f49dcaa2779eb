"""Preparing a cohort: from what a layout holds to a folder with manifest, reports, volumes, splits and audit."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brain3d.cohort import splits as procedures
from brain3d.cohort.assign import assign, check_given
from brain3d.cohort.audit import Audit, audit_cohort
from brain3d.cohort.candidates import UNREADABLE_SCAN, Candidate, Found, Problem, counted, without_duplicates
from brain3d.cohort.facts import FACTS_FILE, Facts, FactsFile, measure_all
from brain3d.cohort.folder import (
    AUDIT_FILE,
    IMAGES_FOLDER,
    INFO_FILE,
    MANIFEST_FILE,
    REPORTS_FOLDER,
    VOLUMES_FOLDER,
    Cohort,
    open_cohort,
)
from brain3d.cohort.healthy import healthy_report
from brain3d.cohort.manifest import SPLITS, Study, write_manifest, write_whole
from brain3d.cohort.splits import person_of
from brain3d.cohort.volumes import file_sha256, is_published
from brain3d.scans.types import InputError, VolumeSpec

KIND = "prepared cohort"
PAPER, OWN = "paper", "own"
PAPER_SEED = 42
# The published prompt, whose last space and newline belong to it.
PAPER_PROMPT = "Generate a radiology report for this brain MRI FLAIR scan. \n"


@dataclass(frozen=True)
class Settings:
    """How a cohort is prepared. `spec` is the grid of its volumes, None for no volumes; `copy` copies the images too.

    `strict` makes an error of every study that would be left out; `allow_shared` accepts, in splits that a table or a
    manifest brings along, one subject in two splits.
    """

    output: Path
    source: str
    procedure: str = procedures.STRATIFIED
    ratios: tuple[float, float, float] = procedures.RATIOS
    seed: int = 0
    preset: str = OWN
    spec: VolumeSpec | None = None
    copy: bool = False
    strict: bool = False
    allow_shared: bool = False
    workers: int = 1


@dataclass(frozen=True)
class Prepared:
    """A cohort that is ready, the studies that were left out of it, and its audit."""

    cohort: Cohort
    problems: tuple[Problem, ...]
    audit: Audit


def paper_settings(settings: Settings) -> Settings:
    """The paper's data procedure: its split with seed 42, and its prompt, which every model is then to be given."""
    return replace(settings, preset=PAPER, procedure=procedures.PUBLISHED, ratios=procedures.RATIOS, seed=PAPER_SEED)


def prepare_cohort(found: Found, settings: Settings, tell: Callable[[str], None]) -> Prepared:
    """Make the cohort's folder of what a layout holds; `tell` is given a line for each study that is left out.

    An interrupted call goes on where it stopped when it is made again; the manifest comes last, so a folder with one
    is complete. Raises InputError for a folder that holds something else, where nothing can be used, where `strict`
    is asked and something is left out, and for splits that share a subject.
    """
    candidates, repeated = without_duplicates(found.candidates)
    problems = [*found.problems, *repeated]
    _check(settings, problems, candidates, tell)
    check_given(candidates, settings.allow_shared)
    _claim(settings.output)
    candidates, facts, unreadable = _measure(candidates, settings)
    problems += unreadable
    _check(settings, problems, candidates, tell, already=len(problems) - len(unreadable))
    candidates = [_with_report(candidate, settings.seed) for candidate in candidates]
    assigned = assign(candidates, settings.procedure, settings.ratios, settings.seed)
    studies = [_study(candidate, split, settings) for candidate, split in zip(candidates, assigned, strict=True)]
    manifest = settings.output / MANIFEST_FILE
    manifest.unlink(missing_ok=True)
    info = _info(settings, problems, studies, given=candidates[0].split is not None)
    write_whole(settings.output / INFO_FILE, json.dumps(info, indent=2) + "\n")
    write_manifest(manifest, studies)
    cohort = open_cohort(settings.output)
    found_out = audit_cohort(cohort, facts, settings.spec)
    write_whole(settings.output / AUDIT_FILE, json.dumps(found_out.to_dict(), indent=2) + "\n")
    return Prepared(cohort, tuple(problems), found_out)


def audit_folder(path: Path, spec: VolumeSpec | None, workers: int = 1) -> tuple[Audit, list[Problem]]:
    """Audit a cohort that is there already, and write its audit.json beside the manifest.

    Scans that were not measured yet are; those that cannot be read are left out of the audit, and named.
    """
    cohort = open_cohort(path)
    volumes = None if cohort.volumes is None or spec is None else cohort.volumes
    file = FactsFile(cohort.folder / FACTS_FILE)
    facts: dict[str, Facts] = {}
    problems = []
    images = [study.image for study in cohort.studies]
    with tqdm(total=len(images), desc="measuring", unit="scan") as bar:
        for index, one in measure_all(images, file, volumes, spec or VolumeSpec(), workers):
            study = cohort.studies[index]
            if isinstance(one, Facts):
                facts[study.id] = one
            else:
                problems.append(Problem(UNREADABLE_SCAN, study.id, str(one)))
            bar.update()
    audit = audit_cohort(cohort, facts, None if volumes is None else spec)
    write_whole(cohort.folder / AUDIT_FILE, json.dumps(audit.to_dict(), indent=2) + "\n")
    return audit, problems


def _check(
    settings: Settings,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    tell: Callable[[str], None],
    already: int = 0,
) -> None:
    """Tell of the problems from `already` on; InputError where none may be, or where they leave nothing."""
    for problem in problems[already:]:
        tell(problem.line())
    if problems and (settings.strict or not candidates):
        counts = ", ".join(f"{kind} {len(subjects)}" for kind, subjects in counted(problems).items())
        what = "--strict: studies would be left out" if candidates else "no study can be used"
        raise InputError(f"{what} ({counts}; the first, {problems[0].line()}); mend these, nothing was prepared")
    if not candidates:
        raise InputError("no study was found; check the paths")


def _claim(folder: Path) -> None:
    """Make the folder, or find in it an earlier, perhaps interrupted, preparation."""
    info = folder / INFO_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not info.exists():
            if any(folder.iterdir()):
                raise InputError(f"--output {folder}: holds something else than a prepared cohort; give a new folder")
            write_whole(info, json.dumps({"kind": KIND, "complete": False}) + "\n")
        values = json.loads(info.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--output {folder}: cannot hold a cohort ({type(error).__name__}); give a new one") from error
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise InputError(f"--output {folder}: holds another kind of cohort; give a new folder")
    for place in (folder, folder / REPORTS_FOLDER, *(folder / IMAGES_FOLDER).glob("*")):
        for stale in place.glob(".*.part"):
            stale.unlink()


def _measure(
    candidates: Sequence[Candidate], settings: Settings
) -> tuple[list[Candidate], dict[str, Facts], list[Problem]]:
    """The candidates whose scan can be read, the facts of each by its id, and a problem for each other."""
    volumes = None if settings.spec is None else settings.output / VOLUMES_FOLDER
    file = FactsFile(settings.output / FACTS_FILE)
    facts: dict[str, Facts] = {}
    reasons: dict[str, str] = {}
    images = [candidate.image for candidate in candidates]
    with tqdm(total=len(images), desc="preparing", unit="scan") as bar:
        for index, found in measure_all(images, file, volumes, settings.spec or VolumeSpec(), settings.workers):
            if isinstance(found, Facts):
                facts[candidates[index].id] = found
            else:
                reasons[candidates[index].id] = str(found)
            bar.update()
    problems = [Problem(UNREADABLE_SCAN, item.id, reasons[item.id]) for item in candidates if item.id in reasons]
    return [item for item in candidates if item.id in facts], facts, problems


def _with_report(candidate: Candidate, seed: int) -> Candidate:
    if candidate.report is not None:
        return candidate
    return replace(candidate, report=healthy_report(person_of(candidate.subject), seed))


def _study(candidate: Candidate, split: str, settings: Settings) -> Study:
    """The study in the manifest; its report is written, and its images are copied where that is asked."""
    place, manifest = settings.output / REPORTS_FOLDER / f"{candidate.id}.txt", settings.output / MANIFEST_FILE
    files: dict[str, Path | None] = {"image": candidate.image, "mask": candidate.mask, "truth": candidate.truth}
    sequences = dict(candidate.sequences)
    try:
        place.parent.mkdir(exist_ok=True)
        _write_report(place, f"{candidate.report}\n", manifest)
        if settings.copy:
            folder = settings.output / IMAGES_FOLDER / candidate.id
            folder.mkdir(parents=True, exist_ok=True)
            files = {n: None if file is None else _copied(file, folder, n, manifest) for n, file in files.items()}
            sequences = {n: _copied(file, folder, n, manifest) for n, file in sequences.items() if n != "FLAIR"}
            sequences = {"FLAIR": files["image"] or candidate.image, **sequences}
    except OSError as error:
        raise InputError(f"{settings.output}: cannot be written ({error.strerror}); check the folder") from error
    assert files["image"] is not None
    return Study(
        id=candidate.id,
        image=files["image"],
        report=place,
        truth=files["truth"],
        mask=files["mask"],
        split=split,
        subject=candidate.subject,
        session=candidate.session,
        sequences=sequences,
        source=candidate.source,
        healthy=candidate.healthy,
    )


def _write_report(place: Path, text: str, manifest: Path) -> None:
    """Write a report. An earlier manifest that would name another text by it is removed first: were this call cut
    short, its images would stand beside reports of others."""
    if place.is_file() and place.read_bytes() != text.encode():
        manifest.unlink(missing_ok=True)
    write_whole(place, text)


def _copied(file: Path, folder: Path, name: str, manifest: Path) -> Path:
    """The copy of a file under this name, whole or not at all; one that is there already is kept. Before another one
    is replaced an earlier manifest is removed, as in `_write_report`."""
    suffix = ".nii.gz" if file.name.lower().endswith(".nii.gz") else file.suffix.lower()
    target = folder / f"{'FLAIR' if name == 'image' else name}{suffix}"
    if target.is_file() and file_sha256(target) == file_sha256(file):
        return target
    partial = folder / f".{secrets.token_hex(8)}.part"
    try:
        shutil.copyfile(file, partial)
        if target.exists():
            manifest.unlink(missing_ok=True)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _info(settings: Settings, problems: Sequence[Problem], studies: Sequence[Study], given: bool) -> dict[str, Any]:
    """The content of cohort.json; `given` splits came with the studies. The same input gives the same bytes."""
    people = sorted(f"{person_of(study.subject)}\0{study.split}" for study in studies)
    spec = settings.spec
    return {
        "kind": KIND,
        "complete": True,
        "source": settings.source,
        "preset": settings.preset,
        "split": {
            "procedure": "given" if given else settings.procedure,
            "seed": settings.seed,
            "ratios": list(settings.ratios),
            "sha256": hashlib.sha256("\n".join(people).encode()).hexdigest(),
            "studies": {name: sum(study.split == name for study in studies) for name in SPLITS},
        },
        "prompt": PAPER_PROMPT if settings.preset == PAPER else None,
        "volumes": None
        if spec is None
        else {"shape": list(spec.shape), "spacing_mm": spec.spacing_mm, "published": is_published(spec)},
        "left_out": counted(problems),
    }
