"""`brain3d report` for many studies: reports and a summary in a folder. Not imported for --help: it is heavy."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from brain3d.cli.common import only_results_on_stdout
from brain3d.reading.many import (
    JSON,
    TEXT,
    Options,
    Outcome,
    Row,
    kept_report,
    one_line,
    read_studies,
    summary,
    summary_name,
    summary_row,
    sweep,
    write_whole,
)
from brain3d.reading.studies import Study, find_studies, holds_several_studies, nifti_files, shard
from brain3d.scans import InputError, check_axes, check_method
from brain3d.scans.dicom_files import MAX_FILES
from brain3d.scans.nifti import SUFFIXES

if TYPE_CHECKING:
    from brain3d.reading import Reader

DONE, SOME_FAILED = 0, 1
BATCH_SIZE = 4
SUMMARY_EVERY_S = 10.0
PROBE_BYTES = 2**16


def asks_for_many(inputs: Sequence[str], output: str | None, series: str | None) -> bool:
    """Whether many studies are meant: several inputs, a folder as output, or a folder that holds not just one scan.

    Several DICOM studies in a folder mean many where there is an output for them, and no series that chooses one.
    """
    if len(inputs) != 1 or (output is not None and _is_folder(output)):
        return True
    if not os.path.isdir(inputs[0]):
        return False
    most = MAX_FILES if output is None else None  # of one study; a link may lead to the whole file system
    found = (path for path in nifti_files(inputs[0], most) if path.is_file())
    places = [path.parent for path in islice(found, 2)]
    if places and places != [Path(inputs[0])]:
        return True
    return output is not None and series is None and holds_several_studies(inputs[0])


def _is_folder(output: str) -> bool:
    return os.path.isdir(output) or output.endswith(("/", os.sep))


def run_many(args: argparse.Namespace) -> int:
    """Read what is not read yet, print the summary's path; the exit code. InputError where no study could be read."""
    _refuse_mixtures(args)
    part = None if args.shard is None else _part(args.shard)
    studies = find_studies(args.scan)
    if args.output is None:
        named = f"{args.scan[0]}: a folder with " if len(args.scan) == 1 else ""
        raise InputError(f"{named}{_counted(studies)}; give one, or --output FOLDER for the reports of all")
    folder = _checked_folder(args.output)
    place = folder / summary_name(part)
    _refuse_overwriting(studies, folder, place)
    mine = studies if part is None else shard(studies, *part)
    with only_results_on_stdout():
        from brain3d.reading import load

        bases = {"vision": args.vision, "language": args.language}
        reader = load(args.model, device=args.device, quantisation=args.quantisation, **bases)
        with _refusing(args.output):
            folder.mkdir(exist_ok=True)
            sweep(folder, [place.name, *(study.name for study in mine)])
        rows = _read(mine, reader, args, folder, place)
    code = _conclude(rows, place)
    print(place)
    return code


def _counted(studies: Sequence[Study]) -> str:
    only_nifti = all(study.path.name.lower().endswith(SUFFIXES) for study in studies)
    one, several = ("NIfTI file", "NIfTI files") if only_nifti else ("study", "studies")
    return f"{len(studies)} {one if len(studies) == 1 else several}"


def _refuse_mixtures(args: argparse.Namespace) -> None:
    for option, value in (("--preview", args.preview), ("--format", args.format)):
        if value is not None:
            raise InputError(f"{option}: for one scan; many are written to --output, each as JSON and as text")
    check_method(args.brain_extraction)
    if args.axes is not None:
        check_axes(args.axes)
    if args.axes is not None and args.without_side:
        raise InputError("--axes and --without-side contradict each other; give one of them")
    if args.batch_size is not None and args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: give at least 1")


def _part(given: str) -> tuple[int, int]:
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", given)
    part, parts = (int(number) for number in numbers.groups()) if numbers else (0, 0)
    if not 1 <= part <= parts:
        raise InputError(f"--shard {given or repr(given)}: give one of N, from 1/N to N/N, such as 3/8")
    return part, parts


def _checked_folder(given: str) -> Path:
    """The folder for the results, which is there and can be written to, or can be made."""
    named, folder = f"--output {given or repr(given)}", Path(given)
    with _refusing(given):
        if not given or (folder.exists() and not folder.is_dir()):
            raise InputError(f"{named}: not a folder; the reports of many studies need one")
        place = folder if folder.is_dir() else folder.absolute().parent
        if not place.is_dir():
            raise InputError(f"{named}: its folder does not exist; make it first")
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
    return folder


@contextmanager
def _refusing(given: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"--output {given}: cannot be written ({error.strerror}); give another folder") from error


def _refuse_overwriting(studies: Sequence[Study], folder: Path, place: Path) -> None:
    scans = {os.path.realpath(path) for study in studies for path in (study.path, *study.files)}
    results = [folder / f"{study.name}{suffix}" for study in studies for suffix in (JSON, TEXT)]
    for path in (place, *results):
        if os.path.realpath(path) in scans:
            raise InputError(f"{path}: a scan that is to be read has this name; give another --output")


def _read(studies: Sequence[Study], reader: Reader, args: argparse.Namespace, folder: Path, place: Path) -> list[Row]:
    """The rows of all studies, in their order; the summary is there, of what is known, also after an interruption."""
    options = Options(
        args.axes,
        args.without_side,
        args.series,
        not args.no_mirror_check,
        args.seed,
        args.brain_extraction,
        False if args.greedy else None,
    )
    rows: dict[str, Row] = {}

    def summarise() -> None:
        write_whole(place, summary(rows[study.name] for study in studies if study.name in rows))

    with tqdm(total=len(studies), desc="reading", unit="scan") as bar:
        missing = []
        for study in studies:
            report = kept_report(study, folder, reader, options)
            if report is None:
                missing.append(study)
                continue
            rows[study.name] = summary_row(Outcome(study, report))
            bar.update()
        written = time.monotonic()
        try:
            for outcome in read_studies(missing, folder, reader, options, args.batch_size or BATCH_SIZE):
                rows[outcome.study.name] = summary_row(outcome)
                _tell(outcome, args.debug)
                bar.update()
                if time.monotonic() - written > SUMMARY_EVERY_S:
                    summarise()
                    written = time.monotonic()
        finally:
            summarise()
    return list(rows.values())


def _tell(outcome: Outcome, debug: bool) -> None:
    """A study's error on stderr, in one line."""
    error = outcome.error
    if error is None:
        return
    words = f"error: {error}"
    if not isinstance(error, InputError):
        words = f"internal error: {outcome.study.path}: {type(error).__name__}: {error}"
    if debug:
        tqdm.write("".join(traceback.format_exception(error)), file=sys.stderr, end="")
    tqdm.write(f"brain3d: {one_line(words)}", file=sys.stderr)


def _conclude(rows: Sequence[Row], place: Path) -> int:
    """Say what came of it on stderr; the exit code. InputError where no study could be read."""
    failed = [row for row in rows if row[1] != "ok"]
    if not failed:
        return DONE
    if len(failed) == len(rows):
        raise InputError(
            f"none of {len(rows)} studies could be read (the first, {failed[0][0]}: {failed[0][-1]}); see {place}"
        )
    print(
        f"brain3d: {len(failed)} of {len(rows)} studies could not be read; see {one_line(str(place))}", file=sys.stderr
    )
    return SOME_FAILED
