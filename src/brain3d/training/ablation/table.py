"""The table of an ablation, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brain3d.training.ablation.arms import NAMES, arm_named

CERTAIN = 0.05
SHORT = {
    "findings/sensitivity": "ill called ill",
    "findings/specificity": "healthy called healthy",
    "findings/balanced_accuracy": "ill and healthy, balanced",
    "findings/side": "side exactly right",
    "findings/regions_f1": "regions F1",
    "mirror/consistency": "mirror consistency",
    "published/laterality_f1": "laterality F1 (paper)",
    "published/anatomy_f1": "anatomy F1 (paper)",
    "published/pathology_f1": "pathology F1 (paper)",
    "text/bleu_4": "BLEU-4",
    "text/rouge_l": "ROUGE-L",
}
TRIVIAL = {"constant": "*best constant report*", "shuffled": "*centre's reports, shuffled*"}


def title_of(name: str, centre: str) -> str:
    return "all three stages (centre)" if name == centre else arm_named(name).title


def verdict(difference: dict[str, Any], higher: bool = True) -> str:
    """ "better" or "worse" where the corrected p is below 0.05 and every seed says the same; else "not shown"."""
    seeds = difference["seeds"]
    agree = all(value > 0 for value in seeds) or all(value < 0 for value in seeds)
    if difference["p_holm"] >= CERTAIN or not agree:
        return "not shown"
    return "better" if (seeds[0] > 0) == higher else "worse"


def table(result: dict[str, Any]) -> str:
    """Scores of the main metrics, differences from the centre, and the further metrics."""
    main = [name for name in result["metrics"] if name in result["main"]]
    further = [name for name in result["metrics"] if name not in result["main"]]
    seeds = sorted({run["seed"] for run in result["runs"]})
    parts = [
        f"{result['cases']} test phantoms; seeds {', '.join(map(str, seeds))}; {len(result['runs'])} runs. A cell is "
        f"the mean over the seeds, its 95 % interval over phantoms ({result['resamples']:,} resamples) and, in "
        "parentheses, the lowest and the highest seed.",
        _values(result, main),
        *_differences(result, main),
        "Further metrics, the same way:",
        _values(result, further),
        *_differences(result, further),
        _cost(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _arms(result: dict[str, Any]) -> list[str]:
    there = {run["arm"] for run in result["runs"]}
    return [name for name in NAMES if name in there]


def _values(result: dict[str, Any], names: Sequence[str]) -> str:
    metrics = [result["metrics"][name] for name in names]
    head = ["arm", "steps", *(f"{SHORT[name]} (n {m['n']})" for name, m in zip(names, metrics, strict=True))]
    rows = [
        [title_of(arm, result["centre"]), str(result["steps"][arm]), *(_cell(m["arms"][arm]) for m in metrics)]
        for arm in _arms(result)
    ]
    rows += [[said, "", *(_cell(m["trivial"][name]) for m in metrics)] for name, said in TRIVIAL.items()]
    return _grid(head, rows)


def _cell(item: dict[str, Any]) -> str:
    if item["value"] is None:
        return "-"
    limits = "" if item["ci95"] is None else f" [{item['ci95'][0]:.3f}, {item['ci95'][1]:.3f}]"
    seeds = [value for value in item.get("seeds", []) if value is not None]
    spread = f" ({min(seeds):.3f}-{max(seeds):.3f})" if len(seeds) > 1 else ""
    return f"{item['value']:.3f}{limits}{spread}"


def _differences(result: dict[str, Any], names: Sequence[str]) -> list[str]:
    metrics = [result["metrics"][name] for name in names]
    arms = [arm for arm in _arms(result) if all("difference" in m["arms"][arm] for m in metrics)]
    if not arms:
        return []
    rows = [
        [title_of(arm, result["centre"]), *(_difference(m["arms"][arm], m["higher_is_better"]) for m in metrics)]
        for arm in arms
    ]
    said = (
        "Arm less centre, paired by phantom, with its 95 % interval and p (permutation, corrected by Holm over "
        f"these {len(arms) * len(names)} tests). Better or worse: p below {CERTAIN} and all seeds on one side; without "
        "a word: not shown."
    )
    return [said, _grid(["arm", *(SHORT[name] for name in names)], rows)]


def _difference(item: dict[str, Any], higher: bool) -> str:
    difference = item["difference"]
    if difference["value"] is None or difference["ci95"] is None:
        return "-"
    low, high = difference["ci95"]
    p = difference["p_holm"]
    said = "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    word = verdict(difference, higher)
    mark = "" if word == "not shown" else f" **{word}**"
    return f"{difference['value']:+.3f} [{low:+.3f}, {high:+.3f}] {said}{mark}"


def _cost(result: dict[str, Any]) -> str:
    times = [run["cpu_seconds"] / 60 for run in result["runs"]]
    return f"CPU minutes a run: {min(times):.1f} to {max(times):.1f}, mean {sum(times) / len(times):.1f}."
