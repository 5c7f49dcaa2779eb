"""One volume encoded on a CPU: the published arithmetic in plain bfloat16, and by this package in float32.

Both from a prepared volume (64 x 128 x 128) to its visual tokens, with the same random weights of the published widths
(5,265 tokens of 1,152 channels); fewer layers than the published 27, which all cost the same. Volumes are of phantoms
without their skulls, as BraTS gives heads; of noise, which has no air; or the FLAIR scans of a folder.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

import machine
from brain3d.model import Brain3DForConditionalGeneration
from parts import full_size
from published import published_tokens
from volumes import KINDS, real_volumes, tokens_that_differ, volumes

Row = tuple[str, float, str, str]


def random_model(layers: int) -> Brain3DForConditionalGeneration:
    """A tower and projector of the published widths, with fewer layers, and a language model that is not looked at."""
    config = full_size()
    config.vision_config.num_hidden_layers = layers
    config.text_config.num_hidden_layers, config.text_config.intermediate_size = 1, 64
    config.text_config.layer_types = ["full_attention"]
    config.text_config.vocab_size = 64
    torch.manual_seed(0)
    return Brain3DForConditionalGeneration(config).eval()


def seconds(encode: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Seconds of the processor for one volume, and its visual tokens in float32."""
    start = time.process_time()
    found = encode(volume)
    return time.process_time() - start, found.float()


@torch.inference_mode()
def measure(arguments: argparse.Namespace) -> list[Row]:
    torch.set_num_threads(arguments.threads)
    model = random_model(arguments.layers)
    lower = copy.deepcopy(model).to(torch.bfloat16)
    shape = model.config.volume_shape
    drawn = islice(volumes(arguments.volume, shape), arguments.count)
    found = list(drawn) if arguments.images is None else real_volumes(arguments.images, shape)
    inputs = [torch.from_numpy(volume.data.copy())[None] for volume in found]

    def plain(volume: torch.Tensor) -> torch.Tensor:
        return model.model.projector(published_tokens(model, volume))

    def half(volume: torch.Tensor) -> torch.Tensor:
        return lower.model.projector(published_tokens(lower, volume))

    def own(volume: torch.Tensor) -> torch.Tensor:
        return model.get_image_features(volume).pooler_output

    half(inputs[0])
    own(inputs[0])
    differences, largest, times = [], [], []
    for volume in inputs:
        exact, expected = seconds(plain, volume)
        differences.append(float((own(volume) - expected).abs().max()))
        largest.append(float(expected.abs().max()))
        times += [(seconds(half, volume)[0], exact, seconds(own, volume)[0]) for _ in range(arguments.repeats)]
    tokens = statistics.median(tokens_that_differ(model, volume.data) for volume in found)
    return [
        ("tokens that differ", tokens, "", f"of {model.config.num_tower_tokens}"),
        ("published arithmetic, plain bfloat16", statistics.median(a for a, _, _ in times), "s", ""),
        ("published arithmetic, plain float32", statistics.median(b for _, b, _ in times), "s", "once a volume"),
        ("this package, float32", statistics.median(c for _, _, c in times), "s", ""),
        ("times faster than plain bfloat16", statistics.median(a / c for a, _, c in times), "x", "target >= 2"),
        ("times faster than plain float32", statistics.median(b / c for _, b, c in times), "x", ""),
        ("greatest difference from plain float32, 1e-6", 1e6 * max(differences), "", "target < 100"),
        ("greatest visual token", max(largest), "", ""),
    ]


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--layers", type=int, default=2, help="layers of the encoder; the published one has 27")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=3, help="how many volumes are drawn")
    parser.add_argument("--volume", choices=KINDS, default="phantoms")
    parser.add_argument("--images", type=Path, help="SUBJECT/SUBJECT_flair.nii.gz below it are encoded instead")
    arguments = parser.parse_args()
    machine.show(measure(arguments), arguments.json)


if __name__ == "__main__":
    main()
