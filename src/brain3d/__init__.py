"""Brain3D: from a 3-D brain MRI to a draft radiology report, for research.

    import brain3d
    report = brain3d.load().report("scan.nii.gz")

Importing this package imports neither torch nor anything else of weight; each name is fetched when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain3d.reading import Reader, load
    from brain3d.reports import Report, parse_findings
    from brain3d.scans import InputError

__version__ = "0.1.0"
__all__ = ["InputError", "Reader", "Report", "__version__", "load", "parse_findings"]

_HOME = {
    "InputError": "brain3d.scans",
    "Reader": "brain3d.reading",
    "Report": "brain3d.reports",
    "load": "brain3d.reading",
    "parse_findings": "brain3d.reports",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
