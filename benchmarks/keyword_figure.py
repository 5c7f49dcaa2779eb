"""The opening figure of docs/evaluation.md: what a constant report scores on the published keyword metrics.

Constant and shuffled reports: on all 369 TextBraTS reports. Published system: its own test split, as reported (arXiv
2602.22098). The figures are facts read from there, and stand here as they stand in the text.
"""

from __future__ import annotations

import argparse
from pathlib import Path

METRICS = ("pathology F1", "anatomy F1", "laterality F1")
SYSTEMS = (
    # name, colour, score by metric
    ("a constant report, the same for every patient", "#b45309", (0.998, 0.763, 0.711)),
    ("reports shuffled between patients", "#9ca3af", (0.997, 0.626, 0.542)),
    ("the published system", "#1d4ed8", (0.951, 0.691, 0.689)),
)
QUOTES = ('"lesion edema necrosis compression"', "one sentence", '"left right"')
LEFT, WIDTH, BAR, GROUP, TOP = 150, 520, 22, 110, 84


def figure() -> str:
    """The figure as SVG."""
    parts = []
    for row, (name, colour, _) in enumerate(SYSTEMS):
        y = 20 + row * 20
        parts.append(f'<rect x="{LEFT}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 20}" y="{y}">{name}</text>')
    for index, metric in enumerate(METRICS):
        top = TOP + index * GROUP
        parts.append(f'<text x="{LEFT - 14}" y="{top + 1.5 * BAR + 5}" text-anchor="end" class="name">{metric}</text>')
        for row, (_, colour, scores) in enumerate(SYSTEMS):
            y, wide = top + row * (BAR + 3), scores[index] * WIDTH
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{BAR}" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + wide + 8:.1f}" y="{y + 16}" class="value">{scores[index]:.3f}</text>')
        parts.append(f'<text x="{LEFT + 10}" y="{top + 16}" class="quote">{QUOTES[index]}</text>')
    bottom = TOP + len(METRICS) * GROUP
    axis = "".join(
        f'<line x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{bottom - 24}" stroke="#e5e7eb"/>'
        f'<text x="{x}" y="{bottom - 6}" text-anchor="middle" class="tick">{share / 10:.1f}</text>'
        for share in range(0, 11, 2)
        for x in [LEFT + WIDTH * share / 10]
    )
    style = (
        "text { font: 14px system-ui, sans-serif; fill: #18181b; } .name { font-weight: 600; } .tick { fill: #52525b; "
        "font-size: 12px; } .quote { fill: #ffffff; font-size: 13px; } .value { font-size: 13px; "
        "stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 {bottom + 6}" width="740" height="{bottom + 6}" '
        f'role="img" aria-label="A constant report scores above the published system on all three keyword metrics">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="#ffffff"/>{axis}{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.parse_args().out.write_text(figure(), encoding="utf-8")
