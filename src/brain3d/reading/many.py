"""Reading many studies into a folder: a report for each, kept from one run to the next, and a summary of all."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain3d.reading.reader import Prepared, Reader
from brain3d.reading.studies import Study
from brain3d.reports import Report
from brain3d.scans import Flag, InputError, read_scan, read_stored
from brain3d.scans.source import printable
from brain3d.scans.types import DAMAGED_FILES, ORIENTATION_DOUBTFUL

JSON, TEXT, PART = ".json", ".txt", ".part"
SUMMARY_FIELDS = ("study", "status", "normal", "sides", "regions", "flags", "error")
BETWEEN = ";"
Row = tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """How every study is read; as for `Reader.report`."""

    axes: str | None = None
    without_side: bool = False
    series: str | None = None
    mirror_check: bool = True
    seed: int = 0
    brain_extraction: str = "auto"
    do_sample: bool | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one study: its report, or the error that stood in its way."""

    study: Study
    report: Report | None = None
    error: Exception | None = None


def kept_report(study: Study, folder: Path, reader: Reader, options: Options) -> Report | None:
    """The report of a study that is in the folder already, where reading it again would give the same.

    That is so where both of its files are whole, and come from the same bytes, or the same series of a DICOM study,
    chosen from the same for the same reason, with as many damaged files left out, taken to lie the same way, with the
    same brain extraction, by the same software, from the same weights, prompt, number type, seed and mirror check. The
    device and the size of the batch do not count.
    """
    report = _stored_report(study, folder)
    if report is None or report.model != reader.identity() or _asked(report) != options.brain_extraction:
        return None
    check = report.generation.get("mirror_check")
    wanted = {
        **reader.generation(reader.decoding(seed=options.seed, do_sample=options.do_sample)),
        "mirror_check": check,
    }
    if _essential(report.generation) != _essential(wanted) or not isinstance(check, dict):
        return None
    try:
        scan = read_stored(study.path, **_how(study, options))
    except Exception:  # noqa: BLE001 - not told here: the study counts as one to be read, which meets this again
        return None
    series = None if scan.series is None else scan.series.to_dict()
    described = (report.scan.get("sha256"), report.scan.get("axes"), report.scan.get("series"))
    same_scan = described == (scan.sha256, scan.axes, series) and _of_files(report.flags) == _of_files(scan.flags)
    same_check = check.get("done") == (options.mirror_check and scan.side_known)
    return report if same_scan and same_check else None


def _essential(generation: dict[str, Any]) -> dict[str, Any]:
    """The settings of a generation that count: not on which device it was, nor why in that number type."""
    return {name: value for name, value in generation.items() if name not in ("device", "dtype_reason")}


def _how(study: Study, options: Options) -> dict[str, Any]:
    """The options of `read_scan` and `read_stored` for one study."""
    axes, without_side, series = options.axes, options.without_side, options.series
    return {"axes": axes, "without_side": without_side, "series": series, "files": study.files}


def _of_files(flags: Iterable[Flag]) -> list[Flag]:
    """What flags say of damaged files and of a header, which shows in nothing else that is known of a study."""
    return [flag for flag in flags if flag.code in (DAMAGED_FILES, ORIENTATION_DOUBTFUL.code)]


def _asked(report: Report) -> str | None:
    """The method of brain extraction that a report was asked for; None in one that knows of none."""
    steps = [step for step in report.preprocessing if isinstance(step, dict) and step.get("name") == "brain_extraction"]
    return steps[0].get("asked") if steps else None


def _stored_report(study: Study, folder: Path) -> Report | None:
    """What the study's two files hold; None where they are not there, or not such as were written for one report."""
    try:
        content = (folder / f"{study.name}{JSON}").read_bytes().decode()
        text = (folder / f"{study.name}{TEXT}").read_bytes().decode()
        report = Report.from_dict(json.loads(content))
        whole = content == _as_json(report) and text == report.to_text()
    except (OSError, ValueError, KeyError, RecursionError):  # whatever is wrong with them, they are written anew
        return None
    return report if whole else None


def read_studies(
    studies: Iterable[Study], folder: Path, reader: Reader, options: Options, batch_size: int
) -> Iterator[Outcome]:
    """Read each study, `batch_size` at once, and write its two files into the folder; each outcome as it is known.

    A study that cannot be read does not stop the others, nor its batch: its outcome has the error, an InputError
    or, where it is our fault, any other. InputError is raised where the folder cannot be written.
    """
    waiting: list[tuple[Study, Prepared]] = []
    for study in studies:
        ready = _prepared(study, reader, options)
        if isinstance(ready, Outcome):
            yield ready
            continue
        waiting.append((study, ready))
        if len(waiting) == batch_size:
            yield from _read_and_write(waiting, folder, reader, options)
            waiting = []
    yield from _read_and_write(waiting, folder, reader, options)


def _prepared(study: Study, reader: Reader, options: Options) -> Prepared | Outcome:
    try:
        return reader.prepared(read_scan(study.path, **_how(study, options)), brain_extraction=options.brain_extraction)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one study is recorded, and the rest goes on
        return Outcome(study, error=error)


def _read_and_write(
    items: Sequence[tuple[Study, Prepared]], folder: Path, reader: Reader, options: Options
) -> Iterator[Outcome]:
    for outcome in _read(items, reader, options):
        if outcome.report is not None:
            write_report(outcome.report, folder / outcome.study.name)
        yield outcome


def _read(items: Sequence[tuple[Study, Prepared]], reader: Reader, options: Options) -> list[Outcome]:
    """The outcomes of a batch; where it fails as a whole, of each study alone."""
    if not items:
        return []
    try:
        reports = reader.reports(
            [prepared for _, prepared in items],
            batch_size=len(items),
            mirror_check=options.mirror_check,
            seed=options.seed,
            do_sample=options.do_sample,
        )
    except Exception as error:  # noqa: BLE001 - as above; alone, each study shows whether it was the cause
        if len(items) == 1:
            return [Outcome(items[0][0], error=error)]
        return [outcome for item in items for outcome in _read([item], reader, options)]
    return [Outcome(study, report) for (study, _), report in zip(items, reports, strict=True)]


def write_report(report: Report, stem: Path) -> None:
    """Write the two files of a report, each whole or not at all; the JSON last, since it says that both are there."""
    write_whole(stem.with_name(stem.name + TEXT), report.to_text())
    write_whole(stem.with_name(stem.name + JSON), _as_json(report))


def _as_json(report: Report) -> str:
    return report.to_json() + "\n"


def write_whole(path: Path, text: str) -> None:
    """Put a file there, whole, in place of any other; InputError, and nothing changed, where that cannot be done."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        try:
            partial.write_bytes(text.encode())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); mend that and start again") from error


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove what a killed run left half-written of the files of these names."""
    left = {f"{name}{suffix}" for name in names for suffix in (JSON, TEXT, "")}
    for partial in folder.glob(f".*{PART}"):
        target = partial.name.removeprefix(".").removesuffix(PART).rpartition(".")[0]
        if target in left:
            partial.unlink(missing_ok=True)


def summary_row(outcome: Outcome) -> Row:
    """The study's line of the summary, in the order of `SUMMARY_FIELDS`; several values have a semicolon between."""
    report = outcome.report
    if report is None:
        return (outcome.study.name, "failed", "", "", "", "", _reason(outcome))
    lesions = report.findings.lesions
    sides = dict.fromkeys(lesion.side for lesion in lesions)
    regions = dict.fromkeys(region for lesion in lesions for region in lesion.regions)
    normal = "true" if report.findings.normal else "false"
    flags = (flag.code for flag in report.flags)
    return (outcome.study.name, "ok", normal, *map(BETWEEN.join, (sides, regions, flags)), "")


def _reason(outcome: Outcome) -> str:
    """Why a study failed, without the file's name and path; of our own faults the type alone, which has neither."""
    error = outcome.error
    if not isinstance(error, InputError):
        return f"internal error: {type(error).__name__}"
    return one_line(str(error).removeprefix(f"{printable(str(outcome.study.path))}: "))


def one_line(text: str) -> str:
    """The text in one line of a terminal: blanks for breaks, question marks for what cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split())) or "no message"


def summary(rows: Iterable[Row]) -> str:
    """The summary as CSV, with a first line that names its fields."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SUMMARY_FIELDS)
    writer.writerows(rows)
    return text.getvalue()


def summary_name(part: tuple[int, int] | None = None) -> str:
    """The summary's file name, for a shard (part, parts) one of its own."""
    return "summary.csv" if part is None else f"summary-{part[0]}-of-{part[1]}.csv"
