"""From a model's name or folder to a `Reader`."""

from __future__ import annotations

from pathlib import Path

from brain3d.reading.models import EMBEDDED, find_model, find_published, identity, is_published
from brain3d.reading.reader import Reader
from brain3d.scans.types import InputError


def load(
    model: str | Path = EMBEDDED,
    *,
    device: str = "auto",
    vision: str | Path | None = None,
    language: str | Path | None = None,
    quantisation: str | None = None,
) -> Reader:
    """A reader with the model of that name or in that folder, on `device`: "auto", "cpu" or "cuda".

    The folder may have the layout of the published system; `vision` and `language` are then the base models of a
    stage's checkpoint that does not hold them, by folder or by hub name. Needs no network, but for a base model whose
    name is not in the local hub cache.

    `quantisation` "nf4" keeps the language model in 4 bits, which needs a CUDA GPU and bitsandbytes (`pip install
    'brain3d[nf4]'`). Raises InputError, one line, for what is not there, damaged, or does not fit.
    """
    folder = find_model(model)
    from brain3d.reading.engine import ModelEngine, pick_device

    where = pick_device(device)
    if is_published(folder):
        source = find_published(folder, str(model), vision, language)
        return Reader(ModelEngine.from_published(source, source.identity(), where, quantisation=quantisation))
    if vision is not None or language is not None:
        raise InputError(f"{model}: a whole model; vision and language are for a checkpoint of the published system")
    return Reader(ModelEngine.from_folder(folder, identity(folder), where, str(model), quantisation=quantisation))
