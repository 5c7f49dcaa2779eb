"""The evaluation of a model on a manifest of studies: predictions, scores, tables."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from brain3d.cohort import Study, open_cohort
from brain3d.evaluation.baselines import (
    Row,
    Shelf,
    Systems,
    compare,
    constant_pool,
    nearest_reports,
    rows,
    shelve,
)
from brain3d.evaluation.kept_pairs import kept_files
from brain3d.evaluation.predictions import (
    Prediction,
    PredictionFile,
    ReportWriter,
    load_study,
    predict,
    project,
)
from brain3d.evaluation.references import (
    CONTRAST_DEFINITION,
    Source,
    curve_bins,
    groups,
    load_source,
    reference_of,
)
from brain3d.evaluation.score import CURVE_METRICS, METRICS, Answer, Metric, Reference
from brain3d.evaluation.table import curve_table, group_table
from brain3d.scans import InputError
from brain3d.scans.cache import VolumeCache

ALL_METRICS: tuple[Metric, ...] = (*METRICS, *CURVE_METRICS)
SCORES_VERSION = "1.0"


def evaluate(
    manifest: Path,
    model: str = "brain3d-mini",
    output: Path | None = None,
    *,
    device: str = "auto",
    limit: int | None = None,
    batch_size: int = 8,
    mirror_check: bool = True,
    neighbours: Path | None = None,
    cache: Path | None = None,
    split: str | None = None,
) -> dict[str, Any]:
    """Generate a report for every scan of `manifest` and for its mirror image, and score them.

    `manifest` is a manifest or the folder of a cohort; `split` chooses its studies of one split, such as "test".

    `output` keeps predictions.jsonl (an interrupted run continues from it), scores.json, table.md, and the reports as
    pairs.jsonl with their report_scores.json; without it nothing is kept. `neighbours` is a manifest or a cohort whose
    reports the nearest-report baseline copies, those of its training studies where it has any; without it, it copies
    the reports of the other evaluated studies. `cache` is a folder for the prepared volumes, so that another run on the
    same scans need not prepare them again. Returns the content of scores.json, with the table under "table". Raises
    InputError for a manifest that cannot be scored, for neighbours that hold nobody else, and for an output folder that
    cannot be written or holds another run.
    """
    from brain3d.reading import load

    cohort = open_cohort(manifest)
    studies = (cohort.studies if split is None else cohort.split(split))[:limit]
    if not studies:
        raise InputError(f"{manifest}: no studies to evaluate")
    sources = [load_source(study) for study in studies]
    shelved = None if neighbours is None else _neighbour_studies(neighbours, studies)
    reader = load(model, device=device)
    volumes = None if cache is None else VolumeCache(cache, reader.spec)
    settings = {
        "model": reader.identity(),
        "cohort_sha256": cohort_sha256(cohort.manifest),
        **({} if split is None else {"split": split}),
        "mirror_check": mirror_check,
        "reading": "joint" if mirror_check else "separate",
    }
    with nullcontext(output) if output else tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _make_folder(place)
        file = PredictionFile(place / "predictions.jsonl", settings)
        predictions = predict(studies, reader, file, batch_size=batch_size, mirror_check=mirror_check, cache=volumes)
        shelf = None if shelved is None else _training_shelf(shelved, reader, volumes)
        result = score(sources, predictions, shelf=shelf)
        result = {"schema_version": SCORES_VERSION, **settings, **result}
        if output is not None:
            _write(place, result, kept_files(studies, sources, predictions, shelf, place))
    return result


def cohort_sha256(manifest: Path) -> str:
    """A hash of what predictions follow from: the manifest's content, and that of each image and mask.

    Truths and reports are read anew at each scoring, and names of folders do not count: a cohort can be moved.
    """
    whole = hashlib.sha256(manifest.read_bytes())
    for study in open_cohort(manifest).studies:
        for path in (study.image, study.mask):
            whole.update(b"none" if path is None else _file_digest(path))
    return whole.hexdigest()


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # not this function's to report: reading the study meets it again, and counts a failed case
        return b"unreadable"


def _neighbour_studies(manifest: Path, evaluated: Sequence[Study]) -> list[Study]:
    """The studies of the neighbours' manifest; InputError where some evaluated study finds no other there."""
    found = open_cohort(manifest).studies
    studies = [study for study in found if study.split == "train"] or list(found)
    ids = {study.id for study in studies}
    alone = [study.id for study in evaluated if ids <= {study.id}]
    if not ids:
        raise InputError(f"{manifest}: no studies to be neighbours; give a manifest of training studies")
    if alone:
        raise InputError(f"{manifest}: holds nobody but study {alone[0]} itself; give a manifest of other studies")
    return studies


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot hold the scores ({error.strerror}); give another folder") from error


def score(
    sources: Sequence[Source], predictions: Sequence[Prediction], *, shelf: Shelf | None = None, seed: int = 0
) -> dict[str, Any]:
    """Score predictions against what is true of their studies: plain JSON values, and the table as text."""
    sources = [
        replace(source, grounding=prediction.grounding) for source, prediction in zip(sources, predictions, strict=True)
    ]
    references = [reference_of(source) for source in sources]
    answers = [prediction.answer() for prediction in predictions]
    systems = compare(
        ALL_METRICS,
        references,
        answers,
        constant_pool([reference.findings for reference in references], seed),
        _neighbours(references, predictions, shelf),
        seed=seed,
    )
    named = {name: _rows(systems, METRICS, members, seed) for name, members in groups(sources).items()}
    curve = [(name, _rows(systems, CURVE_METRICS, members, seed)) for name, members in curve_bins(sources)]
    failed = [{"id": item.id, "reason": item.failure} for item in predictions if item.failure is not None]
    flags = Counter(code for item in predictions for code in item.flags)
    return {
        "cases": len(predictions),
        "contrast_to_noise": CONTRAST_DEFINITION,
        "failed": failed,
        "flags": dict(sorted(flags.items())),
        "groups": {name: [_plain(row) for row in found] for name, found in named.items()},
        "curve": [{"lesions": name, "metrics": [_plain(row) for row in found]} for name, found in curve],
        "table": _table(named, curve, len(predictions), failed, flags),
    }


def _rows(systems: Systems, metrics: Sequence[Metric], members: np.ndarray, seed: int) -> list[Row]:
    columns = [ALL_METRICS.index(metric) for metric in metrics]
    chosen = Systems(
        systems.model[:, columns],
        systems.shuffled[:, columns],
        systems.constants[:, :, columns],
        None if systems.nearest is None else systems.nearest[:, columns],
    )
    return rows(chosen, metrics, members, seed=seed)


def _neighbours(
    references: Sequence[Reference], predictions: Sequence[Prediction], shelf: Shelf | None
) -> list[Answer | None] | None:
    """The nearest report for each case; None where there is no other scan to be near to."""
    read = [index for index, item in enumerate(predictions) if item.failure is None]
    if not read or (shelf is None and len(read) < 2):
        return None
    ids = [predictions[index].id for index in read]
    scans = np.array([predictions[index].features for index in read])
    mirrors = np.array([predictions[index].mirrored_features for index in read])
    if shelf is None:
        shelf = shelve(ids, scans, mirrors, [references[index].findings for index in read], [None] * len(read))
    found = zip(nearest_reports(scans, ids, shelf), nearest_reports(mirrors, ids, shelf), strict=True)
    answers: list[Answer | None] = [None] * len(predictions)
    for index, (first, second) in zip(read, found, strict=True):
        answers[index] = Answer(first, second)
    return answers


def _training_shelf(studies: Sequence[Study], reader: ReportWriter, cache: VolumeCache | None) -> Shelf:
    ids, scans, mirrors, reports, texts = [], [], [], [], []
    for study in studies:
        loaded = load_study(study, reader, cache)
        ids.append(study.id)
        scans.append(project(reader.visual_tokens(loaded.volume)))
        mirrors.append(project(reader.visual_tokens(loaded.mirrored)))
        source = load_source(study)
        reports.append(reference_of(replace(source, grounding=loaded.grounding)).findings)
        texts.append(source.report)
    return shelve(ids, np.array(scans), np.array(mirrors), reports, texts)


def _plain(row: Row) -> dict[str, Any]:
    def values(item: Any) -> dict[str, Any] | None:
        return None if item is None else item.to_dict()

    baselines = {name: values(getattr(row, name)) for name in ("constant", "shuffled", "nearest")}
    return {"name": row.name, "title": row.title, **row.model.to_dict(), **baselines}


def _table(
    named: dict[str, list[Row]],
    curve: list[tuple[str, list[Row]]],
    cases: int,
    failed: list[dict[str, Any]],
    flags: Counter[str],
) -> str:
    parts = [group_table(name, found) for name, found in named.items()]
    if len(named) > 1 or curve:
        parts.append(f"Contrast (contrast-to-noise): {CONTRAST_DEFINITION}.")
    if curve:
        parts.append(curve_table(curve))
    parts.append(f"{cases} cases, {len(failed)} failed (counted as wrong).")
    parts.extend(f"failed: {item['id']}: {item['reason']}" for item in failed)
    if flags:
        parts.append("flags raised: " + ", ".join(f"{code} {count}" for code, count in sorted(flags.items())))
    return "\n\n".join(parts) + "\n"


def _write(folder: Path, result: dict[str, Any], more: dict[str, str]) -> None:
    """Write scores.json, table.md and `more`, each whole or not at all; InputError where that cannot be done."""
    content = {key: value for key, value in result.items() if key != "table"}
    files = {
        "scores.json": json.dumps(content, indent=2, allow_nan=False) + "\n",
        "table.md": result["table"],
        **more,
    }
    for name, text in files.items():
        partial = folder / f"{name}.partial"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(folder / name)
        except OSError as error:
            raise InputError(f"{folder / name}: cannot be written ({error.strerror}); check the folder") from error
        finally:
            partial.unlink(missing_ok=True)
