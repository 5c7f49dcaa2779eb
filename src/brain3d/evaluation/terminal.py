"""Scores and comparisons as tables for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from textwrap import shorten
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

GROUPS = {
    "published": "As the published system is scored (keywords)",
    "findings": "Findings read out of the text",
    "grounded": "Against the lesion mask",
    "mirror": "Against the mirror image's report",
    "text": "Text overlap",
    "extra": "Learned metrics, not made for brain MRI",
}
LEGEND = (
    "skill: (score - best trivial) / (best possible - best trivial). no skill: not better than the best trivial "
    "report. saturated: the best trivial report is within 0.02 of the best possible."
)
WIDTH = 150
SHOWN_PROBLEMS = 20


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def span(interval: Sequence[float] | None) -> str:
    """An interval in brackets, or a dash."""
    return "-" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def p_text(value: float) -> str:
    """A p value to three decimals, or that it is smaller."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def render(items: Iterable[Table | Text | str], *, width: int = WIDTH, color: bool = False) -> str:
    """Tables and lines as text for a terminal of this width."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, no_color=not color, highlight=False, markup=False)
    for item in items:
        console.print(item)
    return out.getvalue()


def _group_table(title: str, metrics: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    table.add_column("metric", no_wrap=True)
    for heading in ("value", "95 % CI", "n", "constant", "shuffled", "nearest", "skill", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for item in metrics.values():
        trivial = item["trivial"]
        worse = "no skill" in item["marks"]
        tested = "-" if item["difference"] is None else p_text(item["difference"]["p_holm"])
        table.add_row(
            item["title"] + ("" if item["higher_is_better"] else " (less: better)"),
            number(item["value"]),
            span(item["ci95"]),
            str(item["n"]),
            *(number(trivial[name]) for name in ("constant", "shuffled", "nearest")),
            number(item["skill"]),
            tested,
            ", ".join(item["marks"]),
            style="red" if worse else None,
        )
    return table


def by_group(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """The metrics by the first part of their name, in the order of GROUPS."""
    return {
        group: found
        for group in GROUPS
        if (found := {name: item for name, item in metrics.items() if name.startswith(f"{group}/")})
    }


def counts_line(content: dict[str, Any]) -> str:
    """How many cases there were, and how many lines were none."""
    return (
        f"{content['cases']} cases ({content['healthy']} healthy, {content['grounded']} with a mask); "
        f"{content['failed']} failed and count as wrong; {content['skipped']} lines skipped."
    )


def problem_lines(content: dict[str, Any], most: int = SHOWN_PROBLEMS) -> list[str]:
    """What was wrong with the lines: counts, and the first ones by name."""
    counts, problems = content["problem_counts"], content["problems"]
    if not problems:
        return []
    lines = ["Problems: " + ", ".join(f"{kind} {count}" for kind, count in counts.items()) + "."]
    for item in problems[:most]:
        named = f"line {item['line']}" + (f" ({item['id']})" if item["id"] else "")
        lines.append(f"  {item['kind']}: {named}: {item['reason']}")
    if len(problems) > most:
        lines.append(f"  ... and {len(problems) - most} more; all are in the JSON.")
    return lines


def _constants(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The reports that do best on the published metrics, the same for every patient."""
    shown = {name: item for name, item in metrics.items() if name.startswith("published/") and item["n"]}
    return [
        f"best constant report for {item['title']}: {shorten(item['constant_report'], 100)!r}"
        for item in shown.values()
    ]


def score_tables(content: dict[str, Any]) -> list[Table | Text | str]:
    """The scores: a table for each group of metrics, what is absent, what was wrong with the lines."""
    tables: list[Table | Text | str] = [
        _group_table(GROUPS[name], found) for name, found in by_group(content["metrics"]).items()
    ]
    settings = content["settings"]
    notes = [
        counts_line(content),
        f"CI: {settings['interval']}, {settings['resamples']} resamples, seed {settings['seed']}.",
        f"p: {settings['test']}.",
        f"constant: {settings['constant']}.",
        f"shuffled: {settings['shuffled']}.",
        f"nearest: {settings['nearest']}.",
        LEGEND,
        "healthy specificity, keywords: by our definition; the published system's released evaluator has none.",
        *_constants(content["metrics"]),
        *(f"absent: {item['title']}: {item['reason']}" for item in content["absent"]),
        *problem_lines(content),
    ]
    return [*tables, *notes]


def comparison_table(content: dict[str, Any]) -> list[Table | Text | str]:
    """Two runs' scores on the same cases."""
    table = Table(
        title="B - A, on the same cases", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1)
    )
    table.add_column("metric", no_wrap=True)
    for heading in ("A", "B", "difference", "95 % CI", "p", "p (Holm)", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("better")
    for item in content["metrics"].values():
        table.add_row(
            item["title"],
            number(item["a"]),
            number(item["b"]),
            number(item["difference"]),
            span(item["ci95"]),
            p_text(item["p"]),
            p_text(item["p_holm"]),
            str(item["n"]),
            item["better"] or "",
        )
    notes = [
        f"{content['cases']} cases in both; {content['only_a']} only in A, {content['only_b']} only in B, "
        f"{content['other_reference']} with another reference: these are left out.",
        f"Paired bootstrap and paired permutation test, {content['resamples']} each, seed {content['seed']}; "
        "p corrected over the metrics by Holm. better: the corrected p is below 0.05.",
    ]
    if content["only_one"]:
        notes.append("Only in one of the two: " + ", ".join(content["only_one"]) + ".")
    return [table, *notes]
