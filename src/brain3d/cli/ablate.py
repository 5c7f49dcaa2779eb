"""`brain3d ablate`: the paper's ablation and ours, from one recipe into one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from brain3d.cli.common import RAW, Subparsers, only_results_on_stdout

EPILOG = """examples:
  brain3d ablate recipes/ablation.yaml
  brain3d ablate recipes/ablation.yaml output=runs/other seeds=[4,5,6]
  brain3d ablate recipes/ablation.yaml --only all-stages --only no-lora
  brain3d ablate recipes/ablation.yaml --list

Phantoms, the 2-D tower and the language model are made once, then every arm is trained and tested from every seed.
OUTPUT/table.md, table.json and ablation.png show what came of it; log.jsonl has a line for each finished run. Stopped,
the same command goes on: finished runs are kept, one cut short starts again. Another recipe in the same output is
refused, but arms and seeds may be added."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser(
        "ablate", help="train and test a recipe's arms, into one table", epilog=EPILOG, formatter_class=RAW
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a YAML file, such as recipes/ablation.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change a value of the recipe")
    parser.add_argument(
        "--only", metavar="ARM", action="append", default=[], help="run this arm alone; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="show the arms and how far they are, and train nothing")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run what is missing and print where the table lies; 1 where a loss is not finite."""
    from brain3d.training.ablation.run import ablate, describe_arms
    from brain3d.training.loop import NonFiniteLoss

    path = Path(args.recipe)
    if args.list:
        print(describe_arms(path, args.overrides), end="")
        return 0
    try:
        with only_results_on_stdout():
            folder = ablate(path, args.overrides, args.only)
    except NonFiniteLoss as error:
        print(f"brain3d: error: {error}", file=sys.stderr)
        return 1
    print(folder / "table.md")
    return 0
