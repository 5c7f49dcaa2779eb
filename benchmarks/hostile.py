"""What hostile input costs: every member of the corpus of tests/hostile in a process of its own.

Each has to end with exit code 2 and one line on stderr, and leave nothing behind; shown are the time and the memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import machine

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "hostile"), str(TESTS / "scans")]

MOST_WALL_S, MOST_CPU_S, MOST_GB = 10.0, 10.0, 2.0
GIVE_UP_S = 300.0
# Small, since the peak memory of a process is at least that of the one that starts it.
LAUNCHER = """
import json, os, subprocess, sys, time
out, err, limit, *command = sys.argv[1:]
with open(out, "wb") as stdout, open(err, "wb") as stderr:
    start = time.perf_counter()
    child = subprocess.Popen(["timeout", "--signal=KILL", limit, *command], stdout=stdout, stderr=stderr)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""


class Cost(NamedTuple):
    """What reading one input took; `problem` says in what way it did not end as it should, or is ""."""

    name: str
    wall_s: float
    cpu_s: float
    peak_gb: float
    problem: str
    said: str


def everything(folder: Path) -> list[tuple[str, int, int]]:
    """What lies below a folder: paths, sizes and times of change."""
    found = []
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            try:
                status = os.lstat(path)
            except OSError:  # its path is too long: it was there before, and cannot have been made by it
                continue
            found.append((path, status.st_size, status.st_mtime_ns))
    return sorted(found)


def cost_of(name: str, path: Path, room: Path, command: Sequence[str]) -> Cost:
    """Run a command on a path, with `room` as the current and the temporary folder."""
    with tempfile.TemporaryDirectory() as logs:
        out, err = Path(logs, "out"), Path(logs, "err")
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, out, err, str(GIVE_UP_S)]
        started = [*launch, sys.executable, "-m", "brain3d", *command, path]
        environment = {**os.environ, "TMPDIR": str(room)}
        before = everything(room.parent)
        done = subprocess.run(started, cwd=room, env=environment, stdout=subprocess.PIPE, check=True)
        left = set(everything(room.parent)) - set(before)
        code, wall, cpu, peak = json.loads(done.stdout)
        said = err.read_bytes().decode(errors="replace")
        problem = _problem(code, out.stat().st_size, said, bool(left))
    return Cost(name, wall, cpu, peak * 1024 / 1e9, problem, said.strip())


def _problem(code: int, printed: int, said: str, left: bool) -> str:
    if code != 2:
        return f"exit code {code}"
    if not said.startswith("brain3d: error: ") or said.count("\n") != 1:
        return "not one line on stderr"
    return "something on stdout" if printed else "something left behind" if left else ""


def measured(command: Sequence[str], wanted: str) -> list[Cost]:
    """The cost of every member whose name holds `wanted`; none of them stays on the disk for longer than it takes."""
    import pytest
    from corpus import HOSTILE
    from tqdm import tqdm

    costs = []
    for member in tqdm([one for one in HOSTILE if wanted in one.name], unit="input"):
        with tempfile.TemporaryDirectory() as folder:
            made, room = Path(folder, "made"), Path(folder, "room")
            made.mkdir()
            room.mkdir()
            try:
                path = member.make(made)
            except pytest.skip.Exception:
                continue
            costs.append(cost_of(member.name, path, room, command))
    return costs


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--command", default="inspect", help="what reads them (default: inspect)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only inputs with this in their names")
    parser.add_argument("--shown", type=int, default=12, help="how many of the costliest are listed (default: 12)")
    arguments = parser.parse_args()
    costs = measured(arguments.command.split(), arguments.only)
    for cost in sorted(costs, key=lambda cost: -cost.cpu_s)[: arguments.shown]:
        print(f"{cost.name:<45} {cost.wall_s:7.2f} s {cost.cpu_s:7.2f} s of CPU {cost.peak_gb:6.2f} GB")
    for cost in costs:
        if cost.problem:
            print(f"{cost.name}: {cost.problem}: {cost.said}")
    rows = [
        ("hostile inputs", len(costs), "", "target >= 60"),
        ("refused as they should be", sum(not cost.problem for cost in costs), "", "target: all"),
        ("longest", max(cost.wall_s for cost in costs), "s", f"target < {MOST_WALL_S:g}"),
        ("most CPU time", max(cost.cpu_s for cost in costs), "s", f"target < {MOST_CPU_S:g}"),
        ("least CPU time, which is the start", min(cost.cpu_s for cost in costs), "s", ""),
        ("most memory", max(cost.peak_gb for cost in costs), "GB", f"target < {MOST_GB:g}"),
    ]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
