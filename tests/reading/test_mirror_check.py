"""The mirror check, with engines whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tiny_model import head

from brain3d.reading import Decoding, Reader, Written
from brain3d.reading.mirror_check import compare
from brain3d.reading.models import Identity
from brain3d.reports import SIDE_WITHHELD, Findings, parse_findings
from brain3d.scans import Scan, VolumeSpec

HEALTHY = "No focal lesion is seen."


def lesion(side: str, region: str = "frontal") -> str:
    return f"There is a lesion in the {side} {region} lobe with high signal. Mild edema surrounds the lesion."


def sees_left(volume: np.ndarray) -> bool:
    bright = np.argwhere(volume[0] > 0.9)
    return bool(bright[:, 2].mean() < (volume.shape[-1] - 1) / 2)


class StandIn:
    """An engine that answers by a rule and counts what it was shown."""

    identity = Identity("stand-in", "0", "0" * 64)
    spec = VolumeSpec()

    def __init__(self, rule: Callable[[bool], str]) -> None:
        self.rule, self.shown = rule, 0

    def settings(self) -> dict[str, Any]:
        return {"prompt": "?", "device": "cpu", "dtype": "float32"}

    def write(self, volumes: Sequence[np.ndarray], decoding: Decoding) -> list[Written]:
        self.shown += len(volumes)
        return [Written(self.rule(sees_left(volume))) for volume in volumes]

    def visual_tokens(self, volumes: Sequence[np.ndarray]) -> np.ndarray:
        return np.zeros((len(volumes), 1, 1), np.float32)

    def evidence(self, volume: np.ndarray) -> np.ndarray | None:
        return None


def scan_of(spot_x: float, side_known: bool = True) -> Scan:
    data, affine = head(spot_x)
    return Scan(data, affine, "RAS", (4.0, 4.0, 4.0), "0" * 64, side_known)


def seeing(left: bool) -> str:
    return lesion("left" if left else "right")


def read(rule: Callable[[bool], str], spot_x: float = -35.0, **options: Any) -> Any:
    return Reader(StandIn(rule)).report(scan_of(spot_x), **options)


@pytest.mark.parametrize(("spot_x", "side"), [(-35.0, "left"), (35.0, "right")])
def test_a_reader_that_sees_keeps_its_side(spot_x: float, side: str) -> None:
    report = read(seeing, spot_x)
    assert [x.side for x in report.findings.lesions] == [side]
    assert report.text == lesion(side)
    assert report.flags == ()
    assert report.generation["mirror_check"] == {"done": True, "result": "agrees"}


def test_a_reader_that_always_says_left_says_nothing() -> None:
    report = read(lambda left: lesion("left"))
    assert [flag.code for flag in report.flags] == ["side_unstable"]
    assert [x.side for x in report.findings.lesions] == ["unknown"]
    assert report.findings.lesions[0].regions == ("frontal",)
    assert report.text.startswith(SIDE_WITHHELD)
    assert "left" not in report.text
    assert report.generation["mirror_check"]["result"] == "side_differs"


def test_a_lesion_in_only_one_of_the_two_is_flagged() -> None:
    report = read(lambda left: lesion("left") if left else HEALTHY)
    assert [flag.code for flag in report.flags] == ["findings_unstable"]
    assert [(x.side, x.regions) for x in report.findings.lesions] == [("unknown", ("frontal",))]
    assert report.text.startswith(SIDE_WITHHELD)
    assert "left" not in report.text
    assert report.generation["mirror_check"]["result"] == "findings_differ"
    report = read(lambda left: lesion("left") if left else HEALTHY, 35.0)
    assert [flag.code for flag in report.flags] == ["findings_unstable"]
    assert report.findings.normal
    assert report.text == HEALTHY


def test_the_check_can_be_turned_off() -> None:
    engine = StandIn(lambda left: lesion("left"))
    report = Reader(engine).report(scan_of(-35.0), mirror_check=False)
    assert engine.shown == 1
    assert (report.flags, report.text) == ((), lesion("left"))
    assert report.generation["mirror_check"] == {"done": False}


def test_an_unknown_side_is_withheld_without_a_second_reading() -> None:
    engine = StandIn(seeing)
    report = Reader(engine).report(scan_of(-35.0, side_known=False))
    assert engine.shown == 1
    assert [x.side for x in report.findings.lesions] == ["unknown"]
    assert "side_not_in_header" in [flag.code for flag in report.flags]


def test_each_scan_of_a_batch_meets_its_own_mirror_image() -> None:
    scans = [scan_of(-35.0), scan_of(-35.0, side_known=False), scan_of(35.0)]
    reports = Reader(StandIn(seeing)).reports(scans, batch_size=3)
    assert [report.findings.lesions[0].side for report in reports] == ["left", "unknown", "right"]
    assert [len(report.flags) for report in reports] == [0, 1, 0]


def test_a_text_without_findings_is_flagged() -> None:
    report = read(lambda left: "Brain.")
    assert [flag.code for flag in report.flags] == ["findings_unclear"]


@pytest.mark.parametrize(
    ("own", "mirrored", "expected"),
    [
        (HEALTHY, HEALTHY, "agrees"),
        (HEALTHY, lesion("left"), "findings_differ"),
        (HEALTHY, "Brain.", "findings_differ"),
        (lesion("left"), lesion("right"), "agrees"),
        (lesion("left"), lesion("right", "temporal"), "agrees"),
        (lesion("left"), lesion("left"), "side_differs"),
        (lesion("left"), "There is a lesion in the frontal lobe.", "side_differs"),
        (
            f"{lesion('left')} {lesion('right', 'occipital')}",
            f"{lesion('left', 'occipital')} {lesion('right')}",
            "agrees",
        ),
        (
            f"{lesion('left')} {lesion('right', 'occipital')}",
            f"{lesion('left')} {lesion('right', 'occipital')}",
            "side_differs",
        ),
    ],
)
def test_compare(own: str, mirrored: str, expected: str) -> None:
    first, second = parse_findings(own), parse_findings(mirrored)
    assert isinstance(first, Findings)
    assert compare(first, second) == expected
