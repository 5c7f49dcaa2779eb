"""`brain3d report`: read one scan, or many."""

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
    add_base_arguments,
    add_brain_extraction,
    add_model_arguments,
    only_results_on_stdout,
    refuse_overwriting,
    write_together,
)

if TYPE_CHECKING:
    from brain3d.reading import Reader
    from brain3d.scans import Volume

EPILOG = """examples:
  brain3d report --sample
  brain3d report scan.nii.gz --preview look.png
  brain3d report scan.nii.gz --format json --output report.json
  brain3d report study/                      a DICOM study: its FLAIR series (or a .zip of one)
  brain3d report study.zip --series 3        another series of it, by its number or words of its description
  brain3d report old.nii --axes LPS          the header does not say which side is left, but you know
  brain3d report old.nii --without-side      nobody knows; no side is named, and regions may be wrong

many studies, each as JSON and as text in one folder, with a summary.csv:
  brain3d report scans --output reports      every NIfTI file and DICOM study in and below a folder
  brain3d report cohort/*/flair.nii.gz --output reports/
  brain3d report scans --output reports --shard 3/8

Many are meant by several SCANs, by an --output that is a folder or ends in a slash, and by a folder of
several scans. What is there already is not read again: an interrupted run continues."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("report", help="read scans, write reports", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument(
        "scan",
        nargs="*",
        metavar="SCAN",
        help="NIfTI files (.nii, .nii.gz), DICOM studies (a folder, .zip or multi-frame file), or folders with them",
    )
    parser.add_argument("--sample", action="store_true", help="read the synthetic scan that comes with the package")
    parser.add_argument(
        "--output", metavar="FILE|FOLDER", help="write the report there instead of on stdout; of many, the folder"
    )
    parser.add_argument("--format", choices=("text", "json"), help="default: text; of many, both are written")
    parser.add_argument("--preview", metavar="PNG", help="also draw three planes as the model sees them")
    add_model_arguments(parser)
    add_base_arguments(parser)
    parser.add_argument(
        "--nf4",
        action="store_const",
        const="nf4",
        dest="quantisation",
        help="keep the language model in 4 bits (NF4): for a CUDA GPU, with bitsandbytes (the extra nf4)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="for decoding that draws lots, as published models do; brain3d-mini does not",
    )
    parser.add_argument("--greedy", action="store_true", help="take the likeliest word each time, whatever the model")
    parser.add_argument(
        "--series",
        metavar="N|TEXT",
        help="which series of a DICOM study: its number, counted from 1, or words of its description "
        "(default: its FLAIR series)",
    )
    parser.add_argument("--axes", metavar="LPS", help="where each stored index grows, if the header does not say")
    parser.add_argument("--without-side", action="store_true", help="accept a header without a usable orientation")
    add_brain_extraction(parser)
    parser.add_argument("--no-mirror-check", action="store_true", help="do not read the mirror image too")
    parser.add_argument("--shard", metavar="I/N", help="of many, only every Nth, from the Ith on")
    parser.add_argument("--batch-size", type=int, metavar="N", help="of many, how many at once (default: 4)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Read one scan or many; the exit code."""
    if args.sample or not args.scan:
        _run_one(args, _sample(args))
        return 0
    from brain3d.cli.report_many import asks_for_many, run_many

    if asks_for_many(args.scan, args.output, args.series):
        return run_many(args)
    _run_one(args, args.scan[0])
    return 0


def _run_one(args: argparse.Namespace, source: str | Path) -> None:
    """Read the scan, and only then load the model: a bad input is told at once."""
    from brain3d.scans import InputError, check_method, find_scan, read_scan

    if args.shard is not None or args.batch_size is not None:
        raise InputError("--shard and --batch-size are for many studies; give several scans, or --output FOLDER")
    check_method(args.brain_extraction)
    output = None if args.output is None else OutputFile(args.output, "--output")
    preview = None if args.preview is None else OutputFile(args.preview, "--preview", ".png")
    refuse_overwriting([file for file in (output, preview) if file], find_scan(source, series=args.series))
    with only_results_on_stdout():
        scan = read_scan(source, axes=args.axes, without_side=args.without_side, series=args.series)
        if scan.series:
            print(f"brain3d: {scan.series.why}", file=sys.stderr)
        from brain3d.reading import load

        bases = {"vision": args.vision, "language": args.language}
        reader = load(args.model, device=args.device, quantisation=args.quantisation, **bases)
        ready = reader.prepared(scan, brain_extraction=args.brain_extraction)
        drawn = False if args.greedy else None
        report = reader.report(ready, mirror_check=not args.no_mirror_check, seed=args.seed, do_sample=drawn)
        picture = _picture(reader, ready.volume) if preview else b""
    text = report.to_json() + "\n" if args.format == "json" else report.to_text()
    files = [(output, text.encode()), (preview, picture)]
    write_together([(file, content) for file, content in files if file])
    if not output:
        sys.stdout.write(text)


def _sample(args: argparse.Namespace) -> Path:
    from brain3d.reading.models import sample_scan
    from brain3d.scans.types import InputError

    if args.scan or not args.sample:
        raise InputError("give one of SCAN and --sample")
    return sample_scan()


def _picture(reader: Reader, volume: Volume) -> bytes:
    from brain3d.scans.preview import render_planes

    point, _ = reader.evidence(volume)
    what = "no lesion suspected: through the middle" if point is None else "through the suspected lesion"
    buffer = io.BytesIO()
    render_planes(volume, point, f"As the model sees it, {what}").save(buffer, format="PNG")
    return buffer.getvalue()
