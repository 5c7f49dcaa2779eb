"""Scoring pairs of reports: every metric beside what needs no model, with intervals."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brain3d.evaluation import bleu, cider, keywords, rouge, stated
from brain3d.evaluation.masked import MaskTruth, mask_family, measure_mask
from brain3d.evaluation.measures import FAILED, MISSING, Answers, Cases, Family, Measure, counted
from brain3d.evaluation.optional import Absent, optional_families
from brain3d.evaluation.pairs import Pair, Problem
from brain3d.evaluation.resampling import RESAMPLES, bootstrap_sums, holm, interval, p_value, split, swap_sums
from brain3d.evaluation.stated import Stated, read_all
from brain3d.evaluation.trivial import (
    SAMPLE,
    SHUFFLES,
    Skill,
    candidate_texts,
    constant_rows,
    none_of,
    rank_constants,
    shuffled_rows,
    skill,
)
from brain3d.scans.types import InputError

SCORES_VERSION = "1.0"
SYSTEMS = ("model", "constant", "shuffled", "nearest")


@dataclass(frozen=True)
class Setting:
    """What is scored, in the form that metrics take: texts by index, cases, answers."""

    texts: list[str]
    findings: Stated
    cases: Cases
    answers: Answers
    nearest: np.ndarray | None
    training: Cases
    constants: np.ndarray
    masks: list[MaskTruth]
    problems: list[Problem]


@dataclass(frozen=True)
class Scored:
    """One metric on all cases. `rows` are those of each system that there is, (N, k); `constant` the text found best."""

    measure: Measure
    rows: dict[str, np.ndarray]
    constant: str
    result: dict[str, Any] = field(default_factory=dict)


class Scores(NamedTuple):
    """All that scoring found; `content` is the scores' JSON."""

    content: dict[str, Any]
    metrics: list[Scored]
    setting: Setting


def _healthy(pairs: Sequence[Pair], references: np.ndarray, findings: Stated) -> np.ndarray:
    """1 healthy, 0 ill: as the line says, else as its reference does; MISSING where neither tells."""
    said = np.where(findings.ill[references], 0, np.where(findings.normal[references], 1, MISSING))
    said = np.where(references >= 0, said, MISSING)
    given = [MISSING if pair.healthy is None else int(pair.healthy) for pair in pairs]
    return np.where(np.array(given, int) != MISSING, given, said)


def _measured_masks(pairs: Sequence[Pair]) -> tuple[list[MaskTruth], np.ndarray, list[Problem]]:
    masks, places, problems = [], np.full(len(pairs), MISSING), []
    for index, pair in enumerate(pairs):
        if pair.image is None or pair.mask is None:
            continue
        try:
            masks.append(measure_mask(pair.image, pair.mask))
        except (InputError, OSError) as error:
            line = " ".join(str(error).split())
            for path in (pair.image, pair.mask):
                line = line.replace(str(path), "the file").replace(path.name, "the file")
            problems.append(Problem(pair.line, pair.id, "not_grounded", f"its mask could not be used: {line}"))
            continue
        places[index] = len(masks) - 1
    return masks, places, problems


class _Texts:
    """The distinct texts of a run, by index."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def add(self, text: str | None) -> int:
        return MISSING if text is None else self.index.setdefault(text, len(self.index))

    def all(self, texts: Sequence[str | None]) -> np.ndarray:
        return np.array([self.add(text) for text in texts], int)


def _cases(pairs: Sequence[Pair], references: np.ndarray, findings: Stated, masks: np.ndarray) -> Cases:
    return Cases(references, _healthy(pairs, references, findings), masks)


def prepare(pairs: Sequence[Pair], training: Sequence[Pair] | None, *, seed: int = 0) -> Setting:
    """Gather the texts, read their findings once, measure the masks, draw the constant reports."""
    texts = _Texts()
    references = texts.all([pair.reference for pair in pairs])
    answers = texts.all([pair.candidate for pair in pairs])
    mirrored = texts.all([pair.mirrored for pair in pairs])
    nearest = texts.all([pair.nearest for pair in pairs])
    taught = pairs if training is None else training
    taught_references = texts.all([pair.reference for pair in taught])
    distinct = list(dict.fromkeys(index for index in taught_references.tolist() if index >= 0))
    before = list(texts.index)
    known = read_all(before)
    pool = candidate_texts([before[i] for i in distinct], [known.findings[i] for i in distinct], seed)
    constants = texts.all(pool)
    everything = list(texts.index)
    findings = _joined(known, read_all(everything[len(before) :]))
    masks, places, problems = _measured_masks(pairs)
    cases = _cases(pairs, references, findings, places)
    own = cases if training is None else _cases(taught, taught_references, findings, none_of(len(taught)))
    if (mirrored >= 0).any():
        mirrored = np.where(mirrored < 0, FAILED, mirrored)
    given = nearest if (nearest >= 0).all() else None
    return Setting(everything, findings, cases, Answers(answers, mirrored), given, own, constants, masks, problems)


def _joined(first: Stated, second: Stated) -> Stated:
    arrays = [np.concatenate([a, b]) for a, b in zip(first[1:], second[1:], strict=True)]
    return Stated(first.findings + second.findings, *arrays)


def families(setting: Setting, extra: Sequence[str] = ()) -> tuple[list[Family], list[Absent]]:
    """All metrics that can be computed here, in the table's order, and the others with the reason."""
    texts = setting.texts
    references = setting.cases.reference
    optional, absent = optional_families(texts, extra)
    if not setting.masks:
        absent = [Absent("grounded/side", "scores against a mask", "no case has an image and a mask"), *absent]
    found = [
        keywords.keyword_family(texts),
        keywords.specificity_family(texts),
        *stated.families(setting.findings),
        *([mask_family(setting.findings, setting.masks)] if setting.masks else []),
        bleu.sentence_family(texts),
        bleu.corpus_family(texts),
        rouge.overlap_family(texts),
        rouge.subsequence_family(texts),
        cider.cider_family([cider.words(text) for text in texts], references[references >= 0]),
        *optional,
    ]
    return found, absent


def _family_rows(family: Family, setting: Setting, seed: int) -> list[Scored]:
    cases, answers = setting.cases, setting.answers
    ranked = rank_constants(family, setting.constants, setting.training, seed)
    untold = [not _says_anything(family, index, setting) for index in range(len(family.measures))]
    if any(untold):
        again = rank_constants(family, setting.constants, cases, seed)
        ranked = [b if useless else a for a, b, useless in zip(ranked, again, untold, strict=True)]
    systems = {
        "model": family.rows(cases, answers),
        "constant": constant_rows(family, ranked, cases),
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


def _says_anything(family: Family, index: int, setting: Setting) -> bool:
    """Whether the training references can tell one constant from another by this measure (no mask: no grounding)."""
    count = len(setting.training.reference)
    own = Answers(setting.training.reference, none_of(count))
    return bool(family.rows(setting.training, own)[index].any()) or setting.training is setting.cases


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
    scored = [item for family in made for item in _family_rows(family, setting, seed)]
    silent = [item for item in scored if not counted(item.rows["model"])]
    absent += [Absent(x.measure.name, x.measure.title, "no case has a say in it") for x in silent]
    scored = [item for item in scored if counted(item.rows["model"])]
    results = _estimate(scored, seed, resamples)
    scored = [Scored(x.measure, x.rows, x.constant, result) for x, result in zip(scored, results, strict=True)]
    content = _content(pairs, [*problems, *setting.problems], setting, scored, absent)
    content["settings"] = _settings(training, seed, resamples, setting)
    return Scores(content, scored, setting)


def _settings(training: Sequence[Pair] | None, seed: int, resamples: int, setting: Setting) -> dict[str, Any]:
    source = (
        "the evaluated references themselves (a case never gets its own report back)"
        if training is None
        else f"{len(training)} training references"
    )
    nearest = "given with every pair" if setting.nearest is not None else 'left out: not every pair has a "nearest"'
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


def _estimate(scored: Sequence[Scored], seed: int, resamples: int) -> list[dict[str, Any]]:
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
    """ "no skill" where the score is not better than the best trivial one, "saturated" where that one leaves no room."""
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
    failed = [problem for problem in problems if problem.kind == "failed"]
    return {
        "schema_version": SCORES_VERSION,
        "cases": len(pairs),
        "failed": len(failed),
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
    head = json.dumps({k: v for k, v in content.items() if k != "rows"}, indent=2, ensure_ascii=False, allow_nan=False)
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'), allow_nan=False)}"
        for name, value in rows["metrics"].items()
    ]
    named = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(rows[key], ensure_ascii=False)}" for key in ("ids", "references")
    )
    table = '"rows": {\n' + named + ',\n"metrics": {\n' + ",\n".join(lines) + "\n}}"
    return (head.removesuffix("\n}") + ",\n" + table + "\n}\n").encode("utf-8", "surrogatepass")


def read_and_score(path: Path, train: Path | None = None, **options: Any) -> tuple[list[Pair], Scores]:
    """`score_pairs` of a file of pairs, and of a file of training references. InputError for files that hold none."""
    from brain3d.evaluation.pairs import read_pairs, read_training

    pairs, problems = read_pairs(path)
    training = None
    if train is not None:
        training, more = read_training(train, {pair.id for pair in pairs})
        problems = [*problems, *more]
    return pairs, score_pairs(pairs, problems, training, **options)
