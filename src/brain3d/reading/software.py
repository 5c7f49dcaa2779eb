"""Which software wrote a report: its version, and a hash of the code that its words and findings follow from."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from brain3d import __version__
from brain3d.scans.cache import preprocessing_version

PARTS = ("scans", "model", "reports", "reading")
SUFFIXES = (".py", ".npz", ".yaml")
HASH_LENGTH = 12


@cache
def software(package: Path = Path(__file__).parents[1]) -> str:
    """The version and, in brackets, a short hash of all code and word lists between a scan and its report.

    `package` is this package's folder. The weights are not in it: a model's identity has theirs.
    """
    digest = hashlib.sha256(preprocessing_version(package / PARTS[0]).encode())
    for part in PARTS[1:]:
        for file in sorted(path for path in (package / part).iterdir() if path.suffix in SUFFIXES):
            digest.update(f"{part}/{file.name}\0".encode() + file.read_bytes())
    return f"{__version__} ({digest.hexdigest()[:HASH_LENGTH]})"
