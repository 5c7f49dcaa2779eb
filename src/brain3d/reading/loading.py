"""From a model's name or folder to a `Reader`."""

from __future__ import annotations

from pathlib import Path

from brain3d.reading.models import EMBEDDED, find_model, identity
from brain3d.reading.reader import Reader


def load(model: str | Path = EMBEDDED, *, device: str = "auto") -> Reader:
    """A reader with the model of that name or in that folder, on `device`: "auto", "cpu" or "cuda".

    Needs no network. Raises InputError, one line, for a model or a device that is not there.
    """
    folder = find_model(model)
    from brain3d.reading.engine import ModelEngine, pick_device

    return Reader(ModelEngine.from_folder(folder, identity(folder), pick_device(device), str(model)))
