"""Brain extraction by other people's programs, where they are installed: HD-BET, deepbet, SynthStrip.

Each is run as a program of its own on the scan in canonical order, without a name, in a temporary folder. What they
need besides, such as weights, is theirs to find or fetch.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from brain3d.scans.nifti import write_scan
from brain3d.scans.orientation import to_canonical
from brain3d.scans.types import InputError

LONGEST_S = 3600.0
SCAN, BRAIN, MASK = "scan.nii.gz", "brain.nii.gz", "mask.nii.gz"


class Tool(NamedTuple):
    """A program: the names it may be installed under, its arguments, the mask it writes, and how to get it."""

    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    mask: str
    advice: str


TOOLS = {
    "hd-bet": Tool(
        ("hd-bet",),
        ("-i", SCAN, "-o", BRAIN, "-device", "cpu", "--disable_tta", "--save_bet_mask", "--no_bet_image"),
        "brain_bet.nii.gz",
        "pip install 'brain3d[hd-bet]'; it fetches its weights (zenodo.org/records/14445620) when it is first run, or "
        "takes them from ~/hd-bet_params/release_2.0.0",
    ),
    "deepbet": Tool(
        ("deepbet-cli",),
        ("-i", SCAN, "-o", BRAIN, "-m", MASK, "--no_gpu"),
        MASK,
        "pip install 'brain3d[deepbet]', whose weights come with it",
    ),
    "synthstrip": Tool(
        ("mri_synthstrip", "synthstrip"),
        ("-i", SCAN, "-o", BRAIN, "-m", MASK),
        MASK,
        "install FreeSurfer 7.3 or newer, whose mri_synthstrip brings its weights "
        "(surfer.nmr.mgh.harvard.edu/docs/synthstrip)",
    ),
}


def check_installed(method: str) -> None:
    """InputError, which says how to get it, where the tool of this name in `TOOLS` is not installed."""
    _program(method)


def tool_mask(method: str, data: np.ndarray, geometry: np.ndarray) -> np.ndarray:
    """The brain, bool, that a tool of `TOOLS` finds in a canonical (D, H, W) scan of `rounded_geometry`'s matrix.

    The tool sees right, anterior, superior order, and the middle of the field of view at the world's origin. Raises
    InputError where it is not installed, fails, takes more than an hour, or writes no mask of this scan or an empty
    one.
    """
    program = _program(method)
    affine = np.eye(4)
    affine[:3, :3] = geometry[::-1, ::-1]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(data.shape[::-1]) - 1) / 2)
    with tempfile.TemporaryDirectory(prefix="brain3d-") as name:
        folder = Path(name)
        write_scan(folder / SCAN, np.transpose(data), affine)
        _run(method, program, folder)
        return _read(method, folder, data.shape)


def _program(method: str) -> str:
    """Where a tool's program is: on the PATH, or beside the Python that runs this."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    found = [at for at in (shutil.which(name, path=path) for name in TOOLS[method].programs) if at]
    if not found:
        raise InputError(f"brain extraction by {method}: not installed; {TOOLS[method].advice}")
    return found[0]


def _run(method: str, program: str, folder: Path) -> None:
    places = [str(folder / part) if part in (SCAN, BRAIN, MASK) else part for part in TOOLS[method].arguments]
    try:
        done = _finished([program, *places], folder)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"brain extraction by {method}: took more than an hour; give another method") from error
    except OSError as error:
        raise InputError(
            f"brain extraction by {method}: cannot be started ({error.strerror}); install it anew"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        words = "".join(letter if letter.isprintable() else "?" for letter in said[-1].strip())[:200] if said else ""
        raise InputError(
            f"brain extraction by {method}: it failed with exit code {done.returncode}"
            f"{f' ({words})' if words else ''}; mend that, or give another method"
        )


def _finished(command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a group of processes of its own, which ends with it, whatever ends it: no worker stays behind.

    Raises TimeoutExpired after `LONGEST_S` seconds, and OSError where the program cannot be started.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        try:
            out, said = running.communicate(timeout=LONGEST_S)
        finally:
            _end_group(running)
    return subprocess.CompletedProcess(command, running.returncode, out, said)


if sys.platform == "win32":

    def _end_group(running: subprocess.Popen[bytes]) -> None:
        running.kill()
else:

    def _end_group(running: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):  # all of it has ended by itself
            os.killpg(running.pid, signal.SIGKILL)


def _read(method: str, folder: Path, shape: tuple[int, ...]) -> np.ndarray:
    path = folder / TOOLS[method].mask
    if not path.is_file():
        raise InputError(f"brain extraction by {method}: it wrote no mask; check its version, or give another method")
    try:
        image = nib.load(path)
        mask, _ = to_canonical(np.asarray(image.dataobj), np.asarray(image.affine))
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"brain extraction by {method}: its mask cannot be read; give another method") from error
    if mask.shape != shape:
        raise InputError(f"brain extraction by {method}: its mask is not on the scan's grid; give another method")
    found = np.asarray(mask > 0)
    if not found.any():
        raise InputError(f"brain extraction by {method}: it found no brain; give another method")
    return found
