"""The scores of an ablation's runs: each arm's mean over its seeds, its difference from the centre, what chance gives.

Intervals and tests are over subjects: a resample draws test phantoms, the same ones for every arm and every seed, and a
permutation swaps an arm and the centre in a phantom for all seeds at once. How far seeds lie apart stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brain3d.evaluation.estimates import family_rows
from brain3d.evaluation.measures import Measure, counted
from brain3d.evaluation.pairs import Pair, read_pairs
from brain3d.evaluation.resampling import RESAMPLES, bootstrap_sums, holm, interval, p_value, swap_sums
from brain3d.evaluation.setting import Setting, families, prepare
from brain3d.training.ablation.arms import CENTRE
from brain3d.training.ablation.kept import Kept

VERSION = "1.0"
MAIN = (
    "findings/sensitivity",
    "findings/specificity",
    "findings/balanced_accuracy",
    "findings/side",
    "findings/regions_f1",
)
FURTHER = (
    "mirror/consistency",
    "published/laterality_f1",
    "published/anatomy_f1",
    "published/pathology_f1",
    "text/bleu_4",
    "text/rouge_l",
)
TRIVIAL = ("constant", "shuffled")


class Rows(NamedTuple):
    """One metric: its rows by arm, (seeds, N, k) each, and those of the trivial baselines, (N, k)."""

    measure: Measure
    arms: dict[str, np.ndarray]
    trivial: dict[str, np.ndarray]


def score_runs(runs: Sequence[Kept], training: Path, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Any]:
    """What table.json says of the finished runs, which all answer the same test phantoms."""
    taught = read_pairs(training)[0]
    rows = gather([(run.arm, read_pairs(run.pairs)[0]) for run in runs], taught, seed)
    return {
        "schema_version": VERSION,
        "centre": CENTRE.name,
        "cases": len(read_pairs(runs[0].pairs)[0]),
        "resamples": resamples,
        "runs": [run.result for run in runs],
        **statistics([rows[name] for name in (*MAIN, *FURTHER) if name in rows], seed, resamples),
    }


def gather(reports: Sequence[tuple[str, Sequence[Pair]]], training: Sequence[Pair], seed: int) -> dict[str, Rows]:
    """The rows of each metric by arm; `reports` holds a run's arm and its pairs, all of the same cases in one order.

    The trivial baselines come with the centre's first run, or the first there is: the constant report that is best on
    the training references, and that run's reports given to other patients.
    """
    first = next((index for index, (arm, _) in enumerate(reports) if arm == CENTRE.name), 0)
    measures: dict[str, Measure] = {}
    stacked: dict[str, dict[str, list[np.ndarray]]] = {}
    trivial: dict[str, dict[str, np.ndarray]] = {}
    for index, (arm, pairs) in enumerate(reports):
        setting = prepare(pairs, training, seed=seed)
        for measure, rows in _wanted_rows(setting):
            measures[measure.name] = measure
            stacked.setdefault(measure.name, {}).setdefault(arm, []).append(rows)
        if index == first:
            trivial = _trivial_rows(setting, seed)
    return {
        name: Rows(measure, {arm: np.stack(rows) for arm, rows in stacked[name].items()}, trivial[name])
        for name, measure in measures.items()
    }


def _wanted_rows(setting: Setting) -> list[tuple[Measure, np.ndarray]]:
    found = []
    for family in families(setting)[0]:
        if any(measure.name in (*MAIN, *FURTHER) for measure in family.measures):
            rows = family.rows(setting.cases, setting.answers)
            found += [pair for pair in zip(family.measures, rows, strict=True) if pair[0].name in (*MAIN, *FURTHER)]
    return found


def _trivial_rows(setting: Setting, seed: int) -> dict[str, dict[str, np.ndarray]]:
    scored = [
        item
        for family in families(setting)[0]
        if any(measure.name in (*MAIN, *FURTHER) for measure in family.measures)
        for item in family_rows(family, setting, seed)
    ]
    return {item.measure.name: {name: item.rows[name] for name in TRIVIAL} for item in scored}


def statistics(metrics: Sequence[Rows], seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Per metric the arms, their differences from the centre, and the trivial baselines.

    `p_holm` is corrected (Holm) over all arms and all metrics of the same kind, main or further. Without the centre
    there are no differences.
    """
    found = {rows.measure.name: _metric(rows, seed, resamples) for rows in metrics}
    for kind in (MAIN, FURTHER):
        differences = [
            arm["difference"]
            for name, metric in found.items()
            if name in kind
            for arm in metric["arms"].values()
            if "difference" in arm
        ]
        for difference, corrected in zip(differences, holm([d["p"] for d in differences]), strict=True):
            difference["p_holm"] = corrected
    return {"main": list(MAIN), "metrics": found}


def _metric(rows: Rows, seed: int, resamples: int) -> dict[str, Any]:
    measure = rows.measure
    resampled = {arm: _resampled(measure, table, seed, resamples) for arm, table in rows.arms.items()}
    arms: dict[str, Any] = {}
    for arm, table in rows.arms.items():
        values = measure.value(table.sum(axis=1))
        arms[arm] = {
            "value": _plain(values.mean()),
            "ci95": _limits(resampled[arm]),
            "seeds": [_plain(value) for value in values],
        }
        if arm != CENTRE.name and CENTRE.name in rows.arms:
            centre = rows.arms[CENTRE.name]
            arms[arm]["difference"] = {
                **_difference(measure, centre, table, seed, resamples),
                "ci95": _limits(resampled[arm] - resampled[CENTRE.name]),
            }
    trivial = {}
    for name, table in rows.trivial.items():
        value = measure.value(table.sum(axis=0))
        trivial[name] = {
            "value": _plain(value),
            "ci95": _limits(measure.value(bootstrap_sums(table, seed=seed, resamples=resamples))),
        }
    return {
        "title": measure.title,
        "higher_is_better": measure.higher,
        "n": counted(next(iter(rows.arms.values()))[0]),
        "arms": arms,
        "trivial": trivial,
    }


def _side_by_side(table: np.ndarray) -> np.ndarray:
    """(seeds, N, k) -> (N, seeds * k)."""
    return np.concatenate(list(table), axis=1)


def _mean_value(measure: Measure, sums: np.ndarray, seeds: int) -> np.ndarray:
    """Summed rows (..., seeds * k) -> the mean over the seeds of the metric."""
    return np.mean([measure.value(part) for part in np.split(sums, seeds, axis=-1)], axis=0)


def _resampled(measure: Measure, table: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    sums = bootstrap_sums(_side_by_side(table), seed=seed, resamples=resamples)
    return _mean_value(measure, sums, len(table))


def _difference(
    measure: Measure, centre: np.ndarray, other: np.ndarray, seed: int, permutations: int
) -> dict[str, Any]:
    """Arm less centre: of the means over seeds, and, where both have as many seeds, of each seed by itself.

    The permutation test needs as many seeds on both sides; those that both have are compared.
    """
    seeds = min(len(centre), len(other))
    one, two = _side_by_side(centre[:seeds]), _side_by_side(other[:seeds])
    swapped_one, swapped_two = swap_sums(one, two, seed=seed, permutations=permutations)
    observed = _mean_value(measure, two.sum(axis=0), seeds) - _mean_value(measure, one.sum(axis=0), seeds)
    permuted = _mean_value(measure, swapped_two, seeds) - _mean_value(measure, swapped_one, seeds)
    each = measure.value(other[:seeds].sum(axis=1)) - measure.value(centre[:seeds].sum(axis=1))
    return {
        "value": _plain(measure.value(other.sum(axis=1)).mean() - measure.value(centre.sum(axis=1)).mean()),
        "seeds": [_plain(value) for value in each],
        "p": p_value(float(observed), permuted),
    }


def _plain(value: float | np.ndarray) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _limits(values: np.ndarray) -> list[float] | None:
    found = interval(values)
    return None if found is None else list(found)
