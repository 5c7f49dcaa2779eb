"""What several commands share: arguments, and output that is written whole or not at all."""

from __future__ import annotations

import argparse
import errno
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

RAW = argparse.RawDescriptionHelpFormatter
STDOUT = 1


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """--model and --device."""
    parser.add_argument(
        "--model",
        default="brain3d-mini",
        metavar="NAME|FOLDER",
        help="the model: a name that `brain3d models` lists, or a folder (default: brain3d-mini)",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: auto)"
    )


def add_base_arguments(parser: argparse.ArgumentParser) -> None:
    """--vision and --language."""
    for option, what in (("--vision", "2-D vision tower"), ("--language", "language model")):
        parser.add_argument(
            option,
            metavar="NAME|FOLDER",
            help=f"the {what} that a published checkpoint was trained on, where it is not in its folder",
        )


def add_brain_extraction(parser: argparse.ArgumentParser) -> None:
    """--brain-extraction. Its methods are checked where the scan is prepared, so that --help stays light."""
    parser.add_argument(
        "--brain-extraction",
        default="auto",
        metavar="METHOD",
        help="how what is not brain is removed: auto (builtin, where a skull is recognised; the default), none, "
        "builtin, or a program that is installed: hd-bet, deepbet, synthstrip",
    )


def check_seed(args: argparse.Namespace) -> None:
    """InputError where a command was given a --seed that no generator takes."""
    if "seed" not in args:
        return
    from brain3d.reading.decoding import MAX_SEED
    from brain3d.scans.types import InputError

    seed: int = args.seed
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"--seed {seed}: give a whole number from 0 to {MAX_SEED}")


@contextmanager
def only_results_on_stdout() -> Iterator[None]:
    """While the work is done, what libraries print goes to stderr; stdout is for the result."""
    with redirect_stdout(sys.stderr):
        yield


class OutputFile:
    """A file to be written at the end of slow work. Whether it can be is found out at once: InputError if not.

    A file is replaced as a whole; a device, a pipe and this process's own stdout are written to where they are.
    """

    def __init__(self, path: str, option: str, suffix: str = "") -> None:
        self.given, self._option = path, option
        with self._refusing():
            self._is_stdout = _is_stdout(path)
            in_place = self._is_stdout or (Path(path).exists() and not Path(path).is_file())
            self.path = Path(path).absolute() if in_place else Path(path).resolve()
            self._check(suffix)
            self._partial = self.path.with_name(f".{secrets.token_hex(8)}.part")
            if not in_place:
                self._partial.touch()
                self._partial.unlink()

    def _check(self, suffix: str) -> None:
        from brain3d.scans.types import InputError

        named = f"{self._option} {self.given or repr(self.given)}"
        if suffix and self.path.suffix.lower() != suffix:
            raise InputError(f"{named}: give a name that ends in {suffix}")
        if self.path.is_dir():
            raise InputError(f"{named}: a folder; give a file")
        if not self.path.parent.is_dir():
            raise InputError(f"{named}: its folder does not exist; make it first")

    def stage(self, content: bytes) -> None:
        """Write the content beside its place; or there, where nothing is replaced."""
        with self._refusing():
            if self._is_stdout:
                sys.stdout.flush()
                with open(STDOUT, "wb", closefd=False) as file:
                    file.write(content)
            elif self.path.exists() and not self.path.is_file():
                self.path.write_bytes(content)
            else:
                self._partial.write_bytes(content)

    def put(self) -> None:
        """Move what was staged to its place."""
        with self._refusing():
            if self._partial.exists():
                self._partial.replace(self.path)

    def drop(self) -> None:
        """Remove what was staged and not put."""
        self._partial.unlink(missing_ok=True)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        from brain3d.scans.types import InputError

        try:
            yield
        except BrokenPipeError:  # whoever reads our output has enough of it; no fault of the name
            raise
        except OSError as error:
            raise InputError(f"{self._option} {self.given}: cannot be written ({error.strerror})") from error


def _is_stdout(path: str) -> bool:
    """Whether a path such as /dev/stdout names what this process's stdout goes to."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(STDOUT))
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.EBADF:  # stdout is closed
            return False
        raise


def write_together(contents: list[tuple[OutputFile, bytes]]) -> None:
    """Put every file there, whole; where one cannot be written, none."""
    try:
        for file, content in contents:
            file.stage(content)
        for file, _ in contents:
            file.put()
    finally:
        for file, _ in contents:
            file.drop()


def refuse_clashes(files: list[OutputFile], inputs: list[Path]) -> None:
    """InputError where one file is to be written twice, or over an input."""
    from brain3d.scans.types import InputError

    paths = [file.path for file in files]
    for file in files:
        if paths.count(file.path) > 1 or file.path in [path.resolve() for path in inputs]:
            raise InputError(f"{file.given}: an input or another output has this name; give a new one")


def refuse_overwriting(files: list[OutputFile], scan: Path) -> None:
    """InputError where one file is to be written twice, or over the scan, be it one file of a study's many."""
    from brain3d.scans import is_part

    refuse_clashes(files, [file.path for file in files if is_part(file.path, scan)])


def show_tables(tables: Sequence[Any], width: int = 150) -> None:
    """Print tables and lines, in colour on a terminal; what stdout's encoding does not know becomes a "?"."""
    from brain3d.evaluation.terminal import render

    text = render(tables, width=width, color=sys.stdout.isatty())
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), end="")


Subparsers = argparse._SubParsersAction  # the type that argparse gives no public name
