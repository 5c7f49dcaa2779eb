"""The three planes through a point of a volume, as a radiologist is used to seeing them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brain3d.scans.types import Volume

PLANE_PX = 320
MARGIN_PX = 28
TITLE_PX = 30
SCALE_MM = 50
TEXT = (235, 235, 235)
CROSSHAIR = (255, 200, 0)

_PLANES = (
    # name, axis cut, (letters left, right, top, bottom)
    ("axial", 0, ("R", "L", "A", "P")),
    ("coronal", 1, ("R", "L", "S", "I")),
    ("sagittal", 2, ("A", "P", "S", "I")),
)


def render_planes(volume: Volume, point: Sequence[float] | None = None, title: str = "") -> Image.Image:
    """Axial, coronal and sagittal planes through `point` (d, h, w; the grid's middle if None), side by side.

    Radiological convention: the patient's left is on the picture's right, anterior and superior are up, and
    in the sagittal plane anterior is on the left. Where the scan's side is unknown, no letters are drawn. Needs
    a volume of (1, D, H, W) in [-1, 1], or in the range that one of its steps scaled it to; values outside are clipped.
    ValueError for a point outside it.
    """
    shape = volume.data.shape[1:]
    if point is None:
        point = [(n - 1) / 2 for n in shape]
    if len(point) != 3 or not all(-0.5 <= p <= n - 0.5 for p, n in zip(point, shape, strict=True)):
        raise ValueError(f"point {tuple(point)} lies outside a volume of {shape}")
    px_per_mm = PLANE_PX / float((np.array(shape) * _spacing(volume)).max())
    tiles = [_tile(volume, name, axis, letters, point, px_per_mm) for name, axis, letters in _PLANES]
    width = sum(tile.width for tile in tiles)
    height = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (width, height + TITLE_PX))
    x = 0
    for tile in tiles:
        sheet.paste(tile, (x, TITLE_PX))
        x += tile.width
    draw = ImageDraw.Draw(sheet)
    _text(draw, (MARGIN_PX, TITLE_PX // 2 + 2), title or "As the model sees it", 16, "lm")
    _scale_bar(draw, width - MARGIN_PX, TITLE_PX // 2 + 2, px_per_mm)
    return sheet


def _spacing(volume: Volume) -> np.ndarray:
    """The voxel's edges (3,) in mm. They differ where a model reads another grid than this package's own."""
    return np.asarray(np.linalg.norm(volume.affine[:3, :3], axis=0))


def _slice(volume: Volume, axis: int, at: float) -> np.ndarray:
    """The plane nearest to an index, 2-D uint8, rows from the top of the picture, columns from its left."""
    index = int(np.clip(round(at), 0, volume.data.shape[axis + 1] - 1))
    plane = np.take(volume.data[0], index, axis=axis)[::-1, ::-1]
    low, high = next((step["range"] for step in volume.steps if step.get("name") == "scale"), (-1.0, 1.0))
    return np.asarray(np.clip((plane - low) * (255.0 / (high - low)), 0, 255), dtype=np.uint8)


def _tile(
    volume: Volume, name: str, axis: int, letters: Sequence[str], point: Sequence[float], px_per_mm: float
) -> Image.Image:
    plane = _slice(volume, axis, point[axis])
    tall_px, wide_px = px_per_mm * np.delete(_spacing(volume), axis)
    width, height = round(plane.shape[1] * wide_px), round(plane.shape[0] * tall_px)
    tile = Image.new("RGB", (width + 2 * MARGIN_PX, height + 2 * MARGIN_PX))
    picture = Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
    tile.paste(picture.convert("RGB"), (MARGIN_PX, MARGIN_PX))
    draw = ImageDraw.Draw(tile)
    down, across = (at for k, at in enumerate(point) if k != axis)
    x = MARGIN_PX + width - (across + 0.5) * wide_px
    y = MARGIN_PX + height - (down + 0.5) * tall_px
    _crosshair(draw, x, y, (MARGIN_PX, MARGIN_PX, MARGIN_PX + width - 1, MARGIN_PX + height - 1))
    # Where the header does not say which side is left, front and back, top and bottom are assumed as well.
    for letter, at in zip(letters if volume.side_known else (), _letter_places(tile), strict=False):
        _text(draw, at, letter, 18, "mm")
    _text(draw, (MARGIN_PX, tile.height - MARGIN_PX // 2), name, 13, "lm")
    return tile


def _letter_places(tile: Image.Image) -> tuple[tuple[int, int], ...]:
    """Left, right, top, bottom."""
    x, y, half = tile.width // 2, tile.height // 2, MARGIN_PX // 2
    return (half, y), (tile.width - half, y), (x, half), (x, tile.height - half)


def _crosshair(draw: ImageDraw.ImageDraw, x: float, y: float, box: tuple[int, int, int, int]) -> None:
    """Two lines with a gap at the point, so that what is looked at stays visible."""
    gap = 12
    left, top, right, bottom = box
    for start, end in (((left, y), (x - gap, y)), ((x + gap, y), (right, y))):
        if start[0] < end[0]:
            draw.line((*start, *end), fill=CROSSHAIR)
    for start, end in (((x, top), (x, y - gap)), ((x, y + gap), (x, bottom))):
        if start[1] < end[1]:
            draw.line((*start, *end), fill=CROSSHAIR)


def _scale_bar(draw: ImageDraw.ImageDraw, right: int, y: int, px_per_mm: float) -> None:
    left = right - SCALE_MM * px_per_mm
    draw.line((left, y, right, y), fill=TEXT, width=2)
    for x in (left, right):
        draw.line((x, y - 4, x, y + 4), fill=TEXT, width=2)
    _text(draw, (round(left) - 8, y), f"{SCALE_MM} mm", 13, "rm")


def _text(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, anchor: str) -> None:
    draw.text(at, text, fill=TEXT, font=ImageFont.load_default(size), anchor=anchor)
