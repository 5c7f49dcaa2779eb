"""`brain3d score`: reports against references, beside what needs no model."""

from __future__ import annotations

import argparse
import shutil
import sys
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
  brain3d score pairs.jsonl
  brain3d score pairs.jsonl --train train.jsonl --json scores.json --html scores.html
  brain3d score pairs.jsonl --self-test

Each line: {"id", "reference", "candidate"}, and where there are such "healthy" (true or false), "image" and "mask"
(files, relative to the pairs), "mirrored" (the candidate for the mirrored scan), "nearest" (the report of the most
similar training scan), "paraphrase" (the reference in other words, for --self-test). It needs no model and no image."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser(
        "score", help="score reports against reference reports", epilog=EPILOG, formatter_class=RAW
    )
    parser.add_argument("pairs", metavar="PAIRS", help="JSON Lines of reference and candidate")
    parser.add_argument("--train", metavar="TRAIN", help="JSON Lines of training references, for the constant report")
    parser.add_argument("--json", metavar="FILE", help="write the scores there")
    parser.add_argument("--html", metavar="FILE", help="write a page there, one file without links")
    parser.add_argument("--seed", type=int, default=0, help="of resamples, shuffles and samples (default: 0)")
    parser.add_argument(
        "--extra", action="append", default=[], metavar="NAME", help="also bertscore, radgraph or green, if installed"
    )
    parser.add_argument(
        "--self-test", action="store_true", help="how far each metric moves when the references are changed"
    )
    return parser


def _width() -> int:
    return max(shutil.get_terminal_size((150, 40)).columns, 130) if sys.stdout.isatty() else 150


def run(args: argparse.Namespace) -> None:
    """Score and print the tables."""
    files = [
        OutputFile(path, option, suffix)
        for path, option, suffix in ((args.json, "--json", ".json"), (args.html, "--html", ".html"))
        if path
    ]
    inputs = [Path(path) for path in (args.pairs, args.train) if path]
    refuse_clashes(files, inputs)
    with only_results_on_stdout():
        tables, contents = _self_test(args) if args.self_test else _score(args)
    write_together(list(zip(files, contents, strict=True)))
    show_tables(tables, _width())


def _score(args: argparse.Namespace) -> tuple[list[Any], list[bytes]]:
    from brain3d.evaluation.scoring import read_and_score, scores_json
    from brain3d.evaluation.terminal import score_tables

    train = Path(args.train) if args.train else None
    pairs, scores = read_and_score(Path(args.pairs), train, extra=args.extra, seed=args.seed)
    contents = [scores_json(scores.content)] if args.json else []
    if args.html:
        from brain3d.evaluation.page import score_page

        contents.append(score_page(pairs, scores).encode("utf-8", "replace"))
    return score_tables(scores.content), contents


def _self_test(args: argparse.Namespace) -> tuple[list[Any], list[bytes]]:
    import json

    from brain3d.evaluation.pairs import read_pairs
    from brain3d.evaluation.self_test import self_test, self_test_table
    from brain3d.scans.types import InputError

    if args.html or args.train or args.extra:
        raise InputError("--self-test: takes no --html, --train or --extra; leave them out")
    result = self_test(read_pairs(Path(args.pairs))[0], seed=args.seed)
    content = [json.dumps(result, indent=2, allow_nan=False).encode() + b"\n"] if args.json else []
    return self_test_table(result), content
