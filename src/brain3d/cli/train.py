"""`brain3d train`: run a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from brain3d.cli.common import RAW, Subparsers, only_results_on_stdout

EPILOG = """examples:
  brain3d train recipes/brain3d-mini.yaml
  brain3d train recipes/brain3d-mini.yaml output=runs/other seed=3
  brain3d train recipes/brain3d-mini.yaml --stage language
  brain3d train recipes/finetune.yaml data=COHORT model=brain3d-mini output=RUN
  brain3d train recipes/finetune.yaml data=COHORT model=brain3d-mini output=RUN --resume

An interrupted run continues where it stopped when the same command is given again, with --resume or without; a run
of another recipe in the same output is refused.

exit codes: 2 for what the recipe, the cohort, a scan or a full disk is at fault for, 1 for a loss that is not
finite and for our own faults."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("train", help="run a recipe's stages", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("recipe", metavar="RECIPE", help="a YAML file, such as recipes/brain3d-mini.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change a value of the recipe")
    parser.add_argument("--stage", metavar="NAME", help="run only this stage; on a cohort, up to it")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in output; also the default where there is one"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the recipe and print where the result lies; 1 where a loss is not finite."""
    from brain3d.training.loop import NonFiniteLoss
    from brain3d.training.run import run_recipe

    try:
        with only_results_on_stdout():
            folder = run_recipe(Path(args.recipe), args.overrides, args.stage)
    except NonFiniteLoss as error:
        print(f"brain3d: error: {error}", file=sys.stderr)
        return 1
    print(folder)
    return 0
