"""What hostile input costs: every member of the corpus of tests/hostile, read by `brain3d inspect` in its own process.

Each has to end with exit code 2 and one line on stderr, and to leave nothing behind. The processes are forked from one
that has imported what reading needs, so the times are those of reading alone; the memory has the imports in it.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import machine

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "hostile"), str(TESTS / "scans")]

MOST_WALL_S, MOST_CPU_S, MOST_GB = 10.0, 10.0, 2.0
GIVE_UP_S = 300
SKIPPED, BROKEN = 77, 70


class Cost(NamedTuple):
    """What reading one input took; `problem` says in what way it did not end as it should, or is ""."""

    name: str
    wall_s: float
    cpu_s: float
    peak_gb: float
    problem: str


def forked(work: Callable[[], int]) -> tuple[int, float, float, float]:
    """Do some work in a process of its own: its exit code, wall and CPU seconds, and peak memory in GB."""
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        code = BROKEN
        try:
            signal.alarm(GIVE_UP_S)
            code = work()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    return os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def reading(path: Path, room: Path, out: Path, err: Path) -> int:
    """`brain3d inspect` with `room` as the current and the temporary folder, its words in two files."""
    from brain3d.cli.main import main

    os.chdir(room)
    tempfile.tempdir = os.environ["TMPDIR"] = str(room)
    for stream, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), descriptor)
    return main(["inspect", str(path)])


def cost_of(member: object, folder: Path) -> Cost | None:
    """Make the input, in a process of its own since that takes memory, and read it; None where it cannot be made."""
    import pytest
    from corpus import everything

    made, room, logs = folder / "made", folder / "room", folder / "logs"
    for place in (made, room, logs):
        place.mkdir()

    def make() -> int:
        try:
            (logs / "path").write_bytes(os.fsencode(member.make(made)))
        except pytest.skip.Exception:
            return SKIPPED
        return 0

    code = forked(make)[0]
    if code == SKIPPED:
        return None
    if code:
        raise SystemExit(f"{member.name}: cannot be made here ({code})")
    path = Path(os.fsdecode((logs / "path").read_bytes()))
    before = everything(made) | everything(room)
    code, wall, cpu, peak = forked(lambda: reading(path, room, logs / "out", logs / "err"))
    left = (everything(made) | everything(room)) != before
    said = (logs / "err").read_bytes().decode(errors="replace")
    printed = (logs / "out").stat().st_size
    return Cost(member.name, wall, cpu, peak, _problem(code, printed, said, left))


def _problem(code: int, printed: int, said: str, left: bool) -> str:
    if code != 2:
        return f"exit code {code}: {said}"
    if not said.startswith("brain3d: error: ") or said.count("\n") != 1:
        return f"not one line on stderr: {said}"
    return "something on stdout" if printed else "something left behind" if left else ""


def measured(wanted: str) -> list[Cost]:
    """The cost of every member whose name holds `wanted`; none of them stays on the disk for longer than it takes."""
    from corpus import HOSTILE
    from tqdm import tqdm

    costs = []
    for member in tqdm([one for one in HOSTILE if wanted in one.name], unit="input"):
        with tempfile.TemporaryDirectory() as folder:
            cost = cost_of(member, Path(folder))
        if cost is None:
            tqdm.write(f"{member.name}: left out, this user may read everything", file=sys.stderr)
            continue
        costs.append(cost)
    return costs


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only inputs with this in their names")
    parser.add_argument("--shown", type=int, default=12, help="how many of the costliest are listed (default: 12)")
    arguments = parser.parse_args()
    # Once, so that no reading pays for it.
    import pydicom.pixels  # noqa: F401

    import brain3d.cli.inspect
    import brain3d.reading.models
    import brain3d.scans  # noqa: F401

    costs = measured(arguments.only)
    for cost in sorted(costs, key=lambda cost: -cost.cpu_s)[: arguments.shown]:
        print(f"{cost.name:<45} {cost.wall_s:7.2f} s {cost.cpu_s:7.2f} s of CPU {cost.peak_gb:6.2f} GB")
    for cost in costs:
        if cost.problem:
            print(f"{cost.name}: {cost.problem}")
    rows = [
        ("hostile inputs", len(costs), "", "target >= 60"),
        ("refused as they should be", sum(not cost.problem for cost in costs), "", "target: all"),
        ("longest", max(cost.wall_s for cost in costs), "s", f"target < {MOST_WALL_S:g}"),
        ("most CPU time", max(cost.cpu_s for cost in costs), "s", f"target < {MOST_CPU_S:g}"),
        ("most memory", max(cost.peak_gb for cost in costs), "GB", f"target < {MOST_GB:g}"),
    ]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
