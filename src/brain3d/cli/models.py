"""`brain3d models`: what can be loaded."""

from __future__ import annotations

import argparse
import json
from typing import Any

from brain3d.cli.common import RAW, Subparsers

EPILOG = """examples:
  brain3d models
  brain3d models --format json

Besides these names, --model takes the folder of any Brain3D model."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser("models", help="what can be loaded", epilog=EPILOG, formatter_class=RAW)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the models."""
    from brain3d.reading.models import available_models

    found = available_models()
    if args.format == "json":
        print(json.dumps(found, indent=2))
        return
    width = max(len(model["name"]) for model in found)
    for model in found:
        state = f"ready, version {model['version']}, {model['megabytes']} MB" if model["ready"] else "not here"
        print(f"{model['name']:<{width}}  {state}: {model['description']}")
