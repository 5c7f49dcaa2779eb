"""The report, its JSON and its schema."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from brain3d.reports import (
    DEGREES,
    DISCLAIMER,
    REGIONS,
    SIDES,
    SIGNALS,
    Findings,
    Lesion,
    Report,
    canonical_regions,
    mirror_findings,
    overall_side,
    parse_findings,
    report_schema,
)
from brain3d.scans.types import Flag

TEXT = "A lesion is seen in the left frontal lobe. There is mild edema."


def make_report(text: str = TEXT) -> Report:
    return Report(
        text=text,
        findings=parse_findings(text),
        flags=(Flag("mirror-disagrees", "The scan and its mirror image gave different sides."),),
        scan={"sha256": "ab" * 32, "shape": [240, 240, 155], "spacing_mm": [1.0, 1.0, 1.0], "axes": "LPS"},
        preprocessing=[{"step": "normalise", "low": 0.5}],
        model={"name": "brain3d-mini", "version": "0.1.0", "hash": "cd" * 32},
        generation={"seed": 0, "max_new_tokens": 128},
    )


@pytest.mark.parametrize("text", [TEXT, "", "No lesion is seen."])
def test_the_json_follows_the_schema(text: str) -> None:
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    values = json.loads(make_report(text).to_json())
    jsonschema.Draft202012Validator(schema).validate(values)
    assert set(values) == set(schema["required"]) == set(schema["properties"])


def test_the_text_says_what_was_hashed() -> None:
    report = make_report()
    assert "file sha256 abababababab." in " ".join(report.to_text().split())
    series = {"chosen": 1, "why": "Series 1 of 1 was read.", "listed": []}
    words = " ".join(replace(report, scan={**report.scan, "series": series}).to_text().split())
    assert "sha256 of the series' voxels and geometry abababababab." in words
    assert "file sha256" not in words


def test_the_json_says_what_the_report_says() -> None:
    values = json.loads(make_report().to_json())
    assert values["report"] == TEXT
    assert values["schema_version"] == "1.0"
    assert values["disclaimer"] == DISCLAIMER
    assert values["flags"] == [
        {"code": "mirror-disagrees", "message": "The scan and its mirror image gave different sides."}
    ]
    assert values["findings"] == {
        "normal": False,
        "lesions": [
            {
                "side": "left",
                "regions": ["frontal"],
                "signal": "unknown",
                "edema": "mild",
                "necrosis": "unknown",
                "ventricular_compression": "unknown",
            }
        ],
    }


def _spoil(values: dict[str, Any], kind: str) -> None:
    lesion = values["findings"]["lesions"][0]
    if kind == "extra":
        values["file"] = "/home/somebody/scan.nii"
    elif kind == "extra finding":
        values["findings"]["confidence"] = 1
    elif kind == "side":
        lesion["side"] = "Left"
    elif kind == "missing":
        del values["disclaimer"]
    elif kind == "normal with a lesion":
        values["findings"]["normal"] = True
    elif kind == "hash":
        values["scan"]["sha256"] = "ab"
    elif kind == "region":
        lesion["regions"] = ["liver"]


@pytest.mark.parametrize(
    "kind", ["extra", "extra finding", "side", "missing", "normal with a lesion", "hash", "region"]
)
def test_the_schema_refuses(kind: str) -> None:
    values = copy.deepcopy(make_report().to_dict())
    _spoil(values, kind)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(report_schema()).validate(values)


def test_the_schemas_lists_are_the_codes_lists() -> None:
    definitions = report_schema()["$defs"]
    lesion = definitions["lesion"]["properties"]
    assert tuple(lesion["side"]["enum"]) == SIDES
    assert tuple(lesion["regions"]["items"]["enum"]) == REGIONS
    assert tuple(lesion["signal"]["enum"]) == SIGNALS
    assert tuple(definitions["degree"]["enum"]) == DEGREES


def test_a_number_that_json_does_not_know_is_refused() -> None:
    report = make_report()
    report.generation["temperature"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.to_json()


def test_the_text_shows_report_flags_and_draft_notice_in_this_order() -> None:
    text = make_report().to_text()
    flat = " ".join(text.split())
    parts = [TEXT, "The scan and its mirror image gave different sides.", "not a diagnosis", "medical device"]
    parts += ["brain3d-mini 0.1.0", "cd" * 6, "ab" * 6]
    positions = [flat.index(part) for part in parts]
    assert positions == sorted(positions)
    assert max(len(line) for line in text.splitlines()) <= 100


def test_lesions_outside_the_closed_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="closed lists"):
        Lesion(side="Left")
    with pytest.raises(ValueError, match="closed lists"):
        Lesion(edema="huge")
    with pytest.raises(ValueError, match="not a region"):
        Lesion(regions=("liver",))
    with pytest.raises(ValueError, match="order"):
        Lesion(regions=("parietal", "frontal"))
    with pytest.raises(ValueError, match="normal"):
        Findings(normal=True, lesions=(Lesion(),))


def test_canonical_regions() -> None:
    assert canonical_regions(["insula", "frontal", "insula"]) == ("frontal", "insula")


@pytest.mark.parametrize(("side", "other"), [("left", "right"), ("midline", "midline"), ("bilateral", "bilateral")])
def test_mirrored_findings(side: str, other: str) -> None:
    findings = Findings(False, (Lesion(side, ("frontal",), "high", "mild"),))
    assert mirror_findings(findings) == Findings(False, (Lesion(other, ("frontal",), "high", "mild"),))
    assert mirror_findings(mirror_findings(findings)) == findings


def test_reports_are_read_without_torch() -> None:
    code = "import sys, brain3d.reports; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ("", "unknown"),
        ("unknown", "unknown"),
        ("left", "left"),
        ("left unknown", "left"),
        ("left left", "left"),
        ("right midline", "right"),
        ("midline", "midline"),
        ("midline unknown", "midline"),
        ("bilateral", "bilateral"),
        ("bilateral left", "bilateral"),
        ("bilateral midline", "bilateral"),
        ("left right", "bilateral"),
        ("left midline right unknown", "bilateral"),
    ],
)
def test_one_side_for_all_lesions(sides: str, expected: str) -> None:
    findings = Findings(False, tuple(Lesion(side=side) for side in sides.split()))
    assert overall_side(findings) == expected
    mirrored = {"left": "right", "right": "left"}.get(expected, expected)
    assert overall_side(mirror_findings(findings)) == mirrored


@pytest.mark.parametrize("name", ["scan", "preprocessing", "model", "generation", "report"])
def test_what_is_no_report_is_not_taken_for_one(name: str) -> None:
    values = json.loads(make_report().to_json())
    assert Report.from_dict(values) == make_report()
    values[name] = None
    with pytest.raises(ValueError, match="not a report"):
        Report.from_dict(values)
