"""The predictions of an evaluation as pairs of reports, for `brain3d score`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brain3d.cohort import Study
from brain3d.evaluation.baselines import Shelf, nearest_rows, shelve
from brain3d.evaluation.pairs import Pair
from brain3d.evaluation.predictions import Prediction
from brain3d.evaluation.references import Source
from brain3d.evaluation.scoring import score_pairs, scores_json
from brain3d.reports import Findings

PAIRS_FILE, SCORES_FILE = "pairs.jsonl", "report_scores.json"


def nearest_texts(
    sources: Sequence[Source], predictions: Sequence[Prediction], shelf: Shelf | None
) -> list[str | None]:
    """The words of the report of the most similar scan of another patient, on `shelf` or among the evaluated studies.

    None for a study that was not read, and where there is no other with a report.
    """
    read = [index for index, item in enumerate(predictions) if item.failure is None]
    found: list[str | None] = [None] * len(predictions)
    scans = np.array([predictions[index].features for index in read])
    if shelf is None:
        texts = [sources[index].report for index in read]
        told = [place for place, text in enumerate(texts) if text is not None]
        if len(told) < 2:
            return found
        mirrors = np.array([predictions[read[place]].mirrored_features for place in told])
        ids = [predictions[read[place]].id for place in told]
        nothing = [Findings(normal=False)] * len(told)
        shelf = shelve(ids, scans[told], mirrors, nothing, [texts[place] for place in told])
    if read:
        rows = nearest_rows(scans, [predictions[index].id for index in read], shelf)
        for index, row in zip(read, rows, strict=True):
            found[index] = shelf.texts[row]
    return found


def pair_line(
    study: Study, source: Source, prediction: Prediction, nearest: str | None, folder: Path
) -> dict[str, Any]:
    """One line of the pairs of an evaluation; files are named relative to `folder`."""
    failed = prediction.failure is not None
    values: dict[str, Any] = {
        "id": study.id,
        "reference": source.report,
        "candidate": None if failed else prediction.text,
        "mirrored": None if failed else prediction.mirrored_text,
        "image": Path(os.path.relpath(study.image, folder)).as_posix(),
    }
    if nearest is not None:
        values["nearest"] = nearest
    if study.mask is not None:
        values["mask"] = Path(os.path.relpath(study.mask, folder)).as_posix()
    if source.truth is not None:
        values["healthy"] = source.truth.normal or not source.truth.visible
    return values


def kept_files(
    studies: Sequence[Study],
    sources: Sequence[Source],
    predictions: Sequence[Prediction],
    shelf: Shelf | None,
    folder: Path,
) -> dict[str, str]:
    """The content of pairs.jsonl, and of report_scores.json where some study has a report.

    The scores are those of `brain3d score` on the texts alone; given the pairs, that command also lays the masks on
    the scans, which takes seconds for each.
    """
    nearest = nearest_texts(sources, predictions, shelf)
    lines = [pair_line(*parts, folder) for parts in zip(studies, sources, predictions, nearest, strict=True)]
    files = {PAIRS_FILE: "".join(json.dumps(line) + "\n" for line in lines)}
    pairs = [
        Pair(
            id=line["id"],
            line=number,
            reference=line["reference"],
            candidate=line["candidate"] or None,
            healthy=line.get("healthy"),
            mirrored=line["mirrored"] or None,
            nearest=line.get("nearest") or None,
        )
        for number, line in enumerate(lines, 1)
        if line["reference"]
    ]
    if pairs:
        files[SCORES_FILE] = scores_json(score_pairs(pairs).content).decode("ascii")
    return files
