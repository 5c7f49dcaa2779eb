"""`brain3d compare`: two runs' scores, paired case by case."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from brain3d.cli.common import (
    RAW,
    OutputFile,
    Subparsers,
    only_results_on_stdout,
    refuse_clashes,
    show_tables,
    write_together,
)

EPILOG = """examples:
  brain3d score a.jsonl --json A.json
  brain3d score b.jsonl --json B.json
  brain3d compare A.json B.json

Only cases with the same id and the same reference in both are compared."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("compare", help="compare two runs' scores", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("first", metavar="A.json", help="what `brain3d score --json` wrote")
    parser.add_argument("second", metavar="B.json", help="the same of the other run")
    parser.add_argument("--json", metavar="FILE", help="write the comparison there")
    parser.add_argument("--seed", type=int, default=0, help="of resamples and permutations (default: 0)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Compare and print the table."""
    files = [OutputFile(args.json, "--json", ".json")] if args.json else []
    refuse_clashes(files, [Path(args.first), Path(args.second)])
    with only_results_on_stdout():
        from brain3d.evaluation.comparing import compare_scores, read_scores
        from brain3d.evaluation.terminal import comparison_table

        found = compare_scores(read_scores(Path(args.first)), read_scores(Path(args.second)), seed=args.seed)
    content = json.dumps(found, indent=2, allow_nan=False).encode() + b"\n"
    write_together([(file, content) for file in files])
    show_tables(comparison_table(found))
