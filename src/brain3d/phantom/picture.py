"""A synthetic patient beside what was read of it: planes, both texts, and where the two agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from brain3d.phantom.cohort import canonical_affine, phantom_scan
from brain3d.phantom.draw import Phantom
from brain3d.reports import REGIONS, Findings, Lesion, Report, overall_side
from brain3d.scans import Volume, VolumeSpec, prepare

Verdict = Literal["agrees", "differs", "open"]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 1400, 800
FINE = 2  # drawn at twice the size, then reduced
MARGIN, GAP, TILE = 28, 24, 432
TILE_TOP, TILE_HEIGHT = 66, 408
PANEL_TOP = TILE_TOP + TILE_HEIGHT + 58
DETAIL = 2  # the planes show this many times the model's resolution

PAPER: Colour = (17, 20, 26)
BRIGHTEST: Colour = (246, 246, 246)
PANEL: Colour = (27, 32, 41)
INK: Colour = (232, 235, 240)
FAINT: Colour = (146, 154, 168)
TRUE: Colour = (79, 209, 217)
SUSPECTED: Colour = (255, 176, 46)
COLOURS: dict[Verdict, Colour] = {"agrees": (116, 214, 128), "differs": (255, 107, 107), "open": FAINT}

_BY_DEGREE = ("none", "present", "mild", "moderate", "severe")
_SIDE_WORDS = {
    "left": r"left\w*(?:-sided)?",
    "right": r"right\w*(?:-sided)?",
    "bilateral": r"bilateral\w*|both",
    "midline": r"mid-?line",
}
_REGION_WORDS = {
    "frontal": r"\w*frontal",
    "parietal": r"\w*parietal",
    "temporal": r"\w*temporal",
    "occipital": r"\w*occipital",
    "insula": r"insula\w*",
    "deep grey matter": r"deep gr[ea]y(?: matter)?|basal ganglia|thalam\w+",
    "corpus callosum": r"corpus callosum|callosal",
    "periventricular": r"periventricular",
    "cerebellum": r"cerebell\w+",
    "brainstem": r"brain-?stem",
}


@dataclass(frozen=True)
class Reading:
    """What a reader made of the phantom's scan; `evidence` (D, H, W) and `point` (d, h, w) on `volume`'s grid."""

    report: Report
    volume: Volume
    point: tuple[float, float, float] | None
    evidence: np.ndarray | None


@dataclass(frozen=True)
class Row:
    """One finding, as the truth has it and as the report has it."""

    name: str
    truth: str
    found: str
    verdict: Verdict


def compare_findings(truth: Findings, found: Findings) -> list[Row]:
    """Set a report's findings against the true ones, all its lesions taken together."""
    rows = [_row("lesion", _presence(truth), _presence(found))]
    true, seen = _together(truth), _together(found)
    if true is None and seen is None:
        return rows
    true, seen = true or Lesion(), seen or Lesion()
    rows += [
        _row("side", true.side, seen.side),
        _row("regions", ", ".join(true.regions) or "unknown", ", ".join(seen.regions) or "unknown"),
        _row("signal", true.signal, seen.signal),
        _row("edema", true.edema, seen.edema),
        _row("necrosis", true.necrosis, seen.necrosis),
        _row("compression", true.ventricular_compression, seen.ventricular_compression),
    ]
    return rows


def _presence(findings: Findings) -> str:
    return "none" if findings.normal else "yes" if findings.lesions else "unknown"


def _row(name: str, truth: str, found: str) -> Row:
    verdict: Verdict = "open" if "unknown" in (truth, found) else "agrees" if truth == found else "differs"
    return Row(name, truth, found, verdict)


def _together(findings: Findings) -> Lesion | None:
    """All lesions as one: their overall side, every region, and the worst of each sign."""
    lesions = findings.lesions
    if not lesions:
        return None
    signals = {lesion.signal for lesion in lesions} - {"unknown"}
    named = {region for lesion in lesions for region in lesion.regions}
    return Lesion(
        side=overall_side(findings),
        regions=tuple(name for name in REGIONS if name in named),
        signal="unknown" if not signals else signals.pop() if len(signals) == 1 else "mixed",
        edema=_worst([lesion.edema for lesion in lesions]),
        necrosis=_worst([lesion.necrosis for lesion in lesions]),
        ventricular_compression=_worst([lesion.ventricular_compression for lesion in lesions]),
    )


def _worst(degrees: Sequence[str]) -> str:
    known = [degree for degree in degrees if degree != "unknown"]
    return max(known, key=_BY_DEGREE.index, default="unknown")


def draw_picture(phantom: Phantom, truth_text: str, reading: Reading, caption: str = "") -> Image.Image:
    """The picture, 1400 x 800: three planes with the drawn lesion and the suspected one, texts and findings below."""
    sheet = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), PAPER)
    pen = _Pen(sheet)
    truth, found = phantom.truth.findings(), reading.report.findings
    model = reading.report.model
    pen.text((MARGIN, 24), "A synthetic patient, read by Brain3D", 24, INK)
    pen.text((WIDTH - MARGIN, 34), f"{model['name']} {model['version']}   {caption}".strip(), 15, FAINT, "rm")
    _draw_planes(pen, phantom, reading)
    _draw_legend(pen, reading)
    columns = [MARGIN + k * (TILE + GAP) for k in range(3)]
    pen.panel(columns[0], "The truth", truth_text, _words(truth, truth))
    pen.panel(columns[1], "The report", reading.report.text, _words(found, truth))
    _draw_table(pen, columns[2], compare_findings(truth, found))
    note = "Draft for research, written by a machine; not a diagnosis, not a medical device. The patient is synthetic."
    pen.text((MARGIN, HEIGHT - 15), note, 12, FAINT, "lm")
    return sheet.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


class _Pen:
    """Draws on a sheet in the picture's own units."""

    def __init__(self, sheet: Image.Image) -> None:
        self.sheet, self.draw = sheet, ImageDraw.Draw(sheet)

    def text(self, at: tuple[float, float], text: str, size: float, colour: Colour, anchor: str = "la") -> None:
        self.draw.text((at[0] * FINE, at[1] * FINE), text, colour, _font(size), anchor=anchor)

    def line(self, ends: Sequence[float], colour: Colour, width: float = 1) -> None:
        self.draw.line([value * FINE for value in ends], colour, round(width * FINE))

    def box(self, corners: Sequence[float], colour: Colour, radius: float = 8) -> None:
        self.draw.rounded_rectangle([value * FINE for value in corners], radius * FINE, colour)

    def panel(self, x: float, title: str, text: str, colours: list[tuple[re.Pattern[str], Colour]]) -> None:
        """A titled text, wrapped, its words coloured; as large as fits."""
        bottom = HEIGHT - 32
        self.box((x, PANEL_TOP, x + TILE, bottom), PANEL)
        self.text((x + 16, PANEL_TOP + 12), title, 16, FAINT)
        room = bottom - PANEL_TOP - 52
        for size in (17.0, 16.0, 15.0, 14.0, 13.0, 12.0, 11.0):
            lines = _wrap(text, _font(size), (TILE - 32) * FINE)
            if len(lines) * size * 1.38 <= room:
                break
        for number, line in enumerate(lines):
            self._coloured((x + 16, PANEL_TOP + 40 + number * size * 1.38), line, size, colours)

    def _coloured(
        self, at: tuple[float, float], line: str, size: float, colours: list[tuple[re.Pattern[str], Colour]]
    ) -> None:
        paint = [INK] * len(line)
        for pattern, colour in colours:
            for match in pattern.finditer(line):
                paint[match.start() : match.end()] = [colour] * (match.end() - match.start())
        font, start = _font(size), 0
        for end in range(1, len(line) + 1):
            if end == len(line) or paint[end] != paint[start]:
                x = at[0] + font.getlength(line[:start]) / FINE
                self.text((x, at[1]), line[start:end], size, paint[start])
                start = end


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * FINE)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _words(findings: Findings, truth: Findings) -> list[tuple[re.Pattern[str], Colour]]:
    """The words in which a text states its findings, coloured by whether they are true."""
    said, true = _together(findings), _together(truth)
    if said is None:
        return []
    true = true or Lesion()
    stated = [(_SIDE_WORDS[said.side], said.side == true.side)] if said.side in _SIDE_WORDS else []
    stated += [(_REGION_WORDS[region], region in true.regions) for region in said.regions]
    return [
        (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), COLOURS["agrees" if right else "differs"])
        for words, right in stated
    ]


def _draw_planes(pen: _Pen, phantom: Phantom, reading: Reading) -> None:
    """Axial, coronal and sagittal through the suspected lesion; else through the drawn one; else the middle."""
    coarse = reading.volume
    shape = tuple(n * DETAIL for n in coarse.data.shape[1:])
    spacing = float(np.linalg.norm(coarse.affine[:3, 0])) / DETAIL
    fine = prepare(phantom_scan(phantom), VolumeSpec((shape[0], shape[1], shape[2]), spacing))
    lesion = _on(fine, phantom.masks.whole.cpu().numpy(), canonical_affine(phantom.grid))
    evidence = np.zeros(shape) if reading.evidence is None else _on(fine, reading.evidence, coarse.affine)
    point = [(n - 1) / 2 for n in shape]
    if reading.point is not None:
        point = [(p + 0.5) * DETAIL - 0.5 for p in reading.point]
    elif lesion.max() > 0.5:
        point = [float(x) for x in ndimage.center_of_mass(lesion)]
    scale = min(TILE / max(shape[1:]), TILE_HEIGHT / max(shape[:2]))
    for number, (axis, letters) in enumerate(((0, "RLAP"), (1, "RLSI"), (2, "APSI"))):
        planes = [_cut(array, axis, point[axis]) for array in (fine.data[0], lesion, evidence)]
        size = (round(planes[0].shape[1] * scale), round(planes[0].shape[0] * scale))
        x = MARGIN + number * (TILE + GAP) + (TILE - size[0]) // 2
        y = TILE_TOP + (TILE_HEIGHT - size[1]) // 2
        pen.sheet.paste(_tile(planes, size), (x * FINE, y * FINE))
        if reading.point is not None:
            down, across = (point[k] for k in range(3) if k != axis)
            at = (x + size[0] - (across + 0.5) * scale, y + size[1] - (down + 0.5) * scale)
            _crosshair(pen, at, (x, y, x + size[0], y + size[1]))
        middle = (x + size[0] / 2, y + size[1] / 2)
        places = (
            (x + 12, middle[1]),
            (x + size[0] - 12, middle[1]),
            (middle[0], y + 14),
            (middle[0], y + size[1] - 14),
        )
        for letter, place in zip(letters, places, strict=True):
            pen.text(place, letter, 17, INK, "mm")


def _on(volume: Volume, data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Data (D, H, W) with its affine, resampled to a volume's grid, linear."""
    change = np.linalg.inv(affine) @ volume.affine
    shape = volume.data.shape[1:]
    return np.asarray(ndimage.affine_transform(data.astype(np.float32), change[:3, :3], change[:3, 3], shape, order=1))


def _cut(array: np.ndarray, axis: int, at: float) -> np.ndarray:
    """A plane in radiological view: the patient's left on the right, superior and anterior up."""
    index = int(np.clip(round(at), 0, array.shape[axis] - 1))
    return np.asarray(np.take(array, index, axis)[::-1, ::-1], dtype=np.float32)


def _tile(planes: Sequence[np.ndarray], size: tuple[int, int]) -> Image.Image:
    """The image in grey, evidence glowing over it, the drawn lesion outlined."""
    width, height = size[0] * FINE, size[1] * FINE
    image, lesion, evidence = (
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in planes
    )
    grey = np.clip((image + 1) / 1.7, 0, 1) ** 0.9
    colour = np.array(PAPER) + grey[..., None] * (np.array(BRIGHTEST) - np.array(PAPER))
    glow = np.clip((evidence - 0.3) / 0.7, 0, 1)[..., None] * 0.34
    colour = colour * (1 - glow) + np.array(SUSPECTED) * glow
    inside = lesion > 0.5
    edge = ndimage.binary_dilation(inside, iterations=FINE) & ~ndimage.binary_erosion(inside, iterations=FINE)
    colour[edge] = TRUE
    return Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8))


def _crosshair(pen: _Pen, at: tuple[float, float], box: tuple[float, float, float, float]) -> None:
    (x, y), (left, top, right, bottom), gap, reach = at, box, 9, 26
    for a, b in ((max(left, x - reach), x - gap), (x + gap, min(right, x + reach))):
        pen.line((a, y, b, y), SUSPECTED, 2)
    for a, b in ((max(top, y - reach), y - gap), (y + gap, min(bottom, y + reach))):
        pen.line((x, a, x, b), SUSPECTED, 2)


def _draw_legend(pen: _Pen, reading: Reading) -> None:
    y = TILE_TOP + TILE_HEIGHT + 28
    pen.line((MARGIN, y, MARGIN + 24, y), TRUE, 3)
    pen.text((MARGIN + 34, y), "the lesion as it was drawn", 15, INK, "lm")
    x = MARGIN + TILE + GAP
    if reading.point is None:
        pen.text((x, y), "the model suspects no lesion", 15, INK, "lm")
    else:
        pen.box((x, y - 7, x + 24, y + 7), (128, 96, 44), 4)
        pen.line((x + 6, y, x + 18, y), SUSPECTED, 2)
        pen.line((x + 12, y - 6, x + 12, y + 6), SUSPECTED, 2)
        pen.text((x + 34, y), "where the model suspects one", 15, INK, "lm")
    x += TILE + GAP
    meanings: tuple[tuple[str, Verdict], ...] = (("agrees", "agrees"), ("differs", "differs"), ("left open", "open"))
    for word, verdict in meanings:
        pen.box((x, y - 6, x + 12, y + 6), COLOURS[verdict], 6)
        pen.text((x + 20, y), word, 15, INK, "lm")
        x += 112


def _draw_table(pen: _Pen, x: float, rows: list[Row]) -> None:
    bottom = HEIGHT - 32
    pen.box((x, PANEL_TOP, x + TILE, bottom), PANEL)
    columns = (x + 16, x + 128, x + 280)
    for title, at in zip(("Findings", "truth", "report"), columns, strict=True):
        pen.text((at, PANEL_TOP + 12), title, 16, FAINT)
    room = bottom - PANEL_TOP - 50
    for size in (15.0, 14.0, 13.0, 12.0, 11.0):
        cells = [[_wrap(text, _font(size), 138 * FINE) for text in (row.truth, row.found)] for row in rows]
        heights = [size * (1.2 * max(map(len, pair)) + 0.5) for pair in cells]
        if sum(heights) <= room:
            break
    y = PANEL_TOP + 42.0
    for row, pair, height in zip(rows, cells, heights, strict=True):
        pen.text((columns[0], y), row.name, size, FAINT)
        for lines, at, ink in zip(pair, columns[1:], (INK, COLOURS[row.verdict]), strict=True):
            for number, line in enumerate(lines):
                pen.text((at, y + 1.2 * size * number), line, size, ink)
        y += height
