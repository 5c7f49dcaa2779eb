"""Checkpoints of a stage, whole whenever the process is killed.

Three files belong together: `weights-N.safetensors`, `state-N.pt` (optimizer and progress) and, where a stage validates
its loss, `best-M.safetensors`. Each is written beside its place, flushed to the disk and then renamed. `state-N.pt`
comes last and makes the checkpoint of step N; only then are older files removed. Whatever moment a kill hits, the
newest `state-N.pt` has its weights and its best weights beside it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor

from brain3d.scans import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Progress:
    """How far a stage has come, and all that its loop has to remember beside weights and optimizer.

    `mean`: the running mean of the loss, as logged. `best`, `best_step`: the lowest validation loss and its step.
    `mark`: the last one that was lower by `min_delta`; `worse`: validations since then. `seconds`: spent so far.
    `starts`: how often a process went on from a checkpoint. `finished`: nothing is left to do.
    """

    step: int = 0
    mean: float | None = None
    best: float | None = None
    best_step: int | None = None
    mark: float | None = None
    worse: int = 0
    seconds: float = 0.0
    starts: int = 0
    finished: bool = False


def write_durably(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder written to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """InputError, one line, where the disk is full, or the quota used up, while something is written below `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise _full(folder, os.strerror(error.errno)) from error
    except SafetensorError as error:  # the library that writes model folders states the number in words alone
        number = next((n for n in NO_SPACE if f"(os error {n})" in str(error)), None)
        if number is None:
            raise
        raise _full(folder, os.strerror(number)) from error


def _full(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder}: the disk is full ({why}); what was there before is whole: free some space and give the "
        "same command again"
    )


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, durably. OSError where the disk is full."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = as_safetensors(plain)
    write_durably(path, lambda file: file.write(content))


def save_checkpoint(
    folder: Path, weights: Mapping[str, Tensor], optimizer: dict[str, Any], progress: Progress, *, is_best: bool
) -> None:
    """Make the checkpoint of `progress.step`; with `is_best` its weights are kept as the best ones too."""
    step = progress.step
    if is_best:
        save_tensors(folder / f"best-{step}.safetensors", weights)
    save_tensors(folder / f"weights-{step}.safetensors", weights)
    state = {"optimizer": optimizer, "progress": asdict(progress)}
    write_durably(folder / f"state-{step}.pt", lambda file: torch.save(state, file))
    remove_older(folder, progress)


def remove_older(folder: Path, progress: Progress) -> None:
    """Remove what belongs to no checkpoint but that of `progress`; a kill may have left it."""
    step = progress.step
    kept = {f"weights-{step}.safetensors", f"state-{step}.pt", f"best-{progress.best_step}.safetensors"}
    for pattern in ("weights-*", "state-*", "best-*"):
        for old in folder.glob(pattern):
            if old.name not in kept:
                old.unlink()


def _newest(folder: Path) -> Path | None:
    states = [(int(path.stem.removeprefix("state-")), path) for path in folder.glob("state-*.pt")]
    return max(states)[1] if states else None


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except FileNotFoundError:
        raise InputError(f"{path}: missing, though its checkpoint is there; delete the folder of this stage") from None
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged; delete the folder of this stage, and it starts anew") from error


def read_state(folder: Path) -> tuple[dict[str, Any], Progress] | None:
    """The optimizer's state and the progress of the newest checkpoint; None where there is none.

    InputError for a damaged file.
    """
    state = _newest_state(folder, mapped=False)
    return None if state is None else (state["optimizer"], Progress(**state["progress"]))


def read_progress(folder: Path) -> Progress:
    """How far a stage has come; the beginning where there is no checkpoint. InputError for a damaged file."""
    state = _newest_state(folder, mapped=True)
    return Progress() if state is None else Progress(**state["progress"])


def _newest_state(folder: Path, *, mapped: bool) -> dict[str, Any] | None:
    """The newest state file; where it is `mapped`, tensors, gigabytes of a language model's, are read when used."""
    path = _newest(folder)
    if path is None:
        return None
    state: dict[str, Any] = _read(path, lambda p: torch.load(p, weights_only=True, map_location="cpu", mmap=mapped))
    return state


def read_weights(folder: Path, step: int) -> dict[str, Tensor]:
    """The weights of the checkpoint of `step`. InputError for a file that is missing or damaged."""
    weights: dict[str, Tensor] = _read(folder / f"weights-{step}.safetensors", load_file)
    return weights


def best_file(folder: Path, progress: Progress) -> Path:
    """Where a stage keeps what it passes on: the weights with the best validation, or those of its last step."""
    best = progress.best_step
    return folder / (f"weights-{progress.step}.safetensors" if best is None else f"best-{best}.safetensors")


def read_best(folder: Path, progress: Progress) -> dict[str, Tensor]:
    """The weights with the best validation, or those of the last step where none was better than another."""
    weights: dict[str, Tensor] = _read(best_file(folder, progress), load_file)
    return weights
