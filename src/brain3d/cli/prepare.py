"""`brain3d prepare`: a cohort from data on disk, and the audit of one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain3d.cli.common import RAW, Subparsers, only_results_on_stdout

if TYPE_CHECKING:
    from brain3d.cohort.candidates import Found
    from brain3d.cohort.prepare import Settings
    from brain3d.scans.types import VolumeSpec

DONE, SOME_LEFT_OUT = 0, 1
PUBLISHED = "published"
PROCEDURES = ("stratified", "hashed", PUBLISHED)
EPILOG = """examples:
  brain3d prepare brats-textbrats --images images --reports reports --healthy ds000221 --output cohort
  brain3d prepare brats-textbrats --images images --reports reports --healthy ds000221 --output paper --preset paper
  brain3d prepare bids ROOT --reports reports.tsv --output cohort
  brain3d prepare manifest phantoms --output cohort
  brain3d prepare audit cohort

A cohort is a folder: manifest.jsonl, cohort.json, reports, prepared volumes, audit.json. What is left out of it is told
on stderr. An interrupted run continues when the same command is given again.
exit codes: 0 done, 1 done, but some studies were left out, 2 nothing was prepared."""


def add_parser(commands: Subparsers[Any]) -> argparse.ArgumentParser:
    """Describe the command and the layouts that it reads."""
    parser = commands.add_parser("prepare", help="make a cohort of data on disk", epilog=EPILOG, formatter_class=RAW)
    layouts = parser.add_subparsers(title="what to read", dest="layout", metavar="LAYOUT", required=True)
    brats = layouts.add_parser("brats-textbrats", help="BraTS with TextBraTS reports, and healthy scans")
    brats.add_argument("--images", required=True, metavar="FOLDER", help="SUBJECT/SUBJECT_flair.nii.gz and so on")
    brats.add_argument("--reports", required=True, metavar="FOLDER", help="SUBJECT/SUBJECT_flair_text.txt")
    brats.add_argument(
        "--healthy",
        action="append",
        default=[],
        metavar="FOLDER",
        help="NIfTI files with FLAIR in their names, BIDS or not; may be given several times",
    )
    brats.add_argument("--preset", choices=("own", "paper"), default="own", help="paper: the paper's data procedure")
    bids = layouts.add_parser("bids", help="a BIDS data set with a table of reports")
    bids.add_argument("root", metavar="ROOT", help="the folder that holds sub-*")
    bids.add_argument("--reports", required=True, metavar="TABLE", help="TSV or CSV; see docs/cohorts.md")
    manifest = layouts.add_parser("manifest", help="any manifest, such as that of `brain3d phantom`")
    manifest.add_argument("manifest", metavar="MANIFEST", help="a manifest, or the folder of one")
    manifest.add_argument("--keep-splits", action="store_true", help="keep the splits that it states")
    for layout in (brats, bids, manifest):
        _add_preparing(layout)
    audit = layouts.add_parser("audit", help="look for leaks in a cohort")
    audit.add_argument("cohort", metavar="COHORT", help="a cohort's folder, or a manifest")
    for layout in (brats, bids, manifest, audit):
        _add_common(layout)
    return parser


def _add_preparing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, metavar="COHORT", help="the folder to make")
    parser.add_argument("--split", choices=PROCEDURES, help="how subjects are split (default: stratified)")
    parser.add_argument(
        "--ratios", metavar="A/B/C", help="train/validation/test in percent, or as shares of 1 (default: 70/10/20)"
    )
    # Not called seed: the seeds of `brain3d report` are checked by what a generator of torch takes.
    parser.add_argument("--seed", type=int, dest="split_seed", metavar="N", help="of splits and templates (default: 0)")
    parser.add_argument("--copy", action="store_true", help="copy the images too, so that the folder stands alone")
    parser.add_argument("--no-volumes", action="store_true", help="prepare no volumes")
    parser.add_argument("--strict", action="store_true", help="an error where a study would be left out")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="brain3d-mini",
        metavar="NAME|FOLDER",
        help="whose volumes; `published` for the published system's (default: brain3d-mini)",
    )
    parser.add_argument("--allow-shared-subjects", action="store_true", help="accept one subject in two splits")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Prepare or audit; the audit's text and the manifest's path on stdout."""
    from brain3d.scans.types import InputError

    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: give at least 1")
    return _audit(args) if args.layout == "audit" else _prepare(args)


def _prepare(args: argparse.Namespace) -> int:
    from brain3d.cohort.prepare import prepare_cohort

    settings = _settings(args)
    with only_results_on_stdout():
        prepared = prepare_cohort(_found(args), settings, _tell)
    print(prepared.audit.to_text(), end="")
    print(prepared.cohort.manifest)
    if not prepared.problems:
        return DONE
    print(f"brain3d: {len(prepared.problems)} left out; see {settings.output / 'cohort.json'}", file=sys.stderr)
    return SOME_LEFT_OUT


def _found(args: argparse.Namespace) -> Found:
    if args.layout == "bids":
        from brain3d.cohort.bids import find_bids

        return find_bids(args.root, args.reports)
    if args.layout == "manifest":
        from brain3d.cohort.own import find_manifest

        return find_manifest(args.manifest, keep_splits=args.keep_splits)
    from brain3d.cohort.textbrats import find_textbrats

    return find_textbrats(args.images, args.reports, args.healthy)


def _settings(args: argparse.Namespace) -> Settings:
    from brain3d.cohort.prepare import PAPER, Settings, paper_settings
    from brain3d.cohort.splits import RATIOS, STRATIFIED
    from brain3d.scans.types import InputError

    paper = getattr(args, "preset", None) == PAPER
    ratios = RATIOS if args.ratios is None else _ratios(args.ratios)
    if args.split_seed is not None and args.split_seed < 0:
        raise InputError(f"--seed {args.split_seed}: give 0 or more")
    if paper and (args.split, args.ratios, args.split_seed) != (None, None, None):
        raise InputError("--preset paper sets the split, its ratios and its seed; leave these options out")
    if args.split == PUBLISHED and args.ratios is not None:
        raise InputError("--split published has its own ratios, 70/10/20; leave --ratios out")
    settings = Settings(
        output=Path(args.output),
        source=args.layout,
        procedure=args.split or STRATIFIED,
        ratios=ratios,
        seed=args.split_seed or 0,
        spec=None if args.no_volumes else _spec(args.model),
        copy=args.copy,
        strict=args.strict,
        allow_shared=args.allow_shared_subjects,
        workers=args.workers,
    )
    return paper_settings(settings) if paper else settings


def _ratios(given: str) -> tuple[float, float, float]:
    from brain3d.cohort.splits import check_ratios
    from brain3d.scans.types import InputError

    try:
        return check_ratios([float(part) for part in given.split("/")])
    except ValueError:
        raise InputError(f"--ratios {given}: give train/validation/test, such as 70/10/20") from None
    except InputError as error:
        raise InputError(f"--ratios {given}: {str(error).removeprefix('ratios: ')}") from None


def _spec(model: str) -> VolumeSpec:
    """The grid of a model's volumes; a folder without a config.json of its own is a published checkpoint's."""
    from brain3d.cohort import PUBLISHED as PUBLISHED_VOLUMES
    from brain3d.reading.models import CONFIG_FILE, find_model, volume_spec

    if model == PUBLISHED:
        return PUBLISHED_VOLUMES
    folder = find_model(model)
    return volume_spec(folder) if (folder / CONFIG_FILE).is_file() else PUBLISHED_VOLUMES


def _audit(args: argparse.Namespace) -> int:
    from brain3d.cohort.prepare import audit_folder
    from brain3d.scans.types import InputError

    with only_results_on_stdout():
        audit, problems = audit_folder(Path(args.cohort), _spec(args.model), args.workers)
    for problem in problems:
        _tell(problem.line())
    print(audit.to_text(), end="")
    if audit.shared and not args.allow_shared_subjects:
        first = audit.shared[0]
        raise InputError(
            f"{args.cohort}: {' and '.join(first.studies)} show one subject, in {' and '.join(first.splits)}; "
            "split again, or give --allow-shared-subjects"
        )
    return SOME_LEFT_OUT if problems else DONE


def _tell(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(f"brain3d: left out: {' '.join(line.split())}", file=sys.stderr)
