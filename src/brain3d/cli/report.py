"""`brain3d report`: read one scan."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain3d.cli.common import (
    RAW,
    OutputFile,
    Subparsers,
    add_model_arguments,
    only_results_on_stdout,
    refuse_clashes,
    write_together,
)

if TYPE_CHECKING:
    from brain3d.reading import Reader
    from brain3d.scans import Scan

EPILOG = """examples:
  brain3d report --sample
  brain3d report scan.nii.gz --preview look.png
  brain3d report scan.nii.gz --format json --output report.json
  brain3d report study/                      a DICOM study: its FLAIR series (or a .zip of one)
  brain3d report study.zip --series 3        another series of it, by its number or words of its description
  brain3d report old.nii --axes LPS          the header does not say which side is left, but you know
  brain3d report old.nii --without-side      nobody knows; no side is named, and regions may be wrong"""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("report", help="read a scan, write its report", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument(
        "scan",
        nargs="?",
        metavar="SCAN",
        help="a NIfTI file (.nii, .nii.gz), or a DICOM study (a folder, a .zip or a multi-frame file)",
    )
    parser.add_argument("--sample", action="store_true", help="read the synthetic scan that comes with the package")
    parser.add_argument("--output", metavar="FILE", help="write the report there instead of on stdout")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--preview", metavar="PNG", help="also draw three planes as the model sees them")
    add_model_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="for decoding that draws lots; the default does not")
    parser.add_argument(
        "--series",
        metavar="N|TEXT",
        help="which series of a DICOM study: its number, counted from 1, or words of its description "
        "(default: its FLAIR series)",
    )
    parser.add_argument("--axes", metavar="LPS", help="where each stored index grows, if the header does not say")
    parser.add_argument("--without-side", action="store_true", help="accept a header without a usable orientation")
    parser.add_argument("--no-mirror-check", action="store_true", help="do not read the mirror image too")
    return parser


def run(args: argparse.Namespace) -> None:
    """Read the scan, and only then load the model: a bad input is told at once."""
    from brain3d.scans import find_scan, read_scan

    source = _source(args)
    output = None if args.output is None else OutputFile(args.output, "--output")
    preview = None if args.preview is None else OutputFile(args.preview, "--preview", ".png")
    _refuse_clashes([file for file in (output, preview) if file], find_scan(source, series=args.series))
    with only_results_on_stdout():
        scan = read_scan(source, axes=args.axes, without_side=args.without_side, series=args.series)
        if scan.series:
            print(f"brain3d: {scan.series.why}", file=sys.stderr)
        from brain3d.reading import load

        reader = load(args.model, device=args.device)
        report = reader.report(scan, mirror_check=not args.no_mirror_check, seed=args.seed)
        picture = _picture(reader, scan) if preview else b""
    text = report.to_json() + "\n" if args.format == "json" else report.to_text()
    files = [(output, text.encode()), (preview, picture)]
    write_together([(file, content) for file, content in files if file])
    if not output:
        sys.stdout.write(text)


def _refuse_clashes(outputs: list[OutputFile], scan: Path) -> None:
    """InputError where one output would be written twice, or over the scan, be it one file of a study's many."""
    from brain3d.scans import is_part

    refuse_clashes(outputs, [file.path for file in outputs if is_part(file.path, scan)])


def _source(args: argparse.Namespace) -> str | Path:
    from brain3d.reading.models import sample_scan
    from brain3d.scans.types import InputError

    if (args.scan is not None) == args.sample:
        raise InputError("give one of SCAN and --sample")
    scan: str | None = args.scan
    return sample_scan() if scan is None else scan


def _picture(reader: Reader, scan: Scan) -> bytes:
    from brain3d.scans.preview import render_planes

    volume = reader.volume(scan)
    point, _ = reader.evidence(volume)
    what = "no lesion suspected: through the middle" if point is None else "through the suspected lesion"
    buffer = io.BytesIO()
    render_planes(volume, point, f"As the model sees it, {what}").save(buffer, format="PNG")
    return buffer.getvalue()
