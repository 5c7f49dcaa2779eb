"""Assembling the composite from its two parts: choices, number types, hub names, and refusals that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import Gemma3ForCausalLM, SiglipVisionModel

from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor
from brain3d.model.configuration_brain3d import PUBLISHED
from brain3d.model.parts import assemble, full_size_choices, load_language_part, load_vision_part, pick_dtype
from brain3d.model.positions import PublishedPositions
from brain3d.model.weights import find_part
from brain3d.scans.types import InputError

sys.path.append(str(Path(__file__).resolve().parents[1] / "reading"))

from published_parts import WORDS, language, multimodal, text_config, tokenizer, vision, write_release

SMALL = {"volume_shape": (16, 32, 32), "depth_patch_size": 4, "depth_stride": 4, "grid_size": (2, 2, 2)}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_release(tmp_path_factory.mktemp("parts"), patch=8)
    multimodal().save_pretrained(folder / "multimodal")
    tokenizer().save_pretrained(folder / "multimodal")
    return folder


def build(parts: Path, **choices: Any) -> tuple[Brain3DForConditionalGeneration, Any]:
    torch.manual_seed(3)
    return assemble(parts / "vision_model", parts / "language_model", **{**SMALL, **choices})


def test_both_parts_are_kept(parts: Path) -> None:
    model, words = build(parts)
    flat, text = vision(8), language()
    for name, tensor in flat.encoder.state_dict().items():
        assert torch.equal(model.model.vision_tower.encoder.state_dict()[name], tensor)
    for name, tensor in text.model.state_dict().items():
        assert torch.equal(model.model.language_model.state_dict()[name], tensor)
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    assert len(words) == len(WORDS)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"compression": "sequence", "num_visual_tokens": 5},
        {"compression": "perceiver", "num_visual_tokens": 5, "perceiver_heads": 4},
        {"positions": "published", "colour": "averaged", "inflation": "center"},
        {"grid_context": True, "context_amounts": 3, "feature_standardisation": True, "evidence_head": True},
    ],
)
def test_every_choice_learns_writes_and_comes_back_from_disk(
    parts: Path, tmp_path: Path, choices: dict[str, Any]
) -> None:
    model, words = build(parts, **choices)
    processor = Brain3DProcessor.from_config(words, model.config)
    volume = np.random.default_rng(0).uniform(-1, 1, (1, *model.config.volume_shape)).astype(np.float32)
    batch = processor([volume], ["lesion in the left lobe"])
    loss = model(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert model.model.vision_tower.embeddings.patch_embedding.weight.grad.abs().sum() > 0
    model.save_pretrained(tmp_path / "m")
    again, told = Brain3DForConditionalGeneration.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert torch.equal(again.eval()(**batch).loss, loss)


def test_the_placeholder_lies_beyond_the_vocabulary(parts: Path) -> None:
    model, words = build(parts)
    assert model.config.image_token_id == model.config.text_config.vocab_size
    batch = Brain3DProcessor.from_config(words, model.config)(batch_size=1)
    features = torch.randn(1, model.config.num_visual_tokens, model.config.text_config.hidden_size)
    merged = model.model.merge(batch["input_ids"], features)
    assert torch.equal(merged[:, : features.shape[1]], features)
    by_ids = model.generate(**batch, image_features=features, max_new_tokens=5, do_sample=False)
    by_embeds = model.generate(
        inputs_embeds=merged, attention_mask=batch["attention_mask"], max_new_tokens=5, do_sample=False
    )
    assert torch.equal(by_ids[:, batch["input_ids"].shape[1] :], by_embeds)


def test_a_multimodal_part_gives_the_same_as_its_language_model(parts: Path) -> None:
    part = load_language_part(parts / "multimodal")
    half = Gemma3ForCausalLM(text_config(len(WORDS) + 8))
    half.model.load_state_dict(multimodal().model.language_model.state_dict())
    half.tie_weights()
    ids = torch.arange(12)[None]
    assert torch.equal(part.model(ids).logits, half.eval()(ids).logits)


def test_own_choices_hold_a_head_and_keep_left_and_right_apart() -> None:
    for patch in (8, 14, 16, 32):
        (depth, height, width), spacing = (
            full_size_choices(patch)["volume_shape"],
            full_size_choices(patch)["spacing_mm"],
        )
        assert min(height * spacing, width * spacing) >= 190
        assert depth * spacing >= 170
        assert height % patch == 0
        assert width % (2 * patch) == 0
        assert max(height, width) < 96 + 2 * patch


def test_the_published_signal() -> None:
    signal = PublishedPositions((3, 2, 5), 4).signal().reshape(3, 2, 5, 4)
    assert signal[0, 0, 0].tolist() == [-2, -2, -1, -1]
    assert signal[2, 1, 4].tolist() == [2, 2, 1, 1]
    assert signal[1, 0, 2].tolist() == [-1, 0, 0, 0]


def test_the_published_model_is_a_choice(parts: Path) -> None:
    model, _ = assemble(parts / "vision_model", parts / "language_model", **PUBLISHED)
    assert model.config.token_grid == (65, 16, 16)
    assert not list(model.model.vision_tower.embeddings.positions.parameters())
    volume = torch.rand(1, 1, 64, 128, 128)
    found = model.model.vision_tower.embeddings.patch_embedding(volume)
    kernel = model.model.vision_tower.embeddings.patch_embedding.weight
    bias = model.model.vision_tower.embeddings.patch_embedding.bias
    convolved = torch.nn.functional.conv3d(volume, kernel, bias, stride=(1, 8, 8), padding=(1, 0, 0))
    assert (found - convolved.flatten(3).permute(0, 2, 3, 1)).abs().max() < 1e-5


def test_loaded_parts_can_be_given(parts: Path) -> None:
    tower, text = load_vision_part(parts / "vision_model"), load_language_part(parts / "language_model")
    assert isinstance(tower, SiglipVisionModel)
    torch.manual_seed(3)
    model, _ = assemble(tower, text, **SMALL)
    other, _ = build(parts)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_number_types(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_dtype("cpu")[0] == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert pick_dtype("cuda") == (
        torch.bfloat16,
        "bfloat16 on a GPU: half the memory, and what large parts were trained in",
    )
    assert pick_dtype("cuda", weight_bytes=1000)[0] == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert pick_dtype("cuda")[0] == torch.float32
    model, _ = build(parts, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_what_does_not_fit_is_told(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="do not fit together: grid_size"):
        build(parts, grid_size=(2, 2, 3))
    with pytest.raises(InputError, match="no such folder for the vision tower"):
        load_vision_part(tmp_path / "nowhere")
    with pytest.raises(InputError, match="a file, not the language model"):
        load_language_part(parts / "projector_vis_scale.pt")
    with pytest.raises(InputError, match="'gemma3_text', where the vision tower must be a SigLIP"):
        load_vision_part(parts / "language_model")
    with pytest.raises(InputError, match="'siglip_vision_model', where the language model must be a Gemma 3"):
        load_language_part(parts / "vision_model")
    with pytest.raises(InputError, match="give nf4 or none"):
        load_language_part(parts / "language_model", quantisation="int3")
    with pytest.raises(InputError, match="needs a CUDA GPU"):
        load_language_part(parts / "language_model", quantisation="nf4")
    monkeypatch.setattr("brain3d.model.quantisation.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'brain3d\[nf4\]'"):
        load_language_part(parts / "language_model", quantisation="nf4", device="cuda")


class Hub:
    """A hub whose answers are known: in the cache, and over the network."""

    def __init__(self, cached: Path | Exception, remote: Path | Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers, self.asked = {True: cached, False: remote}, 0
        monkeypatch.setattr("huggingface_hub.snapshot_download", self)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def __call__(self, name: str, *, local_files_only: bool = False, **rest: Any) -> str:
        self.asked += not local_files_only
        answer = self.answers[local_files_only]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


def refusal(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "refused\nfor reasons")
    return error


NOT_HERE = LocalEntryNotFoundError("not here")
NAME = "google/medsiglip-448"


def test_a_name_in_the_cache_asks_nobody(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(parts / "vision_model", OSError("no network"), monkeypatch)
    assert load_vision_part(NAME).config.patch_size == 8
    assert hub.asked == 0


def test_a_half_downloaded_name_is_completed_or_told(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_bytes((parts / "vision_model" / "config.json").read_bytes())
    hub = Hub(tmp_path, parts / "vision_model", monkeypatch)
    assert find_part(NAME, "the vision tower") == parts / "vision_model"
    assert hub.asked == 1
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"half there, model\.safetensors missing; run `hf download"):
        find_part(NAME, "the vision tower")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (refusal(GatedRepoError), "is gated; accept its terms at https://huggingface.co/google/medsiglip-448, then"),
        (refusal(RepositoryNotFoundError), "the hub has no such model"),
        (OSError("no network"), "cannot be downloaded (no network); run `hf download"),
    ],
)
def test_what_the_hub_refuses_is_told(error: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(NOT_HERE, error, monkeypatch)
    with pytest.raises(InputError) as caught:
        load_vision_part(NAME)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_offline_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(NOT_HERE, OSError(), monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"not in the local hub cache; .*`hf download google/medsiglip-448"):
        load_vision_part(NAME)
    assert hub.asked == 0
