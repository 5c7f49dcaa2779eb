"""What a figure depends on: the machine in a few facts, without its name, and how results are printed."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """Cores this process may use, processor, and the versions that matter."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy")},
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="OUT", help="also write the figures here")
    return made


def show(rows: Sequence[tuple[str, float, str, str]], out: Path | None) -> None:
    """Print (what, value, unit, target) and the machine; write the same as JSON where `out` is given."""
    width = max(len(row[0]) for row in rows)
    for what, value, unit, target in rows:
        print(f"{what:<{width}}  {value:9.2f} {unit:<10} {target}")
    machine = facts()
    print("; ".join(f"{key} {value}" for key, value in machine.items()))
    if out is not None:
        figures = [{"what": what, "value": value, "unit": unit, "target": target} for what, value, unit, target in rows]
        out.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n", encoding="utf-8")
