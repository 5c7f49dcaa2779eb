"""`brain3d convert`: a checkpoint of the published system in this project's own format."""

from __future__ import annotations

import argparse
from typing import Any

from brain3d.cli.common import RAW, Subparsers, add_base_arguments, only_results_on_stdout

EPILOG = """examples:
  brain3d convert release model
  brain3d convert stage2b model --vision google/medsiglip-448 --language google/medgemma-1.5-4b-it

FOLDER holds projector_vis_scale.pt, vision_model/ and language_model/ (or these are given), and lora_adapters/
where there are any, which are merged. OUT is one model folder; what it computes stays the same."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser(
        "convert", help="rewrite a published checkpoint in this format", epilog=EPILOG, formatter_class=RAW
    )
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint of the published system")
    parser.add_argument("out", metavar="OUT", help="the model folder to make")
    add_base_arguments(parser)
    return parser


def run(args: argparse.Namespace) -> None:
    """Convert the checkpoint and print where the model lies."""
    from brain3d.reading.converting import convert

    with only_results_on_stdout():
        convert(args.folder, args.out, vision=args.vision, language=args.language)
    print(args.out)
