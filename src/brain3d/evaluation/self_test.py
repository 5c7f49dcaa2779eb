"""The metrics tested: how far each moves when a reference is changed on purpose and scored against itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from brain3d.evaluation.measures import Answers, Measure
from brain3d.evaluation.pairs import Pair
from brain3d.evaluation.perturbing import ERRORS, PARAPHRASED, paraphrase
from brain3d.evaluation.setting import Setting, families, prepare
from brain3d.evaluation.trivial import none_of
from brain3d.scans.types import InputError


def _changed(pairs: Sequence[Pair]) -> dict[str, list[str | None]]:
    """For each change the changed references, None where nothing changed."""
    texts = [pair.reference or "" for pair in pairs]
    made = {name: [change(text) for text in texts] for name, change in ERRORS.items()}
    given = any(pair.paraphrase is not None for pair in pairs)
    made[PARAPHRASED] = [p.paraphrase or ("" if given else paraphrase(t)) for p, t in zip(pairs, texts, strict=True)]
    return {
        name: [new if new and new.split() != old.split() else None for new, old in zip(news, texts, strict=True)]
        for name, news in made.items()
    }


def self_test(pairs: Sequence[Pair], *, seed: int = 0) -> dict[str, Any]:
    """Score changed references against the references: each metric as a share of its best value.

    Only the cases that a change alters are scored for it. The candidates are not looked at. Metrics that need a mask or
    a mirrored candidate are left out. InputError where no pair has a reference.
    """
    pairs = [pair for pair in pairs if pair.reference is not None]
    if not pairs:
        raise InputError("--self-test: no pair has a reference")
    changes = _changed(pairs)
    everything = [Pair(p.id, p.line, p.reference, p.reference, p.healthy) for p in pairs]
    for news in changes.values():
        everything += [
            Pair(p.id, p.line, p.reference, new or p.reference, p.healthy) for p, new in zip(pairs, news, strict=True)
        ]
    setting = prepare(everything, [pairs[0]], seed=seed)
    count = len(pairs)
    altered = {name: np.array([new is not None for new in news]) for name, news in changes.items()}
    moves = _moves(setting, count, altered)
    return {
        "cases": count,
        "changed": {name: int(there.sum()) for name, there in altered.items()},
        "paraphrase": "given with the pairs" if any(p.paraphrase for p in pairs) else "synonyms",
        "metrics": moves,
    }


def _moves(setting: Setting, count: int, altered: dict[str, np.ndarray]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for family in families(setting)[0]:
        same = family.rows(setting.cases.take(np.arange(count)), _answers(setting, 0, count))
        told = [bool(rows.any()) for rows in same]
        for block, (name, there) in enumerate(altered.items(), 1):
            rows = family.rows(setting.cases.take(np.arange(count)), _answers(setting, block, count))
            for measure, before, after, says in zip(family.measures, same, rows, told, strict=True):
                if says:
                    entry = found.setdefault(measure.name, {"title": measure.title, "moved": {}})
                    entry["moved"][name] = _move(measure, before[there], after[there])
    return found


def _answers(setting: Setting, block: int, count: int) -> Answers:
    return Answers(setting.answers.text[block * count : (block + 1) * count], none_of(count))


def _move(measure: Measure, before: np.ndarray, after: np.ndarray) -> float | None:
    if not len(before):
        return None
    apart = float(measure.value(after.sum(axis=0)) - measure.value(before.sum(axis=0)))
    return apart / max(measure.best or 1.0, 1.0) if np.isfinite(apart) else None


def seen_errors(moved: dict[str, float | None]) -> int:
    """How many of the errors move a metric at least 0.01 further than other words do."""
    harmless = abs(moved[PARAPHRASED] or 0.0)
    return sum(abs(moved[name] or 0.0) > harmless + 0.01 for name in ERRORS)


def self_test_table(result: dict[str, Any]) -> list[Table | Text | str]:
    """The movements as a table."""
    table = Table(title="How far each metric moves", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("metric", no_wrap=True)
    names = [*ERRORS, PARAPHRASED]
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("errors seen", justify="right")
    for item in result["metrics"].values():
        moved = item["moved"]
        cells = ["-" if moved[name] is None else f"{moved[name]:+.3f}" for name in names]
        table.add_row(item["title"], *cells, f"{seen_errors(moved)} of {len(ERRORS)}")
    table.add_section()
    table.add_row("cases changed (n)", *(str(result["changed"][name]) for name in names), "")
    return [
        table,
        f"{result['cases']} references, changed and scored against themselves; a metric's move is given as a share of "
        "its best value. Only the cases that a change alters are counted; -: the metric has no value on these alone.",
        f"reworded: {result['paraphrase']}. A metric worth trusting moves with an error and not with other words. "
        "errors seen: those that move it at least 0.01 further than other words do.",
    ]
