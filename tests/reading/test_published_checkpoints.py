"""Checkpoints of the published system: the published arithmetic, whatever the layout, and refusals in one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from published_parts import (
    add_adapters,
    language,
    multimodal,
    projector,
    published,
    tokenizer,
    vision,
    whole_siglip,
    write_release,
)
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, Gemma3ForCausalLM, GenerationConfig

import brain3d
from brain3d.reading import Decoding, Reader, convert
from brain3d.scans import InputError, mirrored_scan, read_scan

PROJECTOR = "projector_vis_scale.pt"
REAL = os.environ.get("BRAIN3D_REAL_DATA", "")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def reader(release: Path) -> Reader:
    return brain3d.load(release, device="cpu")


@pytest.fixture
def copied(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "release"))


def agrees(reader: Reader, scan: Path, expected: tuple[np.ndarray, str]) -> None:
    visual, text = expected
    assert np.abs(reader.visual_tokens(scan) - visual).max() < 1e-4
    assert reader.report(scan, do_sample=False, max_new_tokens=48).text == text
    assert len(text.split()) >= 10


def test_a_release_computes_the_published_arithmetic(release: Path, reader: Reader, scan_file: Path) -> None:
    agrees(reader, scan_file, published(release, scan_file))


def test_the_published_patch_size_makes_5265_tokens(tmp_path: Path, scan_file: Path) -> None:
    folder = write_release(tmp_path / "r", patch=14)
    reader = brain3d.load(folder, device="cpu")
    assert reader._engine.model.config.num_tower_tokens == 5265
    agrees(reader, scan_file, published(folder, scan_file))


def test_weights_stored_in_bfloat16_are_computed_in_float32(tmp_path: Path, scan_file: Path) -> None:
    folder = write_release(tmp_path / "r", torch.bfloat16)
    reader = brain3d.load(folder, device="cpu")
    agrees(reader, scan_file, published(folder, scan_file))
    assert reader.report(scan_file, max_new_tokens=1).generation["dtype"] == "float32"


def test_keys_of_older_vision_towers(copied: Path, scan_file: Path) -> None:
    file = copied / "vision_model" / "model.safetensors"
    old = {f"vision_model.{name}": tensor for name, tensor in load_file(file).items()}
    save_file(old, file, metadata={"format": "pt"})
    agrees(brain3d.load(copied, device="cpu"), scan_file, published(copied, scan_file, tower=vision().eval()))


@pytest.mark.parametrize("kind", ["whole", "headless"])
def test_other_vision_folders(copied: Path, scan_file: Path, kind: str) -> None:
    shutil.rmtree(copied / "vision_model")
    tower = vision(40, vision_use_head=False)
    (whole_siglip(tower) if kind == "whole" else tower).save_pretrained(copied / "vision_model")
    agrees(brain3d.load(copied, device="cpu"), scan_file, published(copied, scan_file, tower=tower.eval()))


def test_a_multimodal_language_folder_gives_its_language_model(copied: Path, scan_file: Path) -> None:
    whole = multimodal()
    replace_language(copied, whole)
    agrees(brain3d.load(copied, device="cpu"), scan_file, published(copied, scan_file, model=text_half(whole)))


def test_a_head_of_its_own_is_kept(copied: Path, scan_file: Path, tmp_path: Path) -> None:
    replace_language(copied, language(tie_word_embeddings=False))
    expected = published(copied, scan_file)
    agrees(brain3d.load(copied, device="cpu"), scan_file, expected)
    agrees(brain3d.load(convert(copied, tmp_path / "out"), device="cpu"), scan_file, expected)


def test_a_tokenizer_without_padding_or_at_the_top(copied: Path, scan_file: Path) -> None:
    tokenizer(pad=False).save_pretrained(copied / "language_model")
    expected = published(copied, scan_file)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(copied / "language_model" / name, copied / name)
    agrees(brain3d.load(copied, device="cpu"), scan_file, expected)


@pytest.mark.parametrize("scale", [torch.tensor(0.6), torch.tensor([0.6]), 2])
def test_the_scale_may_be_a_tensor(copied: Path, scan_file: Path, scale: object) -> None:
    torch.save(projector(scale), copied / PROJECTOR)
    agrees(brain3d.load(copied, device="cpu"), scan_file, published(copied, scan_file))


def test_a_text_ends_where_the_language_model_names_another_end(copied: Path, reader: Reader, scan_file: Path) -> None:
    words = reader.report(scan_file, do_sample=False, max_new_tokens=48).text.split()
    place = next(index for index in range(12, len(words)) if words[index] not in words[:index])
    named = tokenizer().convert_tokens_to_ids(words[place])
    GenerationConfig(eos_token_id=[1, named]).save_pretrained(copied / "language_model")
    report = brain3d.load(copied, device="cpu").report(scan_file, do_sample=False, max_new_tokens=48)
    assert report.text.split() == words[: place + 1]
    assert "cut_short" not in {flag.code for flag in report.flags}


def test_adapters_are_merged(copied: Path, scan_file: Path) -> None:
    adapted = add_adapters(copied, language())
    expected = published(copied, scan_file, model=adapted)
    assert expected[1] != published(copied, scan_file)[1]
    agrees(brain3d.load(copied, device="cpu"), scan_file, expected)


def test_adapters_of_a_multimodal_model_count_on_its_language_model_alone(copied: Path, scan_file: Path) -> None:
    replace_language(copied, multimodal())
    adapted = add_adapters(copied, multimodal())
    names = load_file(copied / "lora_adapters" / "adapter_model.safetensors")
    assert any("vision_tower" in name for name in names)
    half = text_half(adapted.merge_and_unload())
    agrees(brain3d.load(copied, device="cpu"), scan_file, published(copied, scan_file, model=half))


def test_a_stages_checkpoint_beside_its_base_models(copied: Path, scan_file: Path, tmp_path: Path) -> None:
    expected = published(copied, scan_file, model=add_adapters(copied, language()))
    stage = tmp_path / "stage"
    stage.mkdir()
    shutil.move(copied / PROJECTOR, stage)
    shutil.move(copied / "lora_adapters", stage)
    bases = {"vision": copied / "vision_model", "language": str(copied / "language_model")}
    agrees(brain3d.load(stage, device="cpu", **bases), scan_file, expected)
    for missing, given in (("vision_model", "language"), ("language_model", "vision")):
        with pytest.raises(InputError, match=f"without {missing}/; .* --{missing.split('_')[0]}"):
            brain3d.load(stage, device="cpu", **{given: bases[given]})


def test_decoding_is_the_published_one_unless_told_otherwise(reader: Reader, scan_file: Path) -> None:
    first, again = (reader.report(scan_file, mirror_check=False) for _ in range(2))
    assert first.text == again.text
    stated = {"decoding": "sampling", "temperature": 0.1, "top_p": 0.9, "max_new_tokens": 256}
    rules = {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "min_new_tokens": 10}
    assert (stated | rules | {"compat": "published"}).items() <= first.generation.items()
    drawn = {reader.report(scan_file, mirror_check=False, seed=k, temperature=2.0).text for k in range(3)}
    assert len(drawn) == 3
    greedy = reader.report(scan_file, do_sample=False).generation
    assert (rules | {"decoding": "greedy", "max_new_tokens": 256}).items() <= greedy.items()
    assert reader.decoding(do_sample=False, max_new_tokens=7) == Decoding(
        7, False, 0.1, 0, top_p=0.9, repetition_penalty=1.2, no_repeat_ngram_size=3, min_new_tokens=10
    )


def test_the_mirror_check_tells_and_leaves_the_words(
    reader: Reader, scan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that names the left whichever way the head lies: its words stay, the findings name no side."""
    words = "There is a lesion in the left frontal lobe with high signal."

    def write(features: list[object], decoding: Decoding) -> list[object]:
        from brain3d.reading import Written

        return [Written(words) for _ in features]

    monkeypatch.setattr(reader._engine, "write", write)
    report = reader.report(scan_file)
    assert report.text == words
    assert report.generation["mirror_check"] == {"done": True, "result": "side_differs", "chosen": "scan"}
    assert [lesion.side for lesion in report.findings.lesions] == ["unknown"]
    assert "side_unstable" in [flag.code for flag in report.flags]
    alone = reader.report(scan_file, mirror_check=False)
    assert (alone.text, [lesion.side for lesion in alone.findings.lesions]) == (words, ["left"])


def test_the_scan_is_prepared_as_published(reader: Reader, scan_file: Path) -> None:
    volume = reader.volume(scan_file)
    assert volume.data.shape == (1, 64, 128, 128)
    assert (volume.data.min(), volume.data.max()) == (0, 1)
    mirrored = reader.volume(mirrored_scan(read_scan(scan_file)))
    np.testing.assert_allclose(mirrored.data, volume.data[..., ::-1], atol=1e-5)
    assert reader.report(volume, max_new_tokens=1).text == reader.report(scan_file, max_new_tokens=1).text
    with pytest.raises(InputError, match="removes nothing"):
        reader.volume(scan_file, brain_extraction="builtin")


def test_the_hash_is_over_all_weights(reader: Reader, copied: Path) -> None:
    assert reader.identity()["name"] == "brain3d-published"
    assert brain3d.load(copied, device="cpu").identity() == reader.identity()
    torch.save(projector(1.8), copied / PROJECTOR)
    changed = brain3d.load(copied, device="cpu").identity()["hash"]
    add_adapters(copied, language())
    assert len({reader.identity()["hash"], changed, brain3d.load(copied, device="cpu").identity()["hash"]}) == 3


def test_a_converted_model_is_the_same_to_the_bit(copied: Path, scan_file: Path, tmp_path: Path) -> None:
    add_adapters(copied, language())
    before = brain3d.load(copied, device="cpu")
    out = convert(copied, tmp_path / "out")
    shutil.rmtree(copied)
    after = brain3d.load(out, device="cpu")
    assert np.array_equal(after.visual_tokens(scan_file), before.visual_tokens(scan_file))
    assert after.report(scan_file).text == before.report(scan_file).text
    assert after.report(scan_file).generation == before.report(scan_file).generation
    assert not list(out.glob("*.pt"))


def test_conversion_keeps_what_was_stored_in_half_precision_small(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "r", torch.bfloat16)
    stored = load_file(convert(folder, tmp_path / "out") / "model.safetensors")
    language_model = [tensor for name, tensor in stored.items() if ".language_model." in name]
    assert {tensor.dtype for tensor in language_model} == {torch.bfloat16}


def test_conversion_leaves_nothing_half_written(release: Path, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there already"):
        convert(release, tmp_path / "there")
    with pytest.raises(InputError, match="does not exist"):
        convert(release, tmp_path / "no" / "out")
    torch.save({**projector(), "vis_scale": "big"}, copied / PROJECTOR)
    with pytest.raises(InputError, match="vis_scale is no number"):
        convert(copied, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release", "there"]


def test_a_model_in_this_format_is_not_converted(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs no conversion"):
        convert(tiny_folder, tmp_path / "out")
    with pytest.raises(InputError, match="a whole model"):
        brain3d.load(tiny_folder, device="cpu", vision="google/medsiglip-448")


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("exploded",)


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def shard(folder: Path) -> None:
    model = language()
    shutil.rmtree(folder / "language_model")
    model.save_pretrained(folder / "language_model", max_shard_size="8KB")
    tokenizer().save_pretrained(folder / "language_model")
    sorted((folder / "language_model").glob("model-*.safetensors"))[1].unlink()


def other_tower(folder: Path) -> None:
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(folder / "vision_model")


def saved(content: object) -> Callable[[Path], None]:
    return lambda folder: torch.save(content, folder / PROJECTOR)


def cut(name: str) -> Callable[[Path], None]:
    def halve(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return halve


def other_adapters(folder: Path) -> None:
    add_adapters(folder, language())
    file = folder / "lora_adapters" / "adapter_model.safetensors"
    save_file({name: tensor[:, :3].contiguous() for name, tensor in load_file(file).items()}, file)


NOT_FINITE = {"vision_projector": {**projector()["vision_projector"], "0.bias": torch.full((24,), torch.inf)}}
WIDE = {"vision_projector": {**projector()["vision_projector"], "0.weight": torch.zeros(24, 31)}, "vis_scale": 1.0}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (without(PROJECTOR), f"{PROJECTOR} is missing"),
        (without("vision_model/config.json"), r"vision_model: not the vision tower, config.json is missing"),
        (without("vision_model/model.safetensors"), r"vision tower is half there, model.safetensors missing"),
        (without("language_model/config.json"), r"language_model: not the language model, config.json is missing"),
        (without("language_model/model.safetensors"), r"language model is half there, model.safetensors missing"),
        (without("language_model/tokenizer.json"), "no tokenizer"),
        (shard, r"half there, model-00002-of-\d+.safetensors missing"),
        (other_tower, "a model of type 'bert', where the vision tower must be a SigLIP"),
        (
            lambda folder: shutil.copytree(folder / "vision_model", folder / "language_model", dirs_exist_ok=True),
            "Gemma",
        ),
        (saved(Bomb()), "nothing of it was read"),
        (saved({"vision_projector": {}, "vis_scale": 1.0}), "not a projector"),
        (saved([1, 2]), "not a projector"),
        (saved({**projector(), "vis_scale": float("nan")}), "no number"),
        (saved({**projector(), "vis_scale": None}), "no number"),
        (saved(NOT_FINITE), "something else than numbers"),
        (saved(WIDE), r"layers \(24, 31\) and \(24, 24\), which do not lead from a tower of 32"),
        (cut(PROJECTOR), "nothing of it was read"),
        (cut("vision_model/model.safetensors"), "vision tower cannot be loaded"),
        (cut("language_model/model.safetensors"), "language model cannot be loaded"),
        (cut("vision_model/config.json"), "config.json is damaged"),
        (cut("language_model/tokenizer.json"), "tokenizer cannot be loaded"),
        (lambda folder: (folder / "lora_adapters").mkdir(), "lora_adapters: cannot be loaded"),
        (other_adapters, "lora_adapters: adapters of another model"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    copied: Path, damage: Callable[[Path], None], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(copied)
    with pytest.raises(InputError, match=told) as caught:
        brain3d.load(copied, device="cpu")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_a_release_downloaded_by_name(release: Path, monkeypatch: pytest.MonkeyPatch, scan_file: Path) -> None:
    monkeypatch.setattr("brain3d.model.weights.cached_snapshot", lambda name: release if name == "some/one" else None)
    assert brain3d.load("some/one", device="cpu").report(scan_file, max_new_tokens=2).text
    with pytest.raises(InputError, match="no such model"):
        brain3d.load("some/other")


@pytest.mark.real_data
@pytest.mark.skipif(not Path(REAL, "odd").is_dir(), reason="BRAIN3D_REAL_DATA names no folder of real scans")
def test_real_scans(release: Path, reader: Reader) -> None:
    images = sorted(Path(REAL, "brats20-sample", "images").glob("*/*_flair.nii.gz"))
    odd = [Path(REAL, "odd", f"ms_{name}.nii.gz") for name in ("mni_las_sform0", "raw_lps_oblique_thick")]
    for scan in (images[0], *odd):
        agrees(reader, scan, published(release, scan))


def replace_language(folder: Path, model: object) -> None:
    shutil.rmtree(folder / "language_model")
    model.save_pretrained(folder / "language_model")  # type: ignore[attr-defined]
    tokenizer().save_pretrained(folder / "language_model")


def text_half(model: object) -> Gemma3ForCausalLM:
    """The language model of a multimodal one, copied."""
    half = Gemma3ForCausalLM(model.config.text_config).eval()  # type: ignore[attr-defined]
    half.model.load_state_dict(model.model.language_model.state_dict())  # type: ignore[attr-defined]
    half.tie_weights()
    return half
