"""A checkpoint of the published system rewritten in this project's own format."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from brain3d.reading.models import ABOUT_FILE, find_model, find_published, is_published
from brain3d.scans.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from brain3d.model import Brain3DForConditionalGeneration


def convert(
    folder: str | Path,
    out: str | Path,
    *,
    vision: str | Path | None = None,
    language: str | Path | None = None,
) -> Path:
    """Write the model in `folder` as a folder `out` that needs nothing else, adapters merged; returns `out`.

    What it computes stays the same to the bit: a weight is stored in bfloat16 only where that loses nothing. `vision`
    and `language` as for `load`. `out` is there whole or not at all. Raises InputError for a folder that is no
    checkpoint of the published system, or lacks a part, and for an `out` that is there already or cannot be written.
    """
    source, target = find_model(folder), Path(out)
    if not is_published(source):
        raise InputError(f"{folder}: no checkpoint of the published system; a model in this format needs no conversion")
    found = find_published(source, str(folder), vision, language)
    if target.exists() or target.is_symlink():
        raise InputError(f"{out}: is there already; give a new name")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{out or repr(out)}: its folder does not exist; make it first")
    from brain3d.model.published import load_published

    with _written_whole(target, str(out)) as partial:
        model, tokenizer = load_published(source, str(folder), vision=found.vision, language=found.language)
        identity = found.identity()
        _write(model, tokenizer, partial, str(folder))
        about = {"name": identity.name, "version": identity.version, "converted_from": identity.hash}
        (partial / ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return target


def _write(
    model: Brain3DForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, partial: Path, given: str
) -> None:
    from brain3d.model import Brain3DProcessor
    from brain3d.model.quiet import quiet

    _narrow(model)
    processor = Brain3DProcessor.from_config(tokenizer, model.config)
    with quiet():
        model.save_pretrained(partial)
    processor.save_pretrained(partial)
    if Brain3DProcessor.from_pretrained(partial).prefix_ids() != processor.prefix_ids():
        raise InputError(
            f"{given}: its tokenizer splits the prompt differently once it is saved; use the folder as it is"
        )


def _narrow(model: Brain3DForConditionalGeneration) -> None:
    """Each weight in bfloat16 where that loses nothing, as in checkpoints that were trained in it."""
    import torch

    for parameter in model.parameters():
        half = parameter.data.to(torch.bfloat16)
        if torch.equal(half.to(parameter.dtype), parameter.data):
            parameter.data = half


@contextmanager
def _written_whole(target: Path, given: str) -> Iterator[Path]:
    """A new folder beside the target that takes its place at the end; nothing stays where something goes wrong."""
    partial = target.absolute().with_name(f".{secrets.token_hex(8)}.part")
    try:
        partial.mkdir()
        yield partial
        partial.rename(target)
    except OSError as error:
        raise InputError(f"{given}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
