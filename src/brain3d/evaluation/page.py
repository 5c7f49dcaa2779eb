"""The scores as one page of HTML that stands alone: no script, no link, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from brain3d.evaluation.drawings import COLOURS, histogram, interval_bar, key, matrix
from brain3d.evaluation.highlight import coloured, differences
from brain3d.evaluation.pairs import LONG_TEXT, Pair
from brain3d.evaluation.scoring import Scores
from brain3d.evaluation.stated import UNKNOWN_SIDE
from brain3d.evaluation.terminal import GROUPS, LEGEND, by_group, counts_line, number, p_text, span
from brain3d.evaluation.worst import case_scores, picture, worst_cases
from brain3d.reports import Findings, Reading, read_report
from brain3d.reports.findings import SIDES

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #18181b; background: #fff; max-width: 1180px; margin: 2em auto;
  padding: 0 1.5em; }
h1 { font-size: 1.6em; margin-bottom: 0.2em; } h2 { font-size: 1.2em; margin-top: 2em; } h3 { font-size: 1em; }
table { border-collapse: collapse; width: 100%; } .scores { table-layout: fixed; font-size: 0.93em; }
.scores th, .scores td { white-space: nowrap; padding: 0.25em 0.4em; }
.scores th:first-child { width: 17%; } .scores th:nth-child(3) { width: 11%; }
.scores td:first-child { white-space: normal; } .scores th:nth-child(4) { width: 220px; }
.scores th:nth-child(5) { width: 4%; } .scores th:nth-child(6), .scores th:nth-child(7) { width: 7%; }
.scores td:last-child { white-space: normal; text-align: left; } .scores th:last-child { width: 8%; }
th, td { padding: 0.25em 0.6em; text-align: right; }
th { font-weight: 600; color: #52525b; border-bottom: 1px solid #d4d4d8; } td { border-bottom: 1px solid #f4f4f5; }
th:first-child, td:first-child { text-align: left; } td svg { vertical-align: middle; display: block; }
.matrix { width: auto; } .matrix td { min-width: 4.5em; } .matrix td.strong { color: #fff; }
.matrix td, .matrix th:not(:first-child) { text-align: center; }
.noskill td { color: #b91c1c; } .mark { background: #fee2e2; color: #991b1b; border-radius: 3px; padding: 0 0.4em;
  white-space: nowrap; } .mark.saturated { background: #fef3c7; color: #92400e; }
.key { margin-right: 1.4em; white-space: nowrap; } .key svg { vertical-align: middle; margin-right: 0.3em; }
.note, figcaption { color: #52525b; font-size: 0.9em; } .charts { display: flex; flex-wrap: wrap; gap: 1.5em; }
figure { margin: 0; } svg text { font: 11px system-ui, sans-serif; fill: #52525b; }
.case { border: 1px solid #d4d4d8; border-radius: 6px; padding: 0.8em 1.2em; margin: 1em 0; }
.case h3 { margin: 0 0 0.4em; overflow-wrap: anywhere; } .case img { max-width: 100%; margin-top: 0.6em; }
.texts { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5em; }
.texts p { margin: 0.2em 0; white-space: pre-wrap; overflow-wrap: anywhere; }
mark { padding: 0 0.1em; border-radius: 2px; } mark.agree { background: #bbf7d0; }
mark.contradict { background: #fecaca; text-decoration: underline; } mark.missing { background: #fef3c7;
  border-bottom: 1px dashed #92400e; }
td.wide { overflow-wrap: anywhere; } td.wide, th.wide { text-align: left; }
"""
_NOTICE = (
    "Scores of draft reports, for research. Findings are read out of texts by rules, and can be misread; a metric on "
    "which a report that never saw the image scores as well says nothing of a model."
)
_DRAWN = (
    ("text/bleu_4", 1.0),
    ("text/rouge_l", 1.0),
    ("text/cider_d", 10.0),
    ("findings/regions_f1_mean", 1.0),
)


def _metric_row(item: dict[str, Any]) -> str:
    trivial = item["trivial"]
    marks = " ".join(f'<span class="mark {escape(name)}">{escape(name)}</span>' for name in item["marks"])
    tested = "-" if item["difference"] is None else p_text(item["difference"]["p_holm"])
    cells = [
        number(item["value"]),
        span(item["ci95"]),
        interval_bar(item),
        str(item["n"]),
        *(number(trivial[name]) for name in ("constant", "shuffled", "nearest")),
        number(item["skill"]),
        escape(tested),
        marks,
    ]
    title = escape(item["title"]) + ("" if item["higher_is_better"] else " <small>(less is better)</small>")
    css = ' class="noskill"' if "no skill" in item["marks"] else ""
    tip = escape(f"best constant report: {item['constant_report'][:300]}", quote=True)
    return f'<tr{css}><td title="{tip}">{title}</td>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _summary(content: dict[str, Any]) -> str:
    headings = (
        *("metric", "value", "95 % CI", "on its scale", "n", "constant", "shuffled", "nearest"),
        *("skill", "p (Holm)", ""),
    )
    head = "".join(f"<th>{name}</th>" for name in headings)
    parts = [f"<p>{key()}</p>"]
    for name, found in by_group(content["metrics"]).items():
        rows = "".join(_metric_row(item) for item in found.values())
        parts.append(f"<h3>{escape(GROUPS[name])}</h3><table class='scores'><tr>{head}</tr>{rows}</table>")
    settings = content["settings"]
    notes = [
        f"CI: {settings['interval']}, {settings['resamples']} resamples, seed {settings['seed']}.",
        f"p: {settings['test']}.",
        *(f"{name}: {settings[name]}." for name in ("constant", "shuffled", "nearest")),
        LEGEND,
    ]
    return "".join(parts) + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _distributions(pairs: Sequence[Pair], scores: Scores) -> str:
    figures = []
    rows = {item.measure.name: item for item in scores.metrics}
    for name, top in _DRAWN:
        if name not in rows:
            continue
        table = rows[name].rows["model"]
        there = table[:, 1] > 0
        values = table[there, 0] / table[there, 1]
        high = top if top == 1.0 else max(float(np.ceil(values.max(initial=0))), 1.0)
        drawing = histogram({"candidates": values.tolist()}, low=0.0, high=high, colours=[COLOURS["model"]])
        caption = f"{rows[name].measure.title}, case by case (n = {len(values)})"
        figures.append(f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>")
    words: dict[str, list[float]] = {
        "references": [len(pair.reference.split()) for pair in pairs if pair.reference],
        "candidates": [len(pair.candidate.split()) for pair in pairs if pair.candidate],
    }
    longest = float(max([10, *(int(np.percentile(found, 95)) for found in words.values() if found)]))
    drawing = histogram(words, low=0.0, high=longest, colours=["#71717a", COLOURS["model"]])
    figures.append(f"<figure>{drawing}<figcaption>words: references grey, candidates blue</figcaption></figure>")
    return f'<div class="charts">{"".join(figures)}</div>'


def _sides(scores: Scores) -> str:
    stated, cases, answers = scores.setting.findings, scores.setting.cases, scores.setting.answers
    there = cases.reference >= 0
    wanted, said = stated.side[cases.reference[there]], answers.text[there]
    column = np.where(said >= 0, stated.side[np.maximum(said, 0)], len(SIDES))
    counts = np.zeros((len(SIDES), len(SIDES) + 1), int)
    np.add.at(counts, (wanted, column), 1)
    names = [*SIDES[:UNKNOWN_SIDE], "no side or no lesion"]
    note = "Blue: the same side; red: another. A row is a side of the reference; failed: no candidate."
    return matrix(counts, names, [*names, "failed"]) + f'<p class="note">{note}</p>'


def _case(index: int, pair: Pair, scores: Scores, value: float) -> str:
    setting = scores.setting
    reference, candidate = (read_report((text or "")[:LONG_TEXT]) for text in (pair.reference, pair.candidate))
    mask = int(setting.cases.masks[index])
    image, why = picture(pair, setting.masks[mask].point if mask >= 0 else None)
    shown = f'<img alt="three planes, L and R marked" src="{image}">' if image else ""
    if why and pair.image is not None:
        shown = f'<p class="note">no picture: {escape(why)}</p>'
    wanted_words = _coloured(pair.reference, reference, candidate.findings)
    said_words = _coloured(pair.candidate, candidate, reference.findings)
    apart = escape(_apart(pair, reference, candidate))
    return (
        f'<div class="case"><h3><bdi>{escape(pair.id)}</bdi> <span class="note">findings right: {value:.2f}</span></h3>'
        f'<p class="note">{apart}</p><div class="texts">'
        f"<div><strong>reference</strong><p>{wanted_words}</p></div>"
        f"<div><strong>candidate</strong><p>{said_words}</p></div></div>{shown}</div>"
    )


def _apart(pair: Pair, reference: Reading, candidate: Reading) -> str:
    """What is wrong with a case whose findings are not all right."""
    if pair.candidate is None:
        return "no candidate"
    if pair.reference is None:
        return "no reference; the candidate goes against whether the case is marked as ill or healthy"
    found = differences(reference, candidate)
    return "; ".join(found) or "the candidate contradicts itself, or whether the case is marked as ill or healthy"


def _coloured(text: str | None, reading: Reading, other: Findings) -> str:
    """A report as HTML, what its findings were read from marked by what the other report has; or that there is none."""
    return coloured(text, reading, other) if text else "<em>none</em>"


def _worst(pairs: Sequence[Pair], scores: Scores) -> str:
    values = case_scores(scores)
    cases = [_case(index, pairs[index], scores, float(values[index])) for index in worst_cases(scores)]
    note = (
        "Marked are the words that the findings were read from, and no others: the other report states the "
        '<mark class="agree">same</mark>, states <mark class="contradict">otherwise</mark>, or '
        '<mark class="missing">does not state it</mark>. What is not marked was not read, or leaves the finding open.'
    )
    return f'<p class="note">{note}</p>' + ("".join(cases) or "<p>Every case's findings are right.</p>")


def _problems(content: dict[str, Any]) -> str:
    rows = [
        f'<tr><td>{escape(item["kind"])}</td><td>{item["line"]}</td><td class="wide">{escape(item["id"])}</td>'
        f'<td class="wide">{escape(item["reason"])}</td></tr>'
        for item in content["problems"]
    ]
    absent = "".join(f"<li>{escape(item['title'])}: {escape(item['reason'])}</li>" for item in content["absent"])
    head = "<tr><th>kind</th><th>line</th><th class='wide'>id</th><th class='wide'>what</th></tr>"
    table = f"<table>{head}{''.join(rows)}</table>" if rows else "<p>Nothing was wrong with the lines.</p>"
    return table + f"<h3>Metrics that were not computed</h3><ul>{absent}</ul>"


def score_page(pairs: Sequence[Pair], scores: Scores) -> str:
    """The page: summary, distributions, sides, worst cases, what was skipped and why."""
    content = scores.content
    sections = (
        ("Summary", _summary(content)),
        ("Distributions", _distributions(pairs, scores)),
        ("Sides", _sides(scores)),
        ("Worst cases", _worst(pairs, scores)),
        ("Skipped, failed, and otherwise noted", _problems(content)),
    )
    body = "".join(f"<h2>{name}</h2>{text}" for name, text in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:"><meta name="viewport" content="width=device-width">'
        f"<title>Scores of reports</title><style>{_STYLE}</style></head><body><h1>Scores of reports</h1>"
        f'<p>{escape(counts_line(content))}</p><p class="note">{escape(_NOTICE)}</p>{body}</body></html>\n'
    )
