"""Random damage to sound files: what comes of it is a scan or an InputError of one line, within bounds, and no more."""

from __future__ import annotations

import tracemalloc
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_studies import as_bytes, multiframe_of
from heads import affine_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sound import packed, zipped

from brain3d.scans import InputError, Scan, read_scan, read_stored
from brain3d.scans.dicom_search import find_dicom

SHAPE = (16, 17, 18)
AFFINE = affine_of((5.0, 5.0, 5.0), SHAPE)
MOST_BYTES = 2**27
FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# Half of the damage falls where the headers are.
PLACES = st.one_of(st.integers(0, 700), st.integers(0, 2**16))
PIECES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"PK\5\6"]),
)
DAMAGE = st.lists(st.tuples(PLACES, PIECES), max_size=4)
CUTS = st.one_of(st.none(), st.integers(0, 2**14))


def values() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 99, SHAPE).astype(np.int16)


@cache
def sound(kind: str) -> bytes:
    """A small sound file."""
    if kind.startswith("nifti"):
        image = (nib.Nifti2Image if kind.endswith("2") else nib.Nifti1Image)(values(), None)
        image.set_sform(AFFINE, 1)
        image.set_qform(AFFINE, 1)
        return bytes(image.to_bytes())
    return as_bytes(multiframe_of(values().astype(np.float32), AFFINE))


def damaged(content: bytes, damage: list[tuple[int, bytes]], cut: int | None) -> bytes:
    """The content with pieces of it overwritten, places counted around, and perhaps cut short."""
    changed = bytearray(content)
    for place, piece in damage:
        at = place % len(changed)
        changed[at : at + len(piece)] = piece
    return bytes(changed if cut is None else changed[: cut % (len(changed) + 1)])


def is_read_or_refused(path: Path) -> None:
    """A finite scan, or an InputError in one line that names the path; little is allocated for either."""
    tracemalloc.start()
    try:
        found = outcome(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES
    if isinstance(found, InputError):
        assert str(found).startswith(f"{path}: ")
        assert str(found).isprintable()
    else:
        assert np.isfinite(found.data).all()
        assert read_stored(path).sha256 == found.sha256


def outcome(path: Path) -> Scan | InputError:
    try:
        return read_scan(path)
    except InputError as error:
        return error


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@FEW
@given(kind=st.sampled_from(["nifti1", "nifti2"]), damage=DAMAGE, cut=CUTS)
def test_damaged_nifti(tmp_path: Path, kind: str, damage: list[tuple[int, bytes]], cut: int | None) -> None:
    is_read_or_refused(written(tmp_path / "a.nii", damaged(sound(kind), damage, cut)))


@FEW
@given(damage=DAMAGE, inner=DAMAGE, cut=CUTS)
def test_damaged_gzip(
    tmp_path: Path, damage: list[tuple[int, bytes]], inner: list[tuple[int, bytes]], cut: int | None
) -> None:
    content = damaged(packed(damaged(sound("nifti1"), inner, None)), damage[:1], cut)
    is_read_or_refused(written(tmp_path / "a.nii.gz", content))


@FEW
@given(damage=DAMAGE, cut=CUTS)
def test_damaged_dicom(tmp_path: Path, damage: list[tuple[int, bytes]], cut: int | None) -> None:
    is_read_or_refused(written(tmp_path / "a.dcm", damaged(sound("dicom"), damage, cut)))


@FEW
@given(from_end=st.booleans(), damage=DAMAGE, cut=CUTS)
def test_damaged_zip(tmp_path: Path, from_end: bool, damage: list[tuple[int, bytes]], cut: int | None) -> None:
    whole = zipped({"caf\xe9": sound("dicom"), "b": b"text"}, tmp_path).read_bytes()
    places = [(len(whole) - 1 - place % 400 if from_end else place, piece) for place, piece in damage]
    path = written(tmp_path / "a.zip", damaged(whole, places, cut))
    is_read_or_refused(path)
    assert all(one.path == path for one in find_dicom([path]))


@FEW
@given(content=st.binary(max_size=800))
@pytest.mark.parametrize("start", [b"", b"\x1f\x8b\x08", b"PK\x03\x04", bytes(128) + b"DICM", b"\x08\x00\x05\x00CS"])
def test_junk(tmp_path: Path, start: bytes, content: bytes) -> None:
    is_read_or_refused(written(tmp_path / "a", start + content))
