"""Locks between processes, held through an open file: released with it, also where its process is killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from brain3d.scans.types import InputError

if sys.platform == "win32":
    import msvcrt

    def lock(file: BinaryIO) -> None:
        """Wait until no other process holds the file's lock, then hold it."""
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)

    def try_lock(file: BinaryIO) -> bool:
        """Hold the file's lock if nobody else does; whether it is held now."""
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def lock(file: BinaryIO) -> None:
        """Wait until no other process holds the file's lock, then hold it."""
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)

    def try_lock(file: BinaryIO) -> bool:
        """Hold the file's lock if nobody else does; whether it is held now."""
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While this process works in a folder, `folder/lock` is held. InputError where another process holds it."""
    with (folder / "lock").open("a+b") as file:
        if not try_lock(file):
            raise InputError(f"{folder}: another run is under way in it; wait for its end, or give another output")
        yield
