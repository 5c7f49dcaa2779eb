"""The scores as text: a table for people, with the baselines in the same line."""

from __future__ import annotations

from collections.abc import Sequence

from brain3d.evaluation.baselines import Row
from brain3d.evaluation.statistics import Estimate

HEADINGS = ("metric", "value", "95 % CI", "n", "constant", "shuffled", "nearest")


def _with_interval(item: Estimate | None) -> str:
    return "n/a" if item is None else f"{item.value:.3f} [{item.low:.3f}, {item.high:.3f}]"


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells, in the order of HEADINGS."""
    model = row.model
    return (
        row.title,
        f"{model.value:.3f}",
        f"[{model.low:.3f}, {model.high:.3f}]",
        str(model.n),
        _with_interval(row.constant),
        _with_interval(row.shuffled),
        _with_interval(row.nearest),
    )


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up as plain text."""
    table = [list(headings), *(list(line) for line in lines)]
    widths = [max(len(line[column]) for line in table) for column in range(len(headings))]
    padded = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in table]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def group_table(title: str, rows: Sequence[Row]) -> str:
    """One group of cases: a heading and a line for each metric."""
    return f"## {title}\n\n" + markdown(HEADINGS, [cells(row) for row in rows])


def curve_table(bins: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The bins of contrast and volume: what was called ill and whose side was right in each."""
    lines = [(name, *cells(row)) for name, rows in bins for row in rows]
    return "## by contrast-to-noise and volume\n\n" + markdown(("lesions", *HEADINGS), lines)
