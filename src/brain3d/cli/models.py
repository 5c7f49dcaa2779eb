"""`brain3d models`: what can be loaded."""

from __future__ import annotations

import argparse
import json
from typing import Any

from brain3d.cli.common import RAW, Subparsers

EPILOG = """examples:
  brain3d models
  brain3d models --format json

Besides these names, --model takes the folder of any Brain3D model, and of a checkpoint of the published system."""


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
        print(f"{model['name']:<{width}}  {_state(model)}: {model['description']}")


def _state(model: dict[str, Any]) -> str:
    if not model["ready"]:
        return "not here"
    if model["version"] is None:
        return "in the local hub cache"
    return f"ready, version {model['version']}, {model['megabytes']} MB"
