"""Paths: links, loops, devices, pipes, folders without end, names that upset terminals, and files of other kinds."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from sound import AFFINE, Harmless, Make, Member, nifti, packed, put, slices, study, voxels

NO_NIFTI = "not a NIfTI file, and no DICOM; give"
NO_SCAN = "a folder without a NIfTI scan or DICOM images; give"
NO_FILE = "no such file; check the path"
SPECIAL = "neither a file nor a folder; give"
TERABYTES = 2**42


class Exploit:
    """A pickle that makes a file where it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploited",)


def _link(target: str, name: str = "scan.nii") -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.symlink_to(target)
        return path

    return make


def _mutual_links(folder: Path) -> Path:
    (folder / "b.nii").symlink_to("a.nii")
    return _link("b.nii", "a.nii")(folder)


def _in_folder(*makes: Make) -> Make:
    """A folder in which these are made."""

    def make(folder: Path) -> Path:
        inside = folder / "study"
        inside.mkdir()
        for one in makes:
            one(inside)
        return inside

    return make


def _folder(name: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.mkdir()
        return path

    return make


def _fifo(folder: Path) -> Path:
    path = folder / "scan.nii"
    os.mkfifo(path)
    return path


def _socket(folder: Path) -> Path:
    """Made by a name relative to its folder, since names of sockets are short."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("scan.nii")
    finally:
        os.fchdir(before)
        os.close(before)
    return folder / "scan.nii"


def _junk(folder: Path) -> Path:
    inside = folder / "study"
    inside.mkdir()
    for number in range(10_000):
        (inside / f"{number}.txt").write_bytes(b"junk")
    return inside


def _deep(folder: Path) -> Path:
    """Folders in folders, until their path is longer than the system takes."""
    top = folder / "study"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("x" * 200, dir_fd=place)
        inner = os.open("x" * 200, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    return top


def _unreadable(make: Make) -> Make:
    def locked(folder: Path) -> Path:
        path = make(folder)
        path.chmod(0)
        if os.access(path, os.R_OK):
            path.chmod(0o700)
            pytest.skip("this user may read everything")
        return path

    return locked


def _sparse(start: bytes, name: str = "scan.nii") -> Make:
    """A file that begins so and has terabytes, none of which are on the disk."""

    def make(folder: Path) -> Path:
        path = put(start, name)(folder)
        os.truncate(path, TERABYTES)
        return path

    return make


def _named(name: str | bytes, content: bytes = b"text") -> Make:
    return put(content, os.fsdecode(name))


def _absent(name: str) -> Make:
    return lambda folder: folder / name


def _pair(suffix: str) -> Make:
    def make(folder: Path) -> Path:
        nib.save(nib.Nifti1Pair(voxels(), AFFINE), folder / "scan.img")
        return folder / f"scan{suffix}"

    return make


def _analyze(suffix: str) -> Make:
    def make(folder: Path) -> Path:
        nib.save(nib.AnalyzeImage(voxels(), AFFINE), folder / "scan.img")
        return folder / f"scan{suffix}"

    return make


def _arrays(folder: Path) -> Path:
    buffer = io.BytesIO()
    np.savez(buffer, data=voxels())
    return put(buffer.getvalue())(folder)


def _mgh(folder: Path) -> Path:
    nib.save(nib.MGHImage(voxels().astype(np.float32), AFFINE), folder / "scan.mgh")
    return folder / "scan.mgh"


def _study_with_a_link_upwards(folder: Path) -> Path:
    inside = study(slices(), folder)
    (inside / "up").symlink_to("..")
    (inside / "gone").symlink_to("nowhere")
    return inside


MEMBERS = (
    Member("nothing_there", _absent("scan.nii"), NO_FILE),
    Member("below_a_file", lambda folder: put(b"x", "a")(folder) / "scan.nii", "cannot be read|no such file"),
    Member("name_too_long", _absent("x" * 300), "cannot be read .File name too long"),
    Member("path_too_long", _absent("/".join(["x" * 200] * 25)), "cannot be read .File name too long|no such file"),
    Member("link_to_itself", _link("scan.nii"), "cannot be read|no such file"),
    Member("links_to_each_other", _mutual_links, "cannot be read|no such file"),
    Member("link_to_nothing", _link("nowhere"), NO_FILE),
    Member("link_to_endless_zeros", _link("/dev/zero"), SPECIAL),
    Member("link_to_endless_chance", _link("/dev/urandom"), SPECIAL),
    Member("link_to_nowhere_device", _link("/dev/null"), SPECIAL),
    Member("pipe", _fifo, SPECIAL),
    Member("socket", _socket, SPECIAL),
    Member("folder_empty", _in_folder(), NO_SCAN),
    Member("folder_called_scan", _folder("scan.nii.gz"), NO_SCAN),
    Member("folder_of_links_to_itself", _in_folder(_link(".", "a"), _link("..", "b")), NO_SCAN),
    Member("folder_of_dangling_links", _in_folder(_link("nowhere", "a"), _link("b.nii", "b.nii")), NO_SCAN),
    Member("folder_of_devices", _in_folder(_link("/dev/zero", "a.nii"), _link("/dev/zero", "b"), _fifo), NO_SCAN),
    Member("folder_of_hidden_files", _in_folder(_named(".scan.nii", nifti()), _named(".a")), NO_SCAN),
    Member("folder_of_empty_files", _in_folder(*(_named(str(number), b"") for number in range(50))), NO_SCAN),
    Member("folder_of_two_scans", _in_folder(_named("a.nii", nifti()), _named("b.nii", nifti())), "2 NIfTI files"),
    Member("folder_of_ten_thousand_junk_files", _junk, NO_SCAN),
    Member("folder_with_a_link_to_the_whole_system", _in_folder(_link("/", "root")), NO_SCAN),
    Member("folder_deeper_than_paths_are_long", _deep, "cannot be (read|searched)|folder without"),
    Member("file_without_permission", _unreadable(put(nifti())), "not readable; check its permissions"),
    Member("folder_without_permission", _unreadable(_folder("study")), "cannot be (read|searched)|not readable"),
    Member("terabytes_of_zeros", _sparse(b""), NO_NIFTI),
    Member("terabytes_behind_a_scan", _sparse(nifti()), "too large"),
    Member("terabytes_behind_a_compressed_scan", _sparse(packed(nifti()), "scan.nii.gz"), "too large"),
    Member("terabytes_called_zip", _sparse(b"PK\3\4", "study.zip"), "cut short"),
    Member("terabytes_called_dicom", _sparse(bytes(128) + b"DICM", "study.dcm"), "damaged or cut short"),
    Member(
        "terabytes_behind_a_slice", lambda folder: _sparse(slices()[0], "study.dcm")(folder), "damaged or cut short"
    ),
    Member("name_with_a_newline", _named("a\nbrain3d: all is well\n.nii"), NO_NIFTI),
    Member("name_with_terminal_escapes", _named("\x1b[2J\x1b]0;x\x07\r.nii"), NO_NIFTI),
    Member("name_in_no_encoding", _named(b"caf\xe9\xff.nii"), NO_NIFTI),
    Member("name_that_turns_the_line_around", _named("scan\u202egpj.nii\u2028x"), NO_NIFTI),
    Member("name_of_blanks", _named("   "), NO_NIFTI),
    Member("folder_name_with_a_newline", _folder("a\n\tb"), NO_SCAN),
    Member("text", put(b"hello, this is not an image\n" * 40), NO_NIFTI),
    Member("json", put(json.dumps({"dim": [3, 32, 40, 33]} | {str(k): k for k in range(99)}).encode()), NO_NIFTI),
    Member("html", put(b"<!doctype html><title>404 Not Found</title>" + b" " * 600), NO_NIFTI),
    Member("png", put(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(600)), NO_NIFTI),
    Member("pickle", put(pickle.dumps([Exploit(), bytes(600)])), NO_NIFTI),
    Member("numpy_archive", _arrays, "no DICOM images among its files"),
    Member("freesurfer", _mgh, NO_NIFTI),
    Member("nifti_pair_header", _pair(".hdr"), "one half of a .hdr/.img pair"),
    Member("nifti_pair_image", _pair(".img"), "one half of a .hdr/.img pair"),
    Member("analyze_header", _analyze(".hdr"), "does not say which side is left"),
    Member("analyze_image", _analyze(".img"), "does not say which side is left"),
)

HARMLESS = (
    Harmless("link_to_a_scan", lambda folder: _link(str(_named("real", nifti())(folder)))(folder)),
    Harmless("study_with_links_upwards_and_nowhere", _study_with_a_link_upwards),
    Harmless("scan_with_a_newline_in_its_name", _named("a\nb.nii", nifti())),
)
