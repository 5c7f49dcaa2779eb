"""One volume encoded on a CPU: the published arithmetic in plain bfloat16, and by this package in float32.

Both from a prepared volume (64 x 128 x 128) to its visual tokens, with the same random weights of the published widths
(5,265 tokens of 1,152 channels); fewer layers than the published 27, which all cost the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, SiglipVisionConfig, SiglipVisionModel

import machine
from brain3d.model.configuration_brain3d import PUBLISHED
from brain3d.model.parts import LanguagePart, assemble
from brain3d.model.projector import Brain3DProjector

TEXT_HIDDEN = 2560


def vision_model(layers: int) -> SiglipVisionModel:
    """The vision tower of the published width, with fewer layers."""
    config = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=layers,
        num_attention_heads=16,
        image_size=448,
        patch_size=14,
        vision_use_head=False,
    )
    return SiglipVisionModel(config).eval()


def small_language_model() -> Gemma3ForCausalLM:
    """Of the published width and one thin layer; encoding does not touch it."""
    config = Gemma3TextConfig(
        vocab_size=64,
        hidden_size=TEXT_HIDDEN,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=32,
        layer_types=["full_attention"],
    )
    return Gemma3ForCausalLM(config)


def published_way(
    tower: SiglipVisionModel, projector: Brain3DProjector, dtype: torch.dtype
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The published arithmetic written plainly: a 3-D convolution, the encoder, pooling, the projector."""
    tower, projector = tower.to(dtype), projector.to(dtype)
    flat = tower.embeddings.patch_embedding
    kernel = flat.weight.unsqueeze(2).repeat(1, 1, 2, 1, 1).div(2).mean(dim=1, keepdim=True)

    def encode(volume: torch.Tensor) -> torch.Tensor:
        grid = functional.conv3d(volume.to(dtype), kernel, flat.bias, stride=(1, 14, 14), padding=(1, 0, 0))
        _, hidden, depth, rows, columns = grid.shape
        place = torch.linspace(-1, 1, depth).view(depth, 1, 1, 1).repeat(1, rows, columns, hidden)
        place[..., 0] += torch.linspace(-1, 1, rows).view(1, rows, 1)
        place[..., 1] += torch.linspace(-1, 1, columns).view(1, 1, columns)
        tokens = (grid.permute(0, 2, 3, 4, 1) + place.to(dtype)).flatten(1, 3)
        tokens = tower.post_layernorm(tower.encoder(inputs_embeds=tokens).last_hidden_state)
        pooled = functional.adaptive_avg_pool1d(tokens.transpose(1, 2), 32).transpose(1, 2)
        return projector(pooled)

    return encode


def seconds(encode: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Seconds of the processor for one volume, and its visual tokens in float32."""
    start = time.process_time()
    found = encode(volume)
    return time.process_time() - start, found.float()


@torch.inference_mode()
def measure(arguments: argparse.Namespace) -> list[tuple[str, float, str, str]]:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    tower = vision_model(arguments.layers)
    model, _ = assemble(tower, LanguagePart(small_language_model(), None), **PUBLISHED)  # type: ignore[arg-type]
    projector = model.model.projector
    copied = Brain3DProjector(model.config)
    copied.load_state_dict(projector.state_dict())
    twin = vision_model(arguments.layers)
    twin.load_state_dict(tower.state_dict())
    plain = published_way(twin, copied, torch.float32)
    volume = torch.rand(1, 1, 64, 128, 128)

    def own(given: torch.Tensor) -> torch.Tensor:
        return model.get_image_features(given).pooler_output

    exact, expected = seconds(plain, volume)
    difference = float((seconds(own, volume)[1] - expected).abs().max())
    half = published_way(twin, copied, torch.bfloat16)
    half(volume)
    pairs = [(seconds(half, volume)[0], seconds(own, volume)[0]) for _ in range(arguments.repeats)]
    return [
        ("published arithmetic, plain bfloat16", statistics.median(a for a, _ in pairs), "s", ""),
        ("published arithmetic, plain float32, once", exact, "s", ""),
        ("this package, float32", statistics.median(b for _, b in pairs), "s", ""),
        ("times faster than plain bfloat16", statistics.median(a / b for a, b in pairs), "", "target >= 2"),
        ("greatest difference from plain float32, 1e-6", 1e6 * difference, "", "target < 100"),
        ("greatest visual token", float(expected.abs().max()), "", ""),
    ]


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--layers", type=int, default=2, help="layers of the encoder; the published one has 27")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    machine.show(measure(arguments), arguments.json)


if __name__ == "__main__":
    main()
