"""Long and odd texts are read to their end, and repetition changes nothing."""

from __future__ import annotations

import pytest

from brain3d.reports import Findings, parse_findings

PIECES = [
    *("brain, the brain, ", "ventricle is ", "the left and right, and the mild edema with no ", "no lesion and "),
    *("a", "left-", "frontofronto", "1) ", "\u2022 ", "\n", "\n   ", "\t", "(((", ", ", "lesion in the left, the "),
    *("with normal, ", "may be a lesion, possible ", "focus of the right edemas representing ", "is ", "not "),
]
REPORT = "A lesion is seen in the left frontal lobe, with high signal. There is mild edema. No necrosis is seen. "


@pytest.mark.parametrize("piece", PIECES)
def test_pieces_without_end_are_read(piece: str) -> None:
    assert isinstance(parse_findings((piece * (20_000 // len(piece)))[:20_000]), Findings)


def test_a_report_said_a_thousand_times_is_the_report() -> None:
    assert len(REPORT * 1000) > 100_000
    assert parse_findings(REPORT * 1000) == parse_findings(REPORT)
