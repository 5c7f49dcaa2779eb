"""What `brain3d score` costs on pairs of reports, with all baselines and 10,000 resamples, at several sizes."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from brain3d.phantom.narrative import narrate
from brain3d.phantom.truth import Truth
from brain3d.reports.findings import REGIONS, canonical_regions
from machine import parser, show

DEGREES = ("none", "mild", "moderate", "severe")
TARGET_S, TARGET_MB = 60, 2048
ACCOUNTS = 3


def drawn_truth(rng: random.Random) -> Truth:
    """A truth at random; nothing is drawn, since only its words are wanted."""
    normal = rng.random() < 0.3
    return Truth(
        normal=normal,
        visible=not normal,
        side=rng.choice(("left", "right", "bilateral", "midline")),
        left_share=None,
        centroid_offset_mm=None,
        regions=canonical_regions(rng.sample(REGIONS, rng.randint(1, 3))),
        region_shares={},
        signal=rng.choice(("high", "low", "mixed", "iso")),
        edema=rng.choice(DEGREES),
        necrosis=rng.choice(DEGREES),
        ventricular_compression=rng.choice(DEGREES),
        midline_shift_mm=0.0,
        volume_ml=10.0,
        contrast_to_noise=3.0,
        lesion_count=1,
        skull=False,
    )


def report(truth: Truth, rng: random.Random) -> str:
    """About as long as a TextBraTS report (97 words on average): several accounts of the same truth."""
    return " ".join(narrate(truth, rng) for _ in range(ACCOUNTS))


def write_pairs(path: Path, count: int, seed: int) -> float:
    """Pairs whose candidates are right on the side in four of five; returns the words of a reference, on average."""
    rng = random.Random(seed)
    words = 0
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            truth = drawn_truth(rng)
            reference = report(truth, rng)
            read = truth if rng.random() < 0.8 else truth.mirrored()
            candidate = report(replace(read, edema=rng.choice(DEGREES)), rng)
            words += len(reference.split())
            pair = {"id": str(index), "reference": reference, "candidate": candidate, "healthy": truth.normal}
            file.write(json.dumps(pair) + "\n")
    return words / count


def measured(pairs: Path, folder: Path, page: bool) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of processor time, largest resident MB of one `brain3d score` as a process."""
    command = [sys.executable, "-m", "brain3d", "score", str(pairs), "--json", str(folder / "scores.json")]
    command += ["--html", str(folder / "scores.html")] if page else []
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"brain3d score ended with {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(args: argparse.Namespace) -> None:
    """Measure every size, the sizes taking turns, and print the medians."""
    found: dict[int, list[tuple[float, float, float]]] = {count: [] for count in args.pairs}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in args.pairs:
            words = write_pairs(folder / f"{count}.jsonl", count, args.seed)
            rows.append((f"{count} pairs, words of a reference", words, "words", ""))
        for _ in range(args.repeats):
            for count in args.pairs:
                found[count].append(measured(folder / f"{count}.jsonl", folder, page=True))
    for count, runs in found.items():
        clock, used, memory = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append((f"{count} pairs, JSON and page", clock, "s", f"target at 2000: {TARGET_S}"))
        rows.append((f"{count} pairs, processor time", used, "s", ""))
        rows.append((f"{count} pairs, peak memory", memory, "MB", f"target at 2000: {TARGET_MB}"))
    show(rows, args.json)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, nargs="+", default=[500, 1000, 2000], metavar="N")
    options.add_argument("--repeats", type=int, default=3, metavar="N")
    options.add_argument("--seed", type=int, default=0)
    main(options.parse_args())
