"""The predictions of an evaluation as pairs of reports, for `brain3d score`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brain3d.cohort import Study
from brain3d.evaluation.pairs import Pair
from brain3d.evaluation.predictions import Prediction
from brain3d.evaluation.references import Source
from brain3d.evaluation.scoring import score_pairs, scores_json

PAIRS_FILE, SCORES_FILE = "pairs.jsonl", "report_scores.json"


def pair_line(study: Study, source: Source, prediction: Prediction, folder: Path) -> dict[str, Any]:
    """One line of the pairs of an evaluation; files are named relative to `folder`."""
    failed = prediction.failure is not None
    values: dict[str, Any] = {
        "id": study.id,
        "reference": source.report,
        "candidate": None if failed else prediction.text,
        "mirrored": None if failed else prediction.mirrored_text,
        "image": Path(os.path.relpath(study.image, folder)).as_posix(),
    }
    if study.mask is not None:
        values["mask"] = Path(os.path.relpath(study.mask, folder)).as_posix()
    if source.truth is not None:
        values["healthy"] = source.truth.normal or not source.truth.visible
    return values


def kept_files(
    studies: Sequence[Study], sources: Sequence[Source], predictions: Sequence[Prediction], folder: Path
) -> dict[str, str]:
    """The content of pairs.jsonl, and of report_scores.json where some study has a report.

    The scores are those of `brain3d score` on the texts alone; given the pairs, that command also lays the masks on
    the scans, which takes seconds for each.
    """
    lines = [pair_line(*parts, folder) for parts in zip(studies, sources, predictions, strict=True)]
    files = {PAIRS_FILE: "".join(json.dumps(line) + "\n" for line in lines)}
    pairs = [
        Pair(
            id=line["id"],
            line=number,
            reference=line["reference"],
            candidate=line["candidate"] or None,
            healthy=line.get("healthy"),
            mirrored=line["mirrored"] or None,
        )
        for number, line in enumerate(lines, 1)
        if line["reference"]
    ]
    if pairs:
        files[SCORES_FILE] = scores_json(score_pairs(pairs).content).decode("ascii")
    return files
