"""What a model says of real tumour subjects, as files and as mirrored files, against the masks drawn by people.

Reads a folder in the layout of BraTS: SUBJECT/SUBJECT_flair.nii.gz and SUBJECT/SUBJECT_seg.nii.gz. A few subjects are a
smoke test: nothing is tuned to them, and no interval is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import brain3d
import machine
from brain3d.evaluation.grounded import Grounding, ground, read_mask
from brain3d.reading import Reader
from brain3d.reports import Findings, Report, overall_side
from brain3d.reports.findings import mirror_side
from brain3d.scans import Scan, mirrored_scan, prepare, read_scan

LOBES = ("frontal", "parietal", "temporal", "occipital")
NAMED_FROM, MUST_NAME = 0.05, 0.20  # of the mask: a lobe may be named, a lobe has to be


@dataclass(frozen=True)
class Subject:
    """What the mask says, and the reports of the scan and of its mirror image."""

    truth: Grounding
    own: Report
    mirrored: Report


def read_subject(folder: Path, reader: Reader) -> Subject:
    """Read one subject's FLAIR as it is and mirrored."""
    scan: Scan = read_scan(folder / f"{folder.name}_flair.nii.gz")
    mask = read_mask(folder / f"{folder.name}_seg.nii.gz", scan)
    return Subject(ground(scan, mask, prepare(scan)), reader.report(scan), reader.report(mirrored_scan(scan)))


def named(findings: Findings) -> set[str]:
    return {region for lesion in findings.lesions for region in lesion.regions if region in LOBES}


def checks(subject: Subject) -> dict[str, bool]:
    """The targets of one subject."""
    shares = subject.truth.shares
    lobes = named(subject.own.findings)
    return {
        "never called normal": not (subject.own.findings.normal or subject.mirrored.findings.normal),
        "side right": overall_side(subject.own.findings) == subject.truth.side,
        "side right, mirrored file": overall_side(subject.mirrored.findings) == mirror_side(subject.truth.side),
        "every lobe named holds 5 %": all(shares[name] >= NAMED_FROM for name in lobes),
        "every lobe with 20 % is named": all(name in lobes for name in LOBES if shares[name] >= MUST_NAME),
    }


def show(name: str, subject: Subject) -> None:
    """Print what was measured and what was written of one subject."""
    held = ", ".join(f"{lobe} {subject.truth.shares[lobe]:.0%}" for lobe in LOBES if subject.truth.shares[lobe] >= 0.02)
    print(f"\n{name}: {subject.truth.side} by the mask ({subject.truth.left_share:.0%} left); {held}")
    for what, report in (("scan", subject.own), ("mirrored file", subject.mirrored)):
        flags = ", ".join(flag.code for flag in report.flags) or "no flags"
        print(f"  {what}: {overall_side(report.findings)}; {flags}\n    {report.text}")


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("images", type=Path, help="the folder that holds the subjects' folders")
    parser.add_argument("--model", default="brain3d-mini")
    arguments = parser.parse_args()
    reader = brain3d.load(arguments.model)
    folders = sorted(path for path in arguments.images.iterdir() if (path / f"{path.name}_seg.nii.gz").exists())
    if not folders:
        raise SystemExit(f"{arguments.images}: no SUBJECT/SUBJECT_seg.nii.gz below it")
    found = {folder.name: read_subject(folder, reader) for folder in folders}
    for name, subject in found.items():
        show(name, subject)
    results = [checks(subject) for subject in found.values()]
    print()
    rows = [(what, float(sum(r[what] for r in results)), f"of {len(results)}", "target: all") for what in results[0]]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
