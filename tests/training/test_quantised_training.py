"""Training beside a language model in 4 bits; needs bitsandbytes, which knows CPUs too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from brain3d.scans import InputError
from brain3d.training.run import run_recipe

from .small_parts import small_cohort
from .test_cohort_run import RECIPES, finetune, full, learned, rows
from .tiny_folders import tiny_parts

NF4 = ["quantisation=nf4"]


@pytest.fixture(autouse=True)
def _on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which these tests do not have."""
    pytest.importorskip("bitsandbytes", reason="the extra nf4 is not installed")
    monkeypatch.setattr("brain3d.model.quantisation.DEVICES", ("cpu", "cuda"))
    # Its fast way on some CPUs takes layers of whole blocks alone, which those of a tiny model are not.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)


def other_weights(folder: Path) -> None:
    """Another language model of the same config: one weight is another, by more than a step of 4 bits."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))
    weights[name][0, 0] += 1.0
    save_file(weights, file, metadata={"format": "pt"})


def test_a_run_in_4_bits_learns_and_delivers_a_whole_model(tmp_path: Path) -> None:
    """Every stage; `best` is the base as its files have it, with what was learned. Another base is refused."""
    cohort, parts = small_cohort(tmp_path / "cohort").folder, tiny_parts(tmp_path / "parts")
    command = [*full(cohort, parts, tmp_path / "run"), *NF4]
    best = load_file(run_recipe(RECIPES / "full.yaml", command) / "model.safetensors")
    assert all(torch.isfinite(weight).all() and weight.is_floating_point() for weight in best.values())
    losses = [row["step_loss"] for row in rows(tmp_path / "run") if "step_loss" in row]
    assert len(losses) == 8 + 2
    assert any(
        "lora_B" in name and weight.any() for name, weight in learned(tmp_path / "run", "specialisation").items()
    )
    base = load_file(tmp_path / "parts" / "language" / "model.safetensors")
    mlp = "layers.1.mlp.up_proj.weight"
    kept = (next(w for name, w in weights.items() if name.endswith(mlp)) for weights in (base, best))
    assert torch.equal(*(weight.to(torch.bfloat16) for weight in kept))
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(told["model"]) == 32
    run_recipe(RECIPES / "full.yaml", command)
    other_weights(tmp_path / "parts" / "language")
    with pytest.raises(InputError, match="weights were made with model"):
        run_recipe(RECIPES / "full.yaml", command)


def test_a_whole_model_is_adapted_in_4_bits(tmp_path: Path) -> None:
    cohort, parts = small_cohort(tmp_path / "cohort").folder, tiny_parts(tmp_path / "parts")
    short = ["stages.grounding.epochs=1", "stages.warm-up.epochs=1", "stages.specialisation.epochs=1"]
    best = run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, tmp_path / "first"), *short])
    again = run_recipe(RECIPES / "finetune.yaml", [*finetune(best, cohort, tmp_path / "run"), *NF4])
    shutil.rmtree(tmp_path / "first")
    assert load_file(again / "model.safetensors")
