"""The benchmark for GPUs, tried with small parts on the CPU; what is reckoned from its figures."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import brain3d

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    yield gpu
    for name in ("gpu", "gpu_common", "gpu_training", "parts", "machine"):
        sys.modules.pop(name, None)


def test_what_fails_is_a_row_and_the_rest_goes_on(module: ModuleType) -> None:
    gpu = module

    def breaks() -> Iterator[object]:
        yield gpu.Figure("first", 1.0)
        raise torch.OutOfMemoryError("no\n memory")

    figures = list(gpu.attempt("step", breaks))
    assert [figure.value for figure in figures] == [1.0, None]
    assert figures[1].note == "failed, OutOfMemoryError: no memory"


def test_what_fits_is_reckoned_from_two_peaks(module: ModuleType) -> None:
    gpu = module
    bench = gpu.Bench("cpu", True, 1, 8, [1, 16], peaks={"bfloat16": {1: 12e9, 16: 42e9}, "NF4": {1: 5e9}})
    found = {figure.what: figure.value for figure in gpu.fits(bench)}
    assert found["largest batch of 2B on a card of 24 GB, bfloat16"] == 1 + int((0.9 * 24 - 12) // 2)
    assert found["largest batch of 2B on a card of 80 GB, bfloat16"] == 1 + int((0.9 * 80 - 12) // 2)
    assert found["largest batch of 2B on a card of 80 GB, NF4"] is None


@pytest.mark.slow
def test_the_whole_script_runs_with_small_parts_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    options = ["--tiny", "--device", "cpu", "--repeats", "1", "--tokens", "4", "--batches", "1", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(brain3d.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *options, "--json", str(out)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    figures = {row["what"]: row for row in json.loads(out.read_text())["figures"]}
    assert all(what in ran.stdout for what in figures)
    measured = {what for what, row in figures.items() if row["value"] is not None}
    for start in (
        "bfloat16 matrix",
        "copying",
        "encoder, 896 tokens, batch 4",
        "decoding 4 tokens, batch 16, generate",
    ):
        assert any(what.startswith(start) for what in measured)
    assert {"2B step, bfloat16, batch 1", "2B step, bfloat16, batch 2"} <= measured
    unmeasured = {what: row["note"] for what, row in figures.items() if row["value"] is None}
    assert all(note.startswith(("skipped", "not reckoned")) for note in unmeasured.values())
    assert "2B step, NF4, batch 1" in unmeasured
