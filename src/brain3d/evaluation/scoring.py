"""Scoring pairs of reports: every metric beside what needs no model, with intervals."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brain3d.evaluation.estimates import Scored, estimate_all, family_rows
from brain3d.evaluation.measures import counted
from brain3d.evaluation.optional import Absent
from brain3d.evaluation.pairs import Pair, Problem, read_pairs, read_training
from brain3d.evaluation.resampling import RESAMPLES
from brain3d.evaluation.setting import Setting, families, prepare
from brain3d.evaluation.trivial import SAMPLE, SHUFFLES

SCORES_VERSION = "1.0"
ALWAYS = "published/"  # metrics that the scores name even where no case has a say in them


class Scores(NamedTuple):
    """All that scoring found; `content` is the scores' JSON."""

    content: dict[str, Any]
    metrics: list[Scored]
    setting: Setting


def score_pairs(
    pairs: Sequence[Pair],
    problems: Sequence[Problem] = (),
    training: Sequence[Pair] | None = None,
    *,
    extra: Sequence[str] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scores:
    """Score the candidates of `pairs` on every metric, beside the trivial baselines on the same cases.

    `training` gives the references that the best constant report is looked for among; None takes the evaluated ones
    (and a case never gets its own report back).
    """
    setting = prepare(pairs, training, seed=seed)
    made, absent = families(setting, extra)
    scored = [item for family in made for item in family_rows(family, setting, seed)]
    silent = [item for item in scored if not counted(item.rows["model"])]
    absent += [Absent(x.measure.name, x.measure.title, "no case has a say in it") for x in silent]
    scored = [item for item in scored if item.measure.name.startswith(ALWAYS) or counted(item.rows["model"])]
    results = estimate_all(scored, seed, resamples)
    scored = [Scored(x.measure, x.rows, x.constant, result) for x, result in zip(scored, results, strict=True)]
    content = _content(pairs, [*problems, *setting.problems], setting, scored, absent)
    content["settings"] = _settings(training, seed, resamples, setting)
    return Scores(content, scored, setting)


def _settings(training: Sequence[Pair] | None, seed: int, resamples: int, setting: Setting) -> dict[str, Any]:
    source = (
        "the evaluated references themselves (a report that one case alone has is not given back to it)"
        if training is None
        else f"{len(training)} training references"
    )
    nearest = "as given with the pairs" if setting.nearest is not None else 'left out: not every pair has a "nearest"'
    return {
        "seed": seed,
        "resamples": resamples,
        "interval": "95 % percentile bootstrap over cases",
        "test": f"paired permutation test against the best trivial baseline, {resamples} swaps, two-sided; Holm",
        "constant": f"the best of {len(setting.constants)} constant reports for each metric, chosen on at most "
        f"{SAMPLE} cases of {source}",
        "shuffled": f"the candidates given to other patients, mean of {SHUFFLES} derangements",
        "nearest": nearest,
    }


def reference_hash(pair: Pair) -> str:
    """Twelve digits that tell whether two runs judged a case by the same reference."""
    return hashlib.sha256((pair.reference or "").encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _content(
    pairs: Sequence[Pair],
    problems: Sequence[Problem],
    setting: Setting,
    scored: Sequence[Scored],
    absent: Sequence[Absent],
) -> dict[str, Any]:
    skipped = [problem for problem in problems if problem.skipped]
    return {
        "schema_version": SCORES_VERSION,
        "cases": len(pairs),
        "failed": sum(pair.candidate is None for pair in pairs),
        "skipped": len(skipped),
        "healthy": int((setting.cases.healthy == 1).sum()),
        "grounded": len(setting.masks),
        "problem_counts": dict(sorted(Counter(problem.kind for problem in problems).items())),
        "problems": [problem.to_dict() for problem in problems],
        "metrics": {item.measure.name: item.result for item in scored},
        "absent": [item._asdict() for item in absent],
        "rows": {
            "ids": [pair.id for pair in pairs],
            "references": [reference_hash(pair) for pair in pairs],
            "metrics": {item.measure.name: _short(item.rows["model"]) for item in scored},
        },
    }


def _short(rows: np.ndarray) -> list[list[float]]:
    """Rows as JSON numbers, whole ones without a fraction, the others to nine digits."""
    return [[int(value) if value == int(value) else float(f"{value:.9g}") for value in row] for row in rows.tolist()]


def scores_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the scores."""
    text = resources.files("brain3d.evaluation").joinpath("scores.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def scores_json(content: dict[str, Any]) -> bytes:
    """The scores as JSON: readable, but for the rows of cases, which stand on one line for each metric."""
    rows = content["rows"]
    head = json.dumps({k: v for k, v in content.items() if k != "rows"}, indent=2, allow_nan=False)
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'), allow_nan=False)}"
        for name, value in rows["metrics"].items()
    ]
    named = ",\n".join(f"{json.dumps(key)}: {json.dumps(rows[key])}" for key in ("ids", "references"))
    table = '"rows": {\n' + named + ',\n"metrics": {\n' + ",\n".join(lines) + "\n}}"
    return (head.removesuffix("\n}") + ",\n" + table + "\n}\n").encode("ascii")


def read_and_score(path: Path, train: Path | None = None, **options: Any) -> tuple[list[Pair], Scores]:
    """`score_pairs` of a file of pairs, and of a file of training references. InputError for files that hold none."""
    pairs, problems = read_pairs(path)
    training = None
    if train is not None:
        training, more = read_training(train, {pair.id for pair in pairs})
        problems = [*problems, *more]
    return pairs, score_pairs(pairs, problems, training, **options)
