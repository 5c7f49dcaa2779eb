"""The benchmark of training: what it compares are two ways to the same losses, as many studies an epoch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OWN_NAMES = ("training", "published", "volumes", "parts", "machine")
STUDIES = 2


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import training

    yield training
    for name in OWN_NAMES:
        sys.modules.pop(name, None)


def test_both_ways_compute_the_same_losses_of_phantoms(benchmark: ModuleType, tmp_path: Path) -> None:
    config = benchmark.tiny(volume_shape=(13, 56, 56))
    data = benchmark.random_data(tmp_path, config, STUDIES, "phantoms")
    assert benchmark.difference(config, data, tmp_path) < 1e-5
    tokens = benchmark.distinct(config, data)
    assert len(tokens) == 2 * STUDIES
    assert max(tokens) < config.num_tower_tokens


def test_every_row_of_the_table_is_measured(benchmark: ModuleType, tmp_path: Path) -> None:
    config = benchmark.tiny(volume_shape=(9, 28, 28))
    data = benchmark.random_data(tmp_path, config, STUDIES, "noise")
    found = benchmark.measure_once(config, data, tmp_path, 0, "float32")
    table = [*benchmark.bounds(config, benchmark.distinct(config, data)), *benchmark.rows([found])]
    assert all(value > 0 for _, value, _, _ in table)
    assert sum("times faster" in title for title, *_ in table) == 6
