"""What a model under training writes of validation studies, as pictures beside the reference texts."""

from __future__ import annotations

import html
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brain3d.cohort import Study
from brain3d.evaluation.grounded import mask_points, read_mask
from brain3d.phantom.picture import COLOURS, FAINT, INK, PANEL, PAPER, Row, compare_findings
from brain3d.reports import parse_findings
from brain3d.scans import Volume, read_scan, render_planes
from brain3d.scans.types import InputError

INDEX = "index.html"
MARGIN, GAP, SIZE, LINE = 16, 14, 15, 20
LEAST_WIDTH = 1080
COLUMNS = (0, 118, 232)  # of the table: finding, reference, generated
MOST_LINES = 40

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Shown:
    """One study to be shown.

    `label` is printed as it is: a number or a pseudonym, nothing of a patient. `point` (d, h, w) is where the planes
    are cut, such as `lesion_point` or `reading.evidence.suspected_point` has it; the volume's middle where it is None.
    """

    label: str
    volume: Volume
    reference: str
    generated: str
    point: Point | None = None


def lesion_point(study: Study, volume: Volume) -> Point | None:
    """A voxel (d, h, w) of the study's mask, the one nearest to its centre; None without a mask or a label in it.

    InputError where scan or mask cannot be read, or do not lie on one grid.
    """
    if study.mask is None:
        return None
    scan = read_scan(study.image)
    mask = read_mask(study.mask, scan, f"the mask of study {study.id}")
    points = mask_points(mask, scan, volume)
    limits = np.array(volume.data.shape[1:]) - 0.5
    points = points[((points > -0.5) & (points < limits)).all(1)]
    if not len(points):
        return None
    nearest = points[np.square(points - points.mean(0)).sum(1).argmin()]
    return float(nearest[0]), float(nearest[1]), float(nearest[2])


def draw_study(shown: Shown) -> Image.Image:
    """Three planes with L and R, the reference, the generated text, and how the findings of the two compare."""
    planes = render_planes(_signed(shown.volume), shown.point, shown.label)
    width = max(planes.width, LEAST_WIDTH)
    column = (width - 2 * MARGIN - 2 * GAP) // 3
    texts = [_wrapped(text, column - 2 * GAP) for text in (shown.reference, shown.generated)]
    rows = compare_findings(parse_findings(shown.reference), parse_findings(shown.generated))
    cells = [_cells(row, column - 2 * GAP) for row in rows]
    lines = max(len(texts[0]), len(texts[1]), sum(max(map(len, cell)) for cell in cells), 4)
    top = planes.height + GAP
    bottom = top + (lines + 2) * LINE + GAP
    sheet = Image.new("RGB", (width, bottom + MARGIN), PAPER)
    sheet.paste(planes, ((width - planes.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    places = [MARGIN + number * (column + GAP) for number in range(3)]
    for x, title in zip(places, ("Reference", "Generated", "Findings: reference, generated"), strict=True):
        draw.rounded_rectangle((x, top, x + column, bottom), 8, PANEL)
        draw.text((x + GAP, top + 8), title, FAINT, _font())
    for x, text in zip(places, texts, strict=False):
        for number, line in enumerate(text):
            draw.text((x + GAP, top + 8 + (number + 1.5) * LINE), line, INK, _font())
    _draw_table(draw, (places[2] + GAP, top + 8 + round(1.5 * LINE)), rows, cells)
    return sheet


def _signed(volume: Volume) -> Volume:
    """With values in [-1, 1]; those of the published system lie in [0, 1]. Its voxels are no cubes, and are drawn as if
    they were."""
    published = any(step["name"] == "scale" and step.get("range") == [0.0, 1.0] for step in volume.steps)
    return replace(volume, data=2 * volume.data - 1) if published else volume


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(SIZE)


def _wrapped(text: str, width: int) -> list[str]:
    """Words in lines of at most so many pixels; a word that is longer is cut into parts, a text that is too long ends
    in dots."""
    font, lines = _font(), [""]
    for word in text.split() or ["(nothing)"]:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while font.getlength(word) > width:
            fits = max(n for n in range(1, len(word)) if n == 1 or font.getlength(word[:n]) <= width)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    lines = [line for line in lines if line]
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], "..."]


def _cells(row: Row, width: int) -> tuple[list[str], list[str]]:
    """The two values of a row, each in lines of its column."""
    return _wrapped(row.truth, COLUMNS[2] - COLUMNS[1] - 8), _wrapped(row.found, width - COLUMNS[2])


def _draw_table(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], rows: Sequence[Row], cells: Sequence[tuple[list[str], list[str]]]
) -> None:
    x, y = at
    for row, pair in zip(rows, cells, strict=True):
        draw.text((x, y), row.name, FAINT, _font())
        for lines, column, colour in zip(pair, COLUMNS[1:], (INK, COLOURS[row.verdict]), strict=True):
            for number, line in enumerate(lines):
                draw.text((x + column, y + number * LINE), line, colour, _font())
        y += LINE * max(map(len, pair))


def write_gallery(folder: Path, title: str, studies: Sequence[Shown]) -> Path:
    """One PNG for each study, 01.png and so on, and an index.html that shows them with their texts; returns the index.

    Each file is replaced only when complete, and the index is written last. InputError where they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for number, shown in enumerate(studies, 1):
            names.append(f"{number:02d}.png")
            partial = folder / f".{secrets.token_hex(8)}.part"
            draw_study(shown).save(partial, format="PNG")
            partial.replace(folder / names[-1])
        partial = folder / f".{secrets.token_hex(8)}.part"
        partial.write_text(_page(title, names, studies), encoding="utf-8")
        partial.replace(folder / INDEX)
    except OSError as error:
        raise InputError(f"{folder}: cannot hold pictures ({error.strerror or error}); check the folder") from error
    return folder / INDEX


def _page(title: str, names: Sequence[str], studies: Sequence[Shown]) -> str:
    parts = [
        f'<section><h2>{html.escape(shown.label)}</h2><img src="{name}" alt="planes and texts">'
        f"<p><b>Reference:</b> {html.escape(shown.reference)}</p>"
        f"<p><b>Generated:</b> {html.escape(shown.generated)}</p></section>"
        for name, shown in zip(names, studies, strict=True)
    ]
    style = (
        "body{background:#11141a;color:#e8ebf0;font-family:sans-serif;margin:2em auto;max-width:1160px}"
        "img{max-width:100%}p{line-height:1.4}section{margin-bottom:3em}"
    )
    note = "Drafts for research, written by a model under training; not diagnoses."
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><h1>{html.escape(title)}</h1><p>{note}</p>\n" + "\n".join(parts) + "\n</html>\n"
    )
