"""The scans and DICOM studies of tests/scans, for the hostile corpus."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "scans"))
