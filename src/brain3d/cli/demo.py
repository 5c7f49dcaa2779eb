"""`brain3d demo`: a synthetic patient is made, read, and shown beside its truth."""

from __future__ import annotations

import argparse
import io
import random
import sys
from typing import Any

from brain3d.cli.common import (
    RAW,
    OutputFile,
    Subparsers,
    add_model_arguments,
    only_results_on_stdout,
    write_together,
)

SPACING_MM = 2.0
EPILOG = """examples:
  brain3d demo
  brain3d demo --seed 12 --output patient.png
  brain3d demo --healthy"""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("demo", help="make, read and show a patient", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("--seed", type=int, default=7, help="which synthetic patient (default: 7)")
    parser.add_argument("--healthy", action="store_true", help="one without a lesion")
    parser.add_argument(
        "--output", metavar="PNG", default="brain3d-demo.png", help="the picture (default: brain3d-demo.png)"
    )
    add_model_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> None:
    """Make the patient, read it, draw the picture, print both texts."""
    output = OutputFile(args.output, "--output", ".png")
    with only_results_on_stdout():
        content, text = _demo(args.seed, args.healthy, args.model, args.device)
    write_together([(output, content)])
    sys.stdout.write(f"{text}\nPicture: {args.output}\n")


def _demo(seed: int, healthy: bool, model: str, device: str) -> tuple[bytes, str]:
    from brain3d.phantom.cohort import grid_at, phantom_scan, study_seed
    from brain3d.phantom.draw import draw_phantom
    from brain3d.phantom.narrative import narrate
    from brain3d.phantom.picture import Reading, compare_findings, draw_picture
    from brain3d.reading import load

    reader = load(model, device=device)
    phantom = draw_phantom(study_seed(seed, 0), grid=grid_at(SPACING_MM), healthy=healthy, skull=False)
    scan = phantom_scan(phantom)
    report = reader.report(scan)
    volume = reader.volume(scan)
    point, evidence = reader.evidence(volume)
    truth_text = narrate(phantom.truth, random.Random(seed))
    reading = Reading(report, volume, point, evidence)
    buffer = io.BytesIO()
    draw_picture(phantom, truth_text, reading, f"seed {seed}").save(buffer, format="PNG")
    rows = compare_findings(phantom.truth.findings(), report.findings)
    table = "".join(f"  {row.name:<12} {row.truth:<34} {row.found:<34} {row.verdict}\n" for row in rows)
    text = (
        f"The truth\n{truth_text}\n\nThe report\n{report.to_text()}\n  {'':<12} {'truth':<34} {'report':<34}\n{table}"
    )
    return buffer.getvalue(), text
