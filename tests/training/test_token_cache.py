"""The cache gives back what was put in, or says that it has nothing: never something else."""

import errno
import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.scans.cache import CacheError
from brain3d.training.token_cache import CacheTooSmall, DiskFull, TokenCache, entry_key

SPAWN = multiprocessing.get_context("spawn")


def tokens(number: int, size: int = 1000) -> np.ndarray:
    return np.random.default_rng(number).standard_normal((4, size // 4)).astype(np.float32)


def key(number: int) -> str:
    return entry_key(number=number)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "entries").iterdir())


def test_what_was_added_is_got_by_another_instance_read_only(tmp_path: Path) -> None:
    with TokenCache(tmp_path) as cache:
        assert cache.get(key(0)) is None
        cache.add(key(0), tokens(0))
    with TokenCache(tmp_path) as again:
        found = again.get(key(0))
        assert found is not None
        assert np.array_equal(found, tokens(0))
        assert not found.flags.writeable
        assert again.counts.to_dict() == {"found": 1, "added": 0, "damaged": 0, "removed": 0}


def test_half_precision_is_kept_where_asked(tmp_path: Path) -> None:
    with TokenCache(tmp_path, dtype="float16") as cache:
        cache.add(key(0), tokens(0))
        found = cache.get(key(0))
    assert found is not None
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, tokens(0), rtol=1e-3, atol=1e-6)


@given(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.integers(0, 3))
def test_keys_depend_on_every_fact_and_not_on_their_order(names: list[str], value: int) -> None:
    facts = dict.fromkeys(names, value)
    assert entry_key(**facts) == entry_key(**dict(reversed(facts.items())))
    assert entry_key(**facts) != entry_key(**facts, more=1)


@pytest.mark.parametrize("harm", ["flipped bit", "header", "cut", "empty", "longer"])
def test_a_damaged_entry_is_named_counted_and_built_again(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TokenCache(tmp_path) as cache:
        cache.add(key(0), tokens(0))
        (file,) = files(tmp_path)
        whole = bytearray(file.read_bytes())
        place = {"flipped bit": 2000, "header": 20}.get(harm, 0)
        whole[place] ^= 1 if place else 0
        file.write_bytes({"cut": whole[:-700], "empty": b"", "longer": whole + b"more"}.get(harm, whole))
        with caplog.at_level(logging.WARNING):
            assert cache.get(key(0)) is None
        assert key(0)[:16] in caplog.text
        assert cache.counts.damaged == 1
        cache.add(key(0), tokens(0))
        found = cache.get(key(0))
        assert found is not None
        assert np.array_equal(found, tokens(0))


def test_the_bound_holds_and_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    with TokenCache(tmp_path, max_gb=10_000e-9) as cache:  # two entries of some 4.1 kB
        for number in (0, 1):
            cache.add(key(number), tokens(number))
            time.sleep(0.01)
        assert cache.get(key(0)) is not None
        cache.release()
        cache.add(key(2), tokens(2))
        assert [key(number) in cache for number in range(3)] == [True, False, True]
        assert cache.size() <= 10_000
        assert cache.counts.removed == 1


def test_what_is_in_use_is_never_removed(tmp_path: Path) -> None:
    with TokenCache(tmp_path, max_gb=10_000e-9) as cache, TokenCache(tmp_path, max_gb=10_000e-9) as other:
        for number in (0, 1):
            cache.add(key(number), tokens(number))
        with pytest.raises(CacheTooSmall, match="larger bound"):
            other.add(key(2), tokens(2))
        cache.release()
        assert cache.get(key(1)) is not None
        other.add(key(2), tokens(2))
        assert [key(number) in cache for number in range(3)] == [False, True, True]


@pytest.mark.parametrize("book", [b"", b"what", b"%20d" % 10**12], ids=["empty", "garbled", "too large"])
def test_the_bound_holds_whatever_the_count_says(tmp_path: Path, book: bytes) -> None:
    """Too large it is where a process was killed before its entry was there, or where entries were removed by hand."""
    with TokenCache(tmp_path, max_gb=10_000e-9) as cache, TokenCache(tmp_path, max_gb=10_000e-9) as other:
        for number, each in enumerate((cache, other, cache, other, cache)):
            (tmp_path / "lock").write_bytes(book)
            each.add(key(number), tokens(number))
            each.release()
            assert cache.size() == sum(file.stat().st_size for file in files(tmp_path)) <= 10_000
        assert key(4) in other
        assert cache.counts.removed + other.counts.removed == 3


def test_many_instances_share_one_bound(tmp_path: Path) -> None:
    for number in range(6):
        with TokenCache(tmp_path, max_gb=10_000e-9) as cache:
            cache.add(key(number), tokens(number))
            assert key(number) in cache
            assert cache.size() <= 10_000


def test_what_a_process_used_that_ended_without_a_word_may_go(tmp_path: Path) -> None:
    process = SPAWN.Process(target=add_and_be_killed, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with TokenCache(tmp_path, max_gb=10_000e-9) as cache:
        cache.add(key(2), tokens(2))
        assert key(2) in cache
        assert len(list((tmp_path / "users").iterdir())) == 1


def add_and_be_killed(folder: Path) -> None:
    cache = TokenCache(folder, max_gb=10_000e-9)
    for number in (0, 1):
        cache.add(key(number), tokens(number))
    (folder / "entries" / ".half.part").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_while_it_writes_leaves_whole_entries_alone(tmp_path: Path) -> None:
    process = SPAWN.Process(target=add_for_ever, args=(tmp_path,))
    process.start()
    while not (tmp_path / "entries").is_dir() or len(files(tmp_path)) < 20:
        time.sleep(0.01)
    process.kill()
    process.join()
    with TokenCache(tmp_path) as cache:
        kept = [number for number in range(100_000) if key(number) in cache]
        assert len(kept) >= 19
        for number in kept:
            found = cache.get(key(number))
            assert found is not None
            assert np.array_equal(found, tokens(number, 40_000))
        assert cache.counts.damaged == 0
        cache.add(key(-1), tokens(0))
    assert not [file for file in files(tmp_path) if file.suffix == ".part"]


def add_for_ever(folder: Path) -> None:
    cache = TokenCache(folder)
    for number in range(100_000):
        cache.add(key(number), tokens(number, 40_000))


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    workers = [SPAWN.Process(target=add_and_read_all, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(files(tmp_path)) == 40


def add_and_read_all(folder: Path) -> None:
    with TokenCache(folder) as cache:
        for number in range(40):
            if cache.get(key(number)) is None:
                cache.add(key(number), tokens(number))
        for number in range(40):
            found = cache.get(key(number))
            assert found is not None
            assert np.array_equal(found, tokens(number))


def test_a_full_disk_is_called_that_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with TokenCache(tmp_path) as cache:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(DiskFull, match="disk is full"):
            cache.add(key(0), tokens(0))
        assert files(tmp_path) == []
        assert cache.get(key(0)) is None


def test_a_folder_that_is_a_file_and_a_bound_of_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="another folder"):
        TokenCache(tmp_path / "file")
    with pytest.raises(CacheError, match="holds nothing"):
        TokenCache(tmp_path / "new", max_gb=0)


def test_names_are_hashes(tmp_path: Path) -> None:
    with TokenCache(tmp_path) as cache:
        cache.add(entry_key(content="some-patient"), tokens(0))
    everything = [path.name for path in tmp_path.rglob("*")]
    assert not [name for name in everything if "patient" in name]
