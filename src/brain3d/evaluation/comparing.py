"""Two runs of scores, paired case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from brain3d.evaluation.bleu import corpus_bleu
from brain3d.evaluation.degrees import weighted_kappa
from brain3d.evaluation.estimates import paired_p
from brain3d.evaluation.measures import Measure, counted, ratio
from brain3d.evaluation.resampling import RESAMPLES, bootstrap_sums, holm, interval, split
from brain3d.evaluation.scoring import SCORES_VERSION
from brain3d.evaluation.stated import mean_of_two_ratios
from brain3d.scans.types import InputError

# How many columns a row has says by which function its sums become a value.
_VALUES = {2: ratio, 4: mean_of_two_ratios, 10: corpus_bleu, 16: weighted_kappa}
_DESCRIBED = {"title", "best_possible", "higher_is_better"}
CERTAIN = 0.05


def read_scores(path: Path) -> dict[str, Any]:
    """The content of a scores' JSON with its rows; InputError where it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCORES_VERSION:
            raise InputError(f"{path}: scores of version {content['schema_version']}; score the pairs again")
        rows = content["rows"]
        cases = len(rows["ids"])
        tables = {name: np.array(table, np.float64) for name, table in rows["metrics"].items()}
        whole = all(t.ndim == 2 and len(t) == cases and t.shape[1] in _VALUES for t in tables.values())
        described = all(set(content["metrics"][name]) >= _DESCRIBED for name in tables)
        finite = all(np.isfinite(table).all() for table in tables.values())
        if not (whole and described and finite and len(rows["references"]) == cases):
            raise ValueError("rows")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the JSON of brain3d score") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the JSON of brain3d score; give what its --json wrote") from error
    return {**content, "tables": tables}


def compare_scores(
    first: dict[str, Any], second: dict[str, Any], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """B - A for each metric that both have, on the cases that both have with the same reference.

    CIDEr's weights follow from each run's own references. InputError where no case is in both.
    """
    ids_a = {name: index for index, name in enumerate(first["rows"]["ids"])}
    ids_b = {name: index for index, name in enumerate(second["rows"]["ids"])}
    shared = [name for name in ids_a if name in ids_b]
    same = [
        name for name in shared if first["rows"]["references"][ids_a[name]] == second["rows"]["references"][ids_b[name]]
    ]
    if not same:
        raise InputError("the two scores have no case with the same id and reference; score the same pairs")
    at_a, at_b = [ids_a[name] for name in same], [ids_b[name] for name in same]
    names = [name for name in first["tables"] if name in second["tables"]]
    one, two = [first["tables"][name][at_a] for name in names], [second["tables"][name][at_b] for name in names]
    there = [bool(a.any() and b.any() and a.shape == b.shape) for a, b in zip(one, two, strict=True)]
    names, one, two = ([x for x, keep in zip(items, there, strict=True) if keep] for items in (names, one, two))
    measures = [_measure(name, first["metrics"][name], table.shape[1]) for name, table in zip(names, one, strict=True)]
    found = _differences(measures, one, two, seed, resamples)
    return {
        "cases": len(same),
        "only_a": len(ids_a) - len(shared),
        "only_b": len(ids_b) - len(shared),
        "other_reference": len(shared) - len(same),
        "only_one": sorted(set(first["tables"]) ^ set(second["tables"])),
        "seed": seed,
        "resamples": resamples,
        "metrics": {measure.name: result for measure, result in zip(measures, found, strict=True)},
    }


def _measure(name: str, described: dict[str, Any], width: int) -> Measure:
    best, higher = described["best_possible"], described["higher_is_better"]
    return Measure(name, described["title"], _VALUES[width], best, higher)


def _differences(
    measures: list[Measure], one: list[np.ndarray], two: list[np.ndarray], seed: int, resamples: int
) -> list[dict[str, Any]]:
    if not measures:
        return []
    widths = [table.shape[1] for table in one]
    sums = bootstrap_sums(np.concatenate([*one, *two], axis=1), seed=seed, resamples=resamples)
    parts = split(sums, widths * 2)
    ps = paired_p(measures, one, two, seed=seed, permutations=resamples)
    found = []
    for index, (measure, p, corrected) in enumerate(zip(measures, ps, holm(ps), strict=True)):
        a, b = (float(measure.value(table[index].sum(axis=0))) for table in (one, two))
        between = interval(measure.value(parts[index + len(measures)]) - measure.value(parts[index]))
        better = "B" if (b > a) == measure.higher else "A"
        found.append(
            {
                "title": measure.title,
                "a": a if np.isfinite(a) else None,
                "b": b if np.isfinite(b) else None,
                "difference": b - a if np.isfinite(b - a) else None,
                "ci95": None if between is None else list(between),
                "p": p,
                "p_holm": corrected,
                "n": counted(np.concatenate([one[index], two[index]], axis=1)),
                "better": better if corrected < CERTAIN else None,
            }
        )
    return found
