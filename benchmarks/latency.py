"""How long a report takes: warm, as a whole command, and what it needs of memory."""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
from brain3d.reading import sample_scan

IMPORT_LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*([\w.]+)")


def warm_seconds(model: str, scan: Path, repeats: int, *, mirror_check: bool) -> float:
    """Median seconds from a file to its report with the model loaded; the first report does not count."""
    import brain3d

    reader = brain3d.load(model)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        reader.report(scan, mirror_check=mirror_check)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def library_seconds(importtime: str) -> float:
    """Seconds that a run under `-X importtime` spent in importing modules other than this package's own."""
    found = IMPORT_LINE.findall(importtime)
    return sum(int(micros) for micros, name in found if name.split(".")[0] != "brain3d") / 1e6


def whole_command(model: str, scan: Path) -> tuple[float, float, float]:
    """One `brain3d report`: wall seconds, of these in importing libraries (same run), peak memory in GB."""
    command = [sys.executable, "-X", "importtime", "-m", "brain3d", "report", str(scan), "--model", model]
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    if child.returncode:
        raise SystemExit("the command failed:\n" + IMPORT_LINE.sub("", text).strip())
    return wall, library_seconds(text), usage.ru_maxrss * 1024 / 1e9


def help_seconds(repeats: int) -> float:
    """Median wall seconds of `brain3d --help`."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "brain3d", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(arguments: argparse.Namespace) -> list[tuple[str, float, str, str]]:
    """All figures with their targets. The commands come first, while this process holds no model."""
    scan = arguments.scan or sample_scan()
    runs = [whole_command(arguments.model, scan) for _ in range(arguments.commands)]
    wall, libraries, memory = sorted(runs, key=lambda run: run[0] - run[1])[len(runs) // 2]
    shown = help_seconds(arguments.repeats)
    checked = warm_seconds(arguments.model, scan, arguments.repeats, mirror_check=True)
    plain = warm_seconds(arguments.model, scan, arguments.repeats, mirror_check=False)
    return [
        ("warm report, with the mirror check", checked, "s", "target <= 2"),
        ("warm report, without", plain, "s", ""),
        ("whole command", wall, "s", ""),
        ("  of this, importing libraries", libraries, "s", ""),
        ("  more than that", wall - libraries, "s", "target <= 3"),
        ("  peak memory", memory, "GB", "target < 1.5"),
        ("brain3d --help", shown, "s", "target < 0.5"),
    ]


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--scan", type=Path, help="a scan; by default the sample that comes with the package")
    parser.add_argument("--model", default="brain3d-mini")
    parser.add_argument("--repeats", type=int, default=7, help="warm reports and --help calls")
    parser.add_argument("--commands", type=int, default=3, help="runs of the whole command")
    arguments = parser.parse_args()
    machine.show(measure(arguments), arguments.json)


if __name__ == "__main__":
    main()
