"""`brain3d findings`: what the words of a report say, and which words say it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from brain3d.cli.common import RAW, Subparsers

LARGEST_BYTES = 16 << 20
LONGEST_NAME = 255
EPILOG = """examples:
  brain3d findings "A lesion in the left frontal lobe, with mild edema."
  brain3d findings report.txt
  brain3d report scan.nii.gz | brain3d findings -
  brain3d findings report.txt --lexicon words.yaml

TEXT|FILE is a file where there is one of that name, else the text itself. Prints one JSON object: `normal` and
`lesions` as in a report, and under `evidence` the words that each was read from, with their place in the text.
How text is read, and what a lexicon file holds: docs/findings.md."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command."""
    parser = commands.add_parser(
        "findings", help="read the findings out of a report's text, as JSON", epilog=EPILOG, formatter_class=RAW
    )
    parser.add_argument("report", metavar="TEXT|FILE", help="a report: its words, a text file, or - for stdin")
    parser.add_argument("--lexicon", metavar="FILE", help="words of your own, YAML, added to the package's lexicon")
    return parser


def run(args: argparse.Namespace) -> None:
    """Read the report and print what it says."""
    from brain3d.reports import default_lexicon, load_lexicon, read_report

    lexicon = load_lexicon(args.lexicon) if args.lexicon is not None else default_lexicon()
    reading = read_report(_text(args.report), lexicon)
    print(json.dumps({**reading.to_dict(), "lexicon": lexicon.version}, indent=2, ensure_ascii=False))


def _text(given: str) -> str:
    """The text of stdin, of the file of that name, or the given words themselves."""
    if given == "-":
        return _decoded(sys.stdin.buffer.read(LARGEST_BYTES + 1), "-")
    if _is_file(given):
        return _file_text(given)
    if _looks_like_a_name(given):
        raise _refusal(f"{given}: no such file; give a text file, or the words of a report")
    return given


def _is_file(given: str) -> bool:
    if not given:
        return False
    too_long = any(len(os.fsencode(part)) > LONGEST_NAME for part in given.split("/"))
    return not too_long and "\0" not in given and "\n" not in given and len(given) < 4096 and Path(given).exists()


def _file_text(given: str) -> str:
    path = Path(given)
    if path.is_dir():
        raise _refusal(f"{given}: a folder; give a text file, or the words of a report")
    if not path.is_file():
        raise _refusal(f"{given}: not a file; give a text file, the words of a report, or - for stdin")
    try:
        with path.open("rb") as file:
            return _decoded(file.read(LARGEST_BYTES + 1), given)
    except OSError as error:
        raise _refusal(f"{given}: cannot be read ({error.strerror})") from error


def _looks_like_a_name(given: str) -> bool:
    """Whether this was meant as a file's name: one word with an ending or a slash."""
    return len(given.split()) == 1 and (Path(given).suffix not in ("", ".") or "/" in given)


def _decoded(content: bytes, named: str) -> str:
    if len(content) > LARGEST_BYTES:
        raise _refusal(f"{named}: larger than 16 MiB; give the text of one report")
    if b"\0" in content:
        raise _refusal(f"{named}: not a text file; give the words of a report as UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(f"{named}: not UTF-8 text (byte {error.start}); save the report as UTF-8") from error


def _refusal(message: str) -> Exception:
    """An InputError, imported late: reading text needs nothing of what scans import."""
    from brain3d.scans.types import InputError

    return InputError(message)
