"""Damaged gzip files are refused, and whole ones read, exactly where Python's own gzip module does so."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.scans import InputError, affine_from_axes, read_scan

SHAPE = (20, 22, 24)
DATA = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)
PLAIN = nib.Nifti1Image(DATA, affine_from_axes("RAS", (4, 4, 4))).to_bytes()
PACKED = gzip.compress(PLAIN, mtime=0)


def content_of(packed: bytes) -> bytes | None:
    """What Python's gzip makes of it; None where it refuses."""
    try:
        return gzip.decompress(packed)
    except (EOFError, OSError, gzip.zlib.error):
        return None


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scans") / "a.nii.gz"


def read_or_refused(file: Path, packed: bytes) -> np.ndarray | str:
    file.write_bytes(packed)
    try:
        return read_scan(file).data
    except InputError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(PACKED) - 1), flip=st.integers(1, 255))
def test_a_changed_byte(file: Path, place: int, flip: int) -> None:
    changed = bytearray(PACKED)
    changed[place] ^= flip
    found, content = read_or_refused(file, bytes(changed)), content_of(bytes(changed))
    if content is None:
        assert isinstance(found, str)  # of what the damage made of the header, if that was met first
        assert found.startswith(f"{file}: ")
    else:
        assert content == PLAIN
        assert np.array_equal(found, DATA)


@settings(max_examples=60, deadline=None)
@given(kept=st.integers(2, len(PACKED) - 1))
def test_a_file_cut_short(file: Path, kept: int) -> None:
    found = read_or_refused(file, PACKED[:kept])
    assert isinstance(found, str)
    assert "damaged or cut short" in found or "cut short: smaller than" in found


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_checksum_cut_short(file: Path, cut: int) -> None:
    assert "damaged or cut short" in str(read_or_refused(file, PACKED[:-cut]))


@pytest.mark.parametrize(
    ("packed", "whole"),
    [
        (PACKED + bytes(100), True),
        (PACKED + gzip.compress(b"more"), True),
        (gzip.compress(PLAIN[:400]) + gzip.compress(PLAIN[400:]), True),
        (gzip.compress(PLAIN[:400]) + bytes(8) + gzip.compress(PLAIN[400:]), True),
        (gzip.compress(b"") + PACKED, True),
        (gzip.compress(PLAIN, compresslevel=0), True),
        (PACKED + b"rubbish", False),
        (PACKED + gzip.compress(b"more")[:-4], False),
        (gzip.compress(PLAIN[:400])[:-8] + gzip.compress(PLAIN[400:]), False),
    ],
)
def test_several_members_and_what_follows_them(file: Path, packed: bytes, whole: bool) -> None:
    assert (content_of(packed) is not None) == whole
    found = read_or_refused(file, packed)
    if whole:
        assert np.array_equal(found, DATA)
    else:
        assert "damaged or cut short" in str(found)
