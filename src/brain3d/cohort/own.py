"""Any manifest as the source of a cohort, such as that of a folder of phantoms."""

from __future__ import annotations

from pathlib import Path

from brain3d.cohort.candidates import MISSING_REPORT, Candidate, Found, Problem, read_report
from brain3d.cohort.folder import open_cohort
from brain3d.cohort.manifest import Study

MANIFEST = "manifest"


def find_manifest(path: str | Path, *, keep_splits: bool = False) -> Found:
    """The studies of a manifest or of a cohort's folder, in their order; with `keep_splits` in the splits they have.

    A study without a report is left out, unless it is known to be healthy. InputError as of `open_cohort`.
    """
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    for study in open_cohort(path).studies:
        text = None if study.report is None else read_report(study.report, study.id)
        if text is None and not study.healthy:
            text = Problem(MISSING_REPORT, study.id)
        if isinstance(text, Problem):
            problems.append(text)
        else:
            candidates.append(_candidate(study, text, study.split if keep_splits else None))
    return Found(tuple(candidates), tuple(problems))


def _candidate(study: Study, text: str | None, split: str | None) -> Candidate:
    return Candidate(
        subject=study.subject,
        image=study.image,
        report=text,
        session=study.session,
        sequences=dict(study.sequences) or {"FLAIR": study.image},
        mask=study.mask,
        truth=study.truth,
        healthy=study.healthy,
        split=split,
        source=study.source or MANIFEST,
        name=study.id,
    )
