"""`brain3d`: parses the arguments, runs the command, turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from brain3d import __version__
from brain3d.cli import (
    ablate,
    compare,
    convert,
    demo,
    evaluate,
    findings,
    inspect,
    models,
    phantom,
    prepare,
    report,
    score,
    train,
)
from brain3d.cli.common import RAW, check_seed

DONE, OUR_FAULT, CALLERS_FAULT, INTERRUPTED = 0, 1, 2, 130
COMMANDS = (report, inspect, demo, findings, phantom, prepare, train, ablate, evaluate, score, compare, models, convert)
DEBUG_HELP = "on an error, show where it arose"
EPILOG = """examples:
  brain3d report --sample                  read the scan that comes with the package
  brain3d report scan.nii.gz               read a FLAIR scan, NIfTI
  brain3d report study/                    read the FLAIR series of a DICOM study
  brain3d report scans --output reports    read every scan in a folder
  brain3d inspect scan.nii.gz              what the scan is and what will be done to it
  brain3d findings report.txt              what the words of a report say, as JSON, with the words
  brain3d demo                             make a synthetic patient, read it, show it beside its truth

exit codes: 0 done, 1 our fault or some studies failed, 2 the input's or the caller's fault, 130 interrupted.
Every report is a draft for research, never a diagnosis."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="brain3d",
        description="From a 3-D brain MRI (FLAIR) to a draft radiology report, for research.",
        epilog=EPILOG,
        formatter_class=RAW,
    )
    parser.add_argument("--version", action="version", version=f"brain3d {__version__}")
    parser.add_argument("--debug", action="store_true", help=DEBUG_HELP)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = module.add_parser(commands)
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG_HELP)
        command.set_defaults(run=module.run)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments. argparse takes no list of values behind an option: what is left over is a recipe's overrides."""
    parser = build_parser()
    args, left = parser.parse_known_args(argv)
    unknown = [text for text in left if text.startswith("-") or "overrides" not in args]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if left:
        args.overrides = [*args.overrides, *left]
    return args


def _quiet_libraries() -> None:
    """Before they are imported: no network, no bars and no advice from the libraries, unless the user set these."""
    for name, value in (
        ("HF_HUB_OFFLINE", "1"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ):
        os.environ.setdefault(name, value)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong arguments and --help leave by SystemExit, as argparse does."""
    args = _parse(argv)
    _quiet_libraries()
    code = DONE
    try:
        check_seed(args)
        code = args.run(args) or DONE
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it; keep the interpreter from complaining when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("brain3d: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost door: whatever comes becomes one line and a code
        return _failed(error, args.debug)
    return code


def _failed(error: Exception, debug: bool) -> int:
    from brain3d.scans.types import InputError

    if debug:
        traceback.print_exception(error)
    if isinstance(error, InputError):
        print(f"brain3d: error: {_one_line(error)}", file=sys.stderr)
        return CALLERS_FAULT
    hint = "" if debug else "; re-run with --debug to see where"
    print(f"brain3d: internal error: {type(error).__name__}: {_one_line(error)}{hint}", file=sys.stderr)
    return OUR_FAULT


def _one_line(error: Exception) -> str:
    """The error in one line of a terminal: blanks for breaks, question marks for what cannot be printed."""
    words = " ".join(str(error).split()) or "no message"
    return "".join(letter if letter.isprintable() else "?" for letter in words)


if __name__ == "__main__":
    sys.exit(main())
