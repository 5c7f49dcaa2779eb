"""Each metric of the model and of the trivial baselines: values, intervals, skill and tests, from one table of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from brain3d.evaluation.measures import Answers, Family, Measure, counted
from brain3d.evaluation.resampling import RESAMPLES, bootstrap_sums, holm, interval, p_value, split, swap_sums
from brain3d.evaluation.setting import Setting
from brain3d.evaluation.trivial import Skill, constant_rows, lone, none_of, rank_constants, shuffled_rows, skill

SYSTEMS = ("model", "constant", "shuffled", "nearest")


@dataclass(frozen=True)
class Scored:
    """One metric on all cases: the rows (N, k) of each system that there is, and the `constant` text found best."""

    measure: Measure
    rows: dict[str, np.ndarray]
    constant: str
    result: dict[str, Any] = field(default_factory=dict)


def family_rows(family: Family, setting: Setting, seed: int) -> list[Scored]:
    cases, answers = setting.cases, setting.answers
    ranked = rank_constants(family, setting.constants, setting.training, seed)
    untold = _untold(family, setting)
    if any(untold):
        again = rank_constants(family, setting.constants, cases, seed)
        ranked = [b if useless else a for a, b, useless in zip(ranked, again, untold, strict=True)]
    spared = lone(cases) if setting.training is cases else none_of(0)
    systems = {
        "model": family.rows(cases, answers),
        "constant": constant_rows(family, ranked, cases, spared),
        "shuffled": shuffled_rows(family, cases, answers, seed),
    }
    if setting.nearest is not None:
        systems["nearest"] = family.rows(cases, Answers(setting.nearest, none_of(len(setting.nearest))))
    return [
        Scored(
            measure,
            {name: rows[index] for name, rows in systems.items()},
            setting.texts[int(ranked[index][0])],
        )
        for index, measure in enumerate(family.measures)
    ]


def _untold(family: Family, setting: Setting) -> list[bool]:
    """For each measure whether the training references cannot tell constants apart (no masks: no grounding)."""
    if setting.training is setting.cases:
        return [False] * len(family.measures)
    own = Answers(setting.training.reference, none_of(len(setting.training.reference)))
    return [not rows.any() for rows in family.rows(setting.training, own)]


def estimate_all(scored: Sequence[Scored], seed: int, resamples: int) -> list[dict[str, Any]]:
    """Value, interval, baselines, skill and test of each metric: one table of sums for all of them."""
    columns = [(index, name) for index, item in enumerate(scored) for name in item.rows]
    if not columns:
        return []
    tables = [scored[index].rows[name] for index, name in columns]
    widths = [table.shape[1] for table in tables]
    sums = split(bootstrap_sums(np.concatenate(tables, axis=1), seed=seed, resamples=resamples), widths)
    resampled = {key: scored[key[0]].measure.value(part) for key, part in zip(columns, sums, strict=True)}
    results = [_result(item, {name: resampled[index, name] for name in item.rows}) for index, item in enumerate(scored)]
    _add_tests(scored, results, seed, resamples)
    return results


def _result(item: Scored, resampled: dict[str, np.ndarray]) -> dict[str, Any]:
    measure = item.measure
    values = {name: float(measure.value(rows.sum(axis=0))) for name, rows in item.rows.items()}
    trivial = {name: values.get(name, np.nan) for name in SYSTEMS[1:]}
    found = skill(measure, values["model"], trivial)
    mark = [] if found is None else _marks(measure, values["model"], found)
    beaten = None if found is None else interval(resampled["model"] - resampled[found.best])
    return {
        "title": measure.title,
        "value": _plain(values["model"]),
        "ci95": _interval(resampled["model"]),
        "n": counted(item.rows["model"]),
        "best_possible": measure.best,
        "higher_is_better": measure.higher,
        "trivial": {name: _plain(value) for name, value in trivial.items()},
        "trivial_ci95": {name: _interval(resampled[name]) if name in resampled else None for name in SYSTEMS[1:]},
        "constant_report": item.constant,
        "best_trivial": None if found is None else found.best,
        "skill": None if found is None or found.value is None else _plain(found.value),
        "marks": mark,
        "difference": None
        if found is None
        else {
            "value": _plain(values["model"] - found.best_value),
            "ci95": None if beaten is None else list(beaten),
        },
    }


def _marks(measure: Measure, value: float, found: Skill) -> list[str]:
    """No skill: not better than the best trivial score. Saturated: that one is the best possible, or all but."""
    above = (value - found.best_value) * (1 if measure.higher else -1)
    return [name for name, there in (("no skill", above <= 0), ("saturated", found.saturated)) if there]


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(values: np.ndarray) -> list[float] | None:
    found = interval(values)
    return None if found is None else list(found)


def _add_tests(scored: Sequence[Scored], results: Sequence[dict[str, Any]], seed: int, permutations: int) -> None:
    """Add to each difference from the best trivial baseline its p, and p corrected over all metrics (Holm)."""
    tested = [index for index, result in enumerate(results) if result["best_trivial"] is not None]
    if not tested:
        return
    first = [scored[index].rows["model"] for index in tested]
    second = [scored[index].rows[results[index]["best_trivial"]] for index in tested]
    ps = paired_p([scored[index].measure for index in tested], first, second, seed=seed, permutations=permutations)
    for index, p, corrected in zip(tested, ps, holm(ps), strict=True):
        results[index]["difference"].update({"p": p, "p_holm": corrected})


def paired_p(
    measures: Sequence[Measure],
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    *,
    seed: int = 0,
    permutations: int = RESAMPLES,
) -> list[float]:
    """The p of a paired permutation test for each measure: rows (N, k) of two systems on the same cases."""
    widths = [rows.shape[1] for rows in first]
    one, two = np.concatenate(first, axis=1), np.concatenate(second, axis=1)
    swapped_one, swapped_two = swap_sums(one, two, seed=seed, permutations=permutations)
    parts = zip(measures, first, second, split(swapped_one, widths), split(swapped_two, widths), strict=True)
    return [
        p_value(float(m.value(a.sum(axis=0)) - m.value(b.sum(axis=0))), m.value(c) - m.value(d))
        for m, a, b, c, d in parts
    ]
