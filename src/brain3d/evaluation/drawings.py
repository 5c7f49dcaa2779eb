"""Small drawings for the page of scores, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

WIDTH, HEIGHT, MARGIN = 220, 22, 6
COLOURS = {"model": "#1d4ed8", "constant": "#b45309", "shuffled": "#6b7280", "nearest": "#7c3aed"}
BINS = 20


def _limits(item: dict[str, Any]) -> tuple[float, float]:
    """From the worst to the best value that is shown; scores without a small scale end above what was reached."""
    values = [item["value"], *item["trivial"].values(), *(item["ci95"] or [])]
    known = [value for value in values if value is not None]
    low = min([0.0, *known])
    best = item["best_possible"]
    high = 1.0 if best in (0.0, 1.0) else max([*known, 1e-9]) * 1.1
    return low, max(high, *known) if known else high


def interval_bar(item: dict[str, Any]) -> str:
    """A metric's value with its interval, and the trivial baselines as ticks on the same line."""
    low, high = _limits(item)

    def x(value: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / ((high - low) or 1.0)

    middle = HEIGHT / 2
    parts = [f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{middle}" y2="{middle}" stroke="#d4d4d8"/>']
    for name, value in item["trivial"].items():
        if value is not None:
            at = x(value)
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="3" y2="{HEIGHT - 3}" stroke="{COLOURS[name]}" '
                f'stroke-width="3"><title>{escape(name)} {value:.3f}</title></line>'
            )
    if item["ci95"] is not None:
        a, b = (x(value) for value in item["ci95"])
        parts.append(
            f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{middle}" y2="{middle}" stroke="{COLOURS["model"]}" '
            'stroke-width="4" stroke-opacity="0.45"/>'
        )
    if item["value"] is not None:
        parts.append(
            f'<circle cx="{x(item["value"]):.1f}" cy="{middle}" r="4.5" fill="{COLOURS["model"]}">'
            f"<title>score {item['value']:.3f}</title></circle>"
        )
    ends = f'aria-label="from {low:.2f} to {high:.2f}"'
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" {ends}>{"".join(parts)}</svg>'


def key() -> str:
    """What the marks of `interval_bar` are."""
    ticks = "".join(
        f'<span class="key"><svg width="12" height="14"><line x1="6" x2="6" y1="1" y2="13" stroke="{COLOURS[name]}" '
        f'stroke-width="3"/></svg>{name}</span>'
        for name in ("constant", "shuffled", "nearest")
    )
    dot = f'<svg width="14" height="14"><circle cx="7" cy="7" r="4.5" fill="{COLOURS["model"]}"/></svg>'
    return f'<span class="key">{dot}score, with its 95 % interval</span>{ticks}'


def histogram(groups: Mapping[str, Sequence[float]], *, low: float, high: float, colours: Sequence[str]) -> str:
    """Counts of values in 20 bins between `low` and `high`, one group in front of the other; values beyond are cut."""
    width, height, base = 260, 120, 96
    edges = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(np.clip(np.asarray(values, float), low, high), edges)[0] for values in groups.values()]
    top = max([1, *(int(count.max()) for count in counts)])
    step = (width - 2 * MARGIN) / BINS
    parts = []
    for count, colour in zip(counts, colours, strict=False):
        for index, number in enumerate(count.tolist()):
            tall = (base - 8) * number / top
            parts.append(
                f'<rect x="{MARGIN + index * step:.1f}" y="{base - tall:.1f}" width="{step - 1:.1f}" '
                f'height="{tall:.1f}" fill="{colour}" fill-opacity="0.55"><title>{edges[index]:.2f} to '
                f"{edges[index + 1]:.2f}: {number}</title></rect>"
            )
    axis = f'<line x1="{MARGIN}" x2="{width - MARGIN}" y1="{base}" y2="{base}" stroke="#71717a"/>'
    labels = (
        f'<text x="{MARGIN}" y="{height - 8}">{low:g}</text>'
        f'<text x="{width - MARGIN}" y="{height - 8}" text-anchor="end">{high:g}</text>'
        f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">tallest: {top}</text>'
    )
    return f'<svg width="{width}" height="{height}" role="img">{"".join(parts)}{axis}{labels}</svg>'


def matrix(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """A table of counts (rows, columns) whose cells are the darker the more of their row they hold."""
    sums = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / sums
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = []
    for i, name in enumerate(rows):
        cells = []
        for j, column in enumerate(columns):
            hue = "37,99,235" if column == name else "220,38,38"
            strong = ' class="strong"' if shares[i, j] > 0.55 else ""
            shade = f"rgba({hue},{shares[i, j]:.2f})" if counts[i, j] else "transparent"
            cells.append(f'<td{strong} style="background:{shade}">{int(counts[i, j])}</td>')
        body.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    corner = "<th>reference \\ candidate</th>"
    return f'<table class="matrix"><tr>{corner}{head}</tr>{"".join(body)}</table>'
