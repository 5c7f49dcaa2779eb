"""The language model in 4 bits: what is refused, and, where bitsandbytes is installed, what comes of it on a CPU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from published_parts import write_release

import brain3d
from brain3d.cli.main import main
from brain3d.model import Brain3DForConditionalGeneration
from brain3d.reading import Reader
from brain3d.scans import InputError


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which these tests do not have; bitsandbytes knows both."""
    pytest.importorskip("bitsandbytes", reason="the extra nf4 is not installed")
    monkeypatch.setattr("brain3d.model.quantisation.DEVICES", ("cpu", "cuda"))
    # Its fast way on some CPUs takes layers of whole blocks alone, which those of a tiny model are not.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)


def model_of(reader: Reader) -> Brain3DForConditionalGeneration:
    model: Brain3DForConditionalGeneration = reader._engine.model  # type: ignore[attr-defined]
    return model


def test_without_a_gpu_it_is_refused(
    tiny_folder: Path, release: Path, scan_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (tiny_folder, release):
        with pytest.raises(InputError, match="nf4: needs a CUDA GPU"):
            brain3d.load(folder, device="cpu", quantisation="nf4")
    with pytest.raises(InputError, match="'int3': give nf4 or none"):
        brain3d.load(tiny_folder, device="cpu", quantisation="int3")
    command = ["report", str(scan_file), "--model", str(tiny_folder), "--device", "cpu", "--nf4"]
    for more in ([], ["--output", f"{scan_file.parent / 'many'}/"]):
        assert main([*command, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == "brain3d: error: quantisation nf4: needs a CUDA GPU; leave it out on a CPU"
    assert not (scan_file.parent / "many").exists()


def test_without_bitsandbytes_it_is_refused(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain3d.model.quantisation.find_spec", lambda name: None)
    monkeypatch.setattr("brain3d.model.quantisation.DEVICES", ("cpu",))
    with pytest.raises(InputError, match=r"needs bitsandbytes; run `pip install 'brain3d\[nf4\]'`"):
        brain3d.load(tiny_folder, device="cpu", quantisation="nf4")


def test_adapters_are_not_merged_into_4_bits(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / "release")
    (tmp_path / "release" / "lora_adapters").mkdir()
    with pytest.raises(InputError, match=r"lora_adapters/ cannot be merged .* run `brain3d convert .* OUT`"):
        brain3d.load(tmp_path / "release", device="cpu", quantisation="nf4")


@pytest.mark.usefixtures("on_a_cpu")
@pytest.mark.parametrize("kind", ["own", "published"])
def test_the_language_model_alone_is_in_4_bits(kind: str, tiny_folder: Path, release: Path, scan_file: Path) -> None:
    import bitsandbytes as bnb

    folder = tiny_folder if kind == "own" else release
    reader, plain = (brain3d.load(folder, device="cpu", quantisation=q) for q in ("nf4", None))
    model = model_of(reader)
    small = {name for name, module in model.named_modules() if isinstance(module, bnb.nn.Linear4bit)}
    layers = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert small == {name for name in layers if ".language_model." in name}
    assert all(model.get_submodule(name).weight.dtype == torch.uint8 for name in small)
    assert (reader.visual_tokens(scan_file) == plain.visual_tokens(scan_file)).all()
    report = reader.report(scan_file)
    assert report.text == reader.report(scan_file).text
    assert report.generation["quantisation"] == "nf4"
    assert "quantisation" not in plain.report(scan_file).generation


@pytest.mark.usefixtures("on_a_cpu")
def test_a_kept_report_is_read_again_in_4_bits(
    tiny_folder: Path, scan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["report", str(scan_file), "--model", str(tiny_folder), "--device", "cpu", "--output", f"{tmp_path}/out/"]
    said: list[str | None] = []
    for more in ([], ["--nf4"], ["--nf4"]):
        assert main([*command, *more]) == 0
        (kept,) = (tmp_path / "out").glob("*.json")
        said.append(json.loads(kept.read_text())["generation"].get("quantisation"))
    assert said == [None, "nf4", "nf4"]
