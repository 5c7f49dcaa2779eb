"""The benchmark for GPUs, tried with small parts on the CPU; its decoder writes what `generate` writes."""

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
from brain3d.model import Brain3DForConditionalGeneration

from .small_parts import small_model

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu
    import gpu_decoding

    yield gpu, gpu_decoding
    for name in ("gpu", "gpu_common", "gpu_decoding", "gpu_training", "parts", "machine"):
        sys.modules.pop(name, None)


def varied_model() -> Brain3DForConditionalGeneration:
    """One whose greedy words are not all the same."""
    model = small_model()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.model.language_model.layers.parameters():
            parameter.normal_(std=0.4)
    return model


def test_the_static_decoder_writes_what_generate_writes(modules: tuple[ModuleType, ModuleType]) -> None:
    model, count = varied_model(), 12
    prefix = torch.tensor([[3] * 8 + [5, 6, 7]] * 2)
    decoder = modules[1].GreedyDecoder(model, prefix, count, "as it is")
    for seed in (0, 1):  # the second time with the cache of the first
        features = torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(seed))
        expected = model.generate(
            input_ids=prefix,
            attention_mask=torch.ones_like(prefix),
            image_features=features,
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
        )[:, -count:]
        assert len(set(expected.flatten().tolist())) > 1
        assert torch.equal(decoder(features), expected)


def test_what_fails_is_a_row_and_the_rest_goes_on(modules: tuple[ModuleType, ModuleType]) -> None:
    gpu = modules[0]

    def breaks() -> Iterator[object]:
        yield gpu.Figure("first", 1.0)
        raise torch.OutOfMemoryError("no\n memory")

    figures = list(gpu.attempt("step", breaks))
    assert [figure.value for figure in figures] == [1.0, None]
    assert figures[1].note == "failed, OutOfMemoryError: no memory"


def test_what_fits_is_reckoned_from_two_peaks(modules: tuple[ModuleType, ModuleType]) -> None:
    gpu = modules[0]
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
