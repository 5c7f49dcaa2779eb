"""`brain3d phantom`: a synthetic cohort on disk."""

from __future__ import annotations

import argparse
from typing import Any

from brain3d.cli.common import RAW, Subparsers, only_results_on_stdout

EPILOG = """examples:
  brain3d phantom cohort --count 200 --seed 7
  brain3d phantom fine --count 10 --spacing 1

Each study has flair.nii.gz, lesion.nii.gz (1 necrosis, 2 edema, 4 core), report.txt and truth.json.
An interrupted run continues when the same command is given again."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("phantom", help="make a synthetic cohort", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("out", metavar="OUT", help="the folder to make")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="what they follow from (default: 0)")
    parser.add_argument("--spacing", type=float, default=2.0, metavar="MM", help="voxel edge (default: 2)")
    parser.add_argument("--healthy-share", type=float, metavar="P", help="share without a lesion (default: 0.4)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the cohort and print its manifest's path."""
    with only_results_on_stdout():
        from brain3d.phantom.cohort import write_cohort

        manifest = write_cohort(
            args.out,
            args.count,
            args.seed,
            args.spacing,
            workers=args.workers,
            healthy_share=args.healthy_share,
        )
    print(manifest)
