"""Scan in, report out: loading a model, the mirror check, batches.

Names are fetched when first asked for, so that listing the models stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain3d.reading.converting import convert
    from brain3d.reading.decoding import Decoding, Written
    from brain3d.reading.loading import load
    from brain3d.reading.models import available_models, sample_scan
    from brain3d.reading.protocol import Engine
    from brain3d.reading.reader import Reader

__all__ = ["Decoding", "Engine", "Reader", "Written", "available_models", "convert", "load", "sample_scan"]

_HOME = {
    "Decoding": "decoding",
    "Engine": "protocol",
    "Reader": "reader",
    "Written": "decoding",
    "available_models": "models",
    "convert": "converting",
    "load": "loading",
    "sample_scan": "models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
