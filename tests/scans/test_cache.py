"""Cached volumes: what comes back is what was kept, from whichever process, and damage is told."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heads import affine_of, head, scan_of

import brain3d.scans.cache
from brain3d.scans import Volume, VolumeSpec, prepare
from brain3d.scans.cache import INDEX, LOCK, VOLUMES, CacheError, VolumeCache, scan_key
from brain3d.scans.types import SIDE_UNKNOWN

SPEC = VolumeSpec((6, 7, 8), 24.0)


def volume(number: int) -> Volume:
    data = np.random.default_rng(number).uniform(-1, 1, (1, *SPEC.shape)).astype(np.float32)
    return Volume(data, np.diag([24.0, 24.0, 24.0, 1.0]) / 3, ({"name": "made", "number": number},))


def same(one: Volume | None, other: Volume) -> bool:
    return (
        one is not None
        and np.array_equal(one.data, other.data)
        and np.array_equal(one.affine, other.affine)
        and (one.steps, one.flags, one.side_known) == (other.steps, other.flags, other.side_known)
    )


def filled(folder: Path, count: int = 3) -> VolumeCache:
    cache = VolumeCache(folder, SPEC)
    for number in range(count):
        cache.add(scan_key(str(number)), volume(number))
    return cache


def test_a_real_volume_comes_back_whole(tmp_path: Path) -> None:
    shape, spec = (52, 60, 52), VolumeSpec((20, 24, 24), 8.0)
    affine = affine_of((4.0, 4.0, 4.0), shape, (3, 4, 5))
    made = prepare(replace(scan_of(head(affine, shape), affine), side_known=False, flags=(SIDE_UNKNOWN,)), spec)
    VolumeCache(tmp_path, spec).add("a", made)
    again = VolumeCache(tmp_path, spec)
    assert same(again.get("a"), made)
    assert again.get("b") is None
    assert made.flags


def test_volumes_are_one_read_only_array(tmp_path: Path) -> None:
    filled(tmp_path)
    volumes = VolumeCache(tmp_path, SPEC).volumes()
    assert volumes.shape == (3, *SPEC.shape)
    assert np.array_equal(volumes, np.concatenate([volume(number).data for number in range(3)]))
    with pytest.raises(ValueError, match="read-only"):
        volumes[0] = 0


def test_reading_a_cache_writes_nothing(tmp_path: Path) -> None:
    folder = filled(tmp_path).folder
    for path in (*folder.iterdir(), folder):
        os.utime(path, ns=(0, 0))
    assert VolumeCache(tmp_path, SPEC).get(scan_key("1")) is not None
    assert all(path.stat().st_mtime_ns == 0 for path in (*folder.iterdir(), folder))


def test_keys_tell_apart_content_and_how_it_is_read() -> None:
    keys = [
        scan_key("a"),
        scan_key("b"),
        scan_key("a", axes="LPS"),
        scan_key("a", axes="RAS"),
        scan_key("a", mirrored=True),
    ]
    assert len(set(keys)) == len(keys)
    assert scan_key("a", axes="LPS", mirrored=True) == scan_key("a", mirrored=True, axes="LPS")


def test_another_grid_or_another_preprocessing_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    assert len(VolumeCache(tmp_path, replace(SPEC, spacing_mm=25.0))) == 0
    monkeypatch.setattr(brain3d.scans.cache, "preprocessing_version", lambda: "another")
    assert len(VolumeCache(tmp_path, SPEC)) == 0
    monkeypatch.undo()
    assert len(VolumeCache(tmp_path, SPEC)) == 3


def test_what_is_there_is_not_kept_twice(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    cache.add(scan_key("1"), volume(9))
    assert len(cache) == 3
    assert same(cache.get(scan_key("1")), volume(1))


def test_several_writers_at_once(tmp_path: Path) -> None:
    def write(first: int) -> None:
        cache = VolumeCache(tmp_path, SPEC)
        for number in range(first, first + 12):
            cache.add(scan_key(str(number)), volume(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (0, 4, 8, 12)))
    cache = VolumeCache(tmp_path, SPEC)
    assert len(cache) == 24
    assert all(same(cache.get(scan_key(str(number))), volume(number)) for number in range(24))


def test_a_reader_that_was_there_before_sees_what_others_added_when_it_adds(tmp_path: Path) -> None:
    early = VolumeCache(tmp_path, SPEC)
    filled(tmp_path)
    assert early.get(scan_key("0")) is None
    early.add(scan_key("7"), volume(7))
    assert same(early.get(scan_key("0")), volume(0))
    assert same(early.get(scan_key("7")), volume(7))


@pytest.mark.parametrize("kept", [1, 10, 200])
def test_what_a_killed_writer_left_is_written_over(tmp_path: Path, kept: int) -> None:
    cache = filled(tmp_path)
    index, volumes = cache.folder / INDEX, cache.folder / VOLUMES
    with volumes.open("ab") as file:
        file.write(bytes(kept))
    with index.open("ab") as file:
        file.write(index.read_bytes()[: kept // 2])
    again = VolumeCache(tmp_path, SPEC)
    assert len(again) == 3
    again.add(scan_key("3"), volume(3))
    whole = VolumeCache(tmp_path, SPEC)
    assert all(same(whole.get(scan_key(str(number))), volume(number)) for number in range(4))


@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b"7", b"\xff", b'{"key": "a", "checksum": 1}'])
def test_a_damaged_index_is_refused(tmp_path: Path, line: bytes) -> None:
    index = filled(tmp_path).folder / INDEX
    lines = index.read_bytes().split(b"\n")
    index.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    with pytest.raises(CacheError, match=r"damaged cache, line 2 .* delete this folder"):
        VolumeCache(tmp_path, SPEC)


def test_damaged_volumes_are_refused(tmp_path: Path) -> None:
    volumes = filled(tmp_path).folder / VOLUMES
    content = bytearray(volumes.read_bytes())
    content[len(content) // 2] ^= 1
    volumes.write_bytes(content)
    cache = VolumeCache(tmp_path, SPEC)
    assert same(cache.get(scan_key("0")), volume(0))
    with pytest.raises(CacheError, match="not what was written; delete this folder"):
        cache.get(scan_key("1"))
    volumes.write_bytes(content[:-4])
    with pytest.raises(CacheError, match="lacks volumes"):
        VolumeCache(tmp_path, SPEC)


def test_damaged_settings_are_refused(tmp_path: Path) -> None:
    (filled(tmp_path).folder / "settings.json").write_text("{}")
    with pytest.raises(CacheError, match="its settings"):
        VolumeCache(tmp_path, SPEC)


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CacheError, match=r"cannot hold a cache .* give another folder"):
            VolumeCache(folder, SPEC)


def test_a_volume_of_another_grid_is_no_entry(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the cache holds"):
        VolumeCache(tmp_path, SPEC).add("a", Volume(np.zeros((1, 2, 2, 2), np.float32), np.eye(4)))


def test_only_plain_data_is_written(tmp_path: Path) -> None:
    folder = filled(tmp_path).folder
    assert {file.name for file in folder.iterdir()} == {"settings.json", VOLUMES, INDEX, LOCK}
    for line in (folder / INDEX).read_text().splitlines():
        assert set(json.loads(line)) == {"key", "checksum", "affine", "steps", "flags", "side_known"}
    assert set(json.loads((folder / "settings.json").read_text())) == {"format", "preprocessing", "shape", "spacing_mm"}


def test_templates_and_code_are_part_of_the_version(tmp_path: Path) -> None:
    def version() -> str:
        brain3d.scans.cache.preprocessing_version.cache_clear()
        return brain3d.scans.cache.preprocessing_version(tmp_path)

    found = [version()]
    for name in ("step.py", "template.npz"):
        for content in (b"one", b"two"):
            (tmp_path / name).write_bytes(content)
            found.append(version())
    assert len(set(found)) == len(found)
    brain3d.scans.cache.preprocessing_version.cache_clear()
