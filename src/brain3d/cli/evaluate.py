"""`brain3d evaluate`: generated reports, scores, tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from brain3d.cli.common import RAW, Subparsers, add_model_arguments, only_results_on_stdout

EPILOG = """examples:
  brain3d phantom cohort --count 100 --seed 7
  brain3d evaluate --manifest cohort/manifest.jsonl
  brain3d evaluate --manifest cohort/manifest.jsonl --model runs/mini/model --output scores
  brain3d evaluate --manifest cohort/manifest.jsonl --model runs/other/model --cache volumes

With --output an interrupted evaluation continues where it stopped."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("evaluate", help="score a model on a cohort", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("--manifest", required=True, metavar="M", help="the cohort's manifest, JSON Lines")
    add_model_arguments(parser)
    parser.add_argument("--output", metavar="FOLDER", help="keep predictions, scores and the table there")
    parser.add_argument(
        "--cache", metavar="FOLDER", help="keep prepared volumes there; other models read the same scans faster"
    )
    parser.add_argument("--split", metavar="NAME", help="only the studies of this split")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N studies")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="scans at once (default: 8)")
    parser.add_argument("--no-mirror-check", action="store_true", help="as for `brain3d report`")
    parser.add_argument(
        "--neighbours", metavar="M", help="manifest of training studies, for the nearest-report baseline"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Evaluate and print the table."""
    from brain3d.scans.types import InputError

    if args.batch_size < 1 or (args.limit is not None and args.limit < 1):
        raise InputError("--batch-size and --limit: give at least 1")
    with only_results_on_stdout():
        from brain3d.evaluation.run import evaluate

        result = evaluate(
            Path(args.manifest),
            args.model,
            Path(args.output) if args.output else None,
            device=args.device,
            limit=args.limit,
            batch_size=args.batch_size,
            mirror_check=not args.no_mirror_check,
            neighbours=Path(args.neighbours) if args.neighbours else None,
            cache=Path(args.cache) if args.cache else None,
            split=args.split,
        )
    print(result["table"], end="")
    failed = result["failed"]
    if len(failed) == result["cases"]:
        raise InputError(
            f"{args.manifest}: every case failed (the first, {failed[0]['id']}: {failed[0]['reason']}); "
            "mend the scans, nothing was scored"
        )
