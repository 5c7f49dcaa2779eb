"""The figure of an ablation: a point with its interval for each arm, the main metrics side by side."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageDraw, ImageFont

from brain3d.training.ablation.arms import NAMES
from brain3d.training.ablation.table import SHORT, title_of, verdict

NAME_PX, PANEL_PX, GAP_PX, ROW_PX, TOP_PX, BOTTOM_PX = 400, 380, 36, 50, 110, 130
INK, PALE, BLUE, RED, GREEN, ORANGE = "#18181b", "#d4d4d8", "#1d4ed8", "#b91c1c", "#15803d", "#b45309"
COLOURS = {"better": GREEN, "worse": RED, "not shown": INK}


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def draw(result: dict[str, Any]) -> Image.Image:
    """One panel for each main metric, from 0 to 1: mean over seeds, interval over phantoms, seeds as small dots.

    The centre is blue, and a blue line goes down from it; an arm shown to be better or worse is green or red. The
    constant report is a dashed line, shuffled reports a dotted one.
    """
    there = {run["arm"] for run in result["runs"]}
    arms = [name for name in NAMES if name in there]
    names = [name for name in result["metrics"] if name in result["main"]]
    width = NAME_PX + len(names) * (PANEL_PX + GAP_PX)
    image = Image.new("RGB", (width, TOP_PX + len(arms) * ROW_PX + BOTTOM_PX), "white")
    pen = ImageDraw.Draw(image)
    for row, arm in enumerate(arms):
        y = TOP_PX + (row + 0.5) * ROW_PX
        colour = BLUE if arm == result["centre"] else INK
        pen.text((NAME_PX - 24, y), title_of(arm, result["centre"]), colour, _font(22), "rm")
    for number, name in enumerate(names):
        _panel(pen, NAME_PX + number * (PANEL_PX + GAP_PX), result, name, arms)
    _key(pen, image.height - 40, result)
    return image


def _panel(pen: ImageDraw.ImageDraw, left: float, result: dict[str, Any], name: str, arms: list[str]) -> None:
    metric = result["metrics"][name]
    bottom = TOP_PX + len(arms) * ROW_PX

    def x(value: float) -> float:
        return left + value * PANEL_PX

    pen.text((x(0.5), 40), SHORT[name], INK, _font(24), "mm")
    pen.text((x(0.5), 72), f"n {metric['n']}", INK, _font(18), "mm")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        pen.line([(x(tick), TOP_PX), (x(tick), bottom)], PALE, 1)
        pen.text((x(tick), bottom + 18), f"{tick:g}", INK, _font(16), "mm")
    for kind, dash in (("constant", 9), ("shuffled", 3)):
        value = metric["trivial"][kind]["value"]
        if value is not None:
            _broken(pen, x(value), TOP_PX, bottom, dash)
    centre = metric["arms"].get(result["centre"])
    if centre is not None and centre["value"] is not None:
        pen.line([(x(centre["value"]), TOP_PX), (x(centre["value"]), bottom)], "#93c5fd", 2)
    for row, arm in enumerate(arms):
        _point(pen, x, TOP_PX + (row + 0.5) * ROW_PX, metric["arms"][arm], arm == result["centre"], metric)


def _broken(pen: ImageDraw.ImageDraw, x: float, top: float, bottom: float, dash: int) -> None:
    for y in range(int(top), int(bottom), 2 * dash):
        pen.line([(x, y), (x, min(y + dash, bottom))], ORANGE, 3)


def _point(
    pen: ImageDraw.ImageDraw, x: Any, y: float, item: dict[str, Any], is_centre: bool, metric: dict[str, Any]
) -> None:
    if item["value"] is None:
        return
    colour = BLUE if is_centre else INK
    if "difference" in item and item["difference"]["value"] is not None:
        colour = COLOURS[verdict(item["difference"], metric["higher_is_better"])]
    if item["ci95"] is not None:
        low, high = item["ci95"]
        pen.line([(x(low), y), (x(high), y)], colour, 4)
    pen.ellipse([x(item["value"]) - 8, y - 8, x(item["value"]) + 8, y + 8], colour)
    for value in item["seeds"]:
        if value is not None:
            pen.ellipse([x(value) - 3, y + 11, x(value) + 3, y + 17], colour)


def _key(pen: ImageDraw.ImageDraw, y: float, result: dict[str, Any]) -> None:
    said = (
        f"{result['cases']} test phantoms. Point: mean over seeds; bar: 95 % interval over phantoms; dots: seeds. "
        "Green, red: better, worse than the centre (blue)"
    )
    pen.text((24, y - 30), said, INK, _font(18), "lm")
    rest = (
        "(p < 0.05 after Holm's correction, and all seeds agree). Orange: the best constant report (dashed), the "
        "centre's reports given to other patients (dotted)."
    )
    pen.text((24, y), rest, INK, _font(18), "lm")
