"""What is asked of a GPU, measured in one call: the tower, decoding, and training steps of the paper's parts.

The parts are full-size (SigLIP so400m/14 at 5,265 tokens, the language model of Gemma 3 4B) with random weights;
`--tiny` takes small ones, to try the script without a GPU. A measurement that cannot be made, as for lack of memory or
of a library, is a row that says so, and the others go on. Times are medians over repeats, on the clock.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import machine
from brain3d.model import Brain3DForConditionalGeneration
from brain3d.model.greedy import PLAIN, WAYS, GreedyDecoder, Shape
from gpu_common import DTYPE, Bench, Figure, attempt, release
from gpu_training import fits, training
from parts import full_size, processor_of, text_parameters, tiny, tower_flops


def matrix_rate(bench: Bench) -> Iterator[Figure]:
    size = 512 if bench.small else 8192
    one, other = (torch.randn(size, size, device=bench.device, dtype=DTYPE) for _ in range(2))
    bench.rate = 2 * size**3 / bench.seconds(lambda: one @ other)
    yield Figure("bfloat16 matrix product", bench.rate / 1e12, "TFLOP/s", f"{size} cubed")


def copy_bandwidth(bench: Bench) -> Iterator[Figure]:
    count = 2**22 if bench.small else 2**30
    source, target = (torch.zeros(count, device=bench.device, dtype=torch.uint8) for _ in range(2))
    bench.bandwidth = 2 * count / bench.seconds(lambda: target.copy_(source))
    yield Figure("copying, read and written", bench.bandwidth / 1e9, "GB/s", f"{count / 2**20:.0f} MiB")


def encoder(bench: Bench) -> Iterator[Figure]:
    model = bench.model().model
    config, work = model.config, tower_flops(model.config)
    ways: list[tuple[str, Callable[[Tensor], Tensor]]] = [("as it is", model.encode)]
    if bench.on_gpu:
        ways.append(("compiled", torch.compile(model.encode, dynamic=False)))
    for way, encode in ways:
        for batch in (1, 4):
            volumes = torch.rand(batch, 1, *config.volume_shape, device=bench.device, dtype=DTYPE)
            title = f"encoder, {config.num_tower_tokens} tokens, batch {batch}, {way}"
            yield from attempt(title, lambda e=encode, v=volumes, t=title: _encoder_rows(bench, e, v, work, t))


@torch.inference_mode()
def _encoder_rows(
    bench: Bench, encode: Callable[[Tensor], Tensor], volumes: Tensor, work: float, title: str
) -> Iterator[Figure]:
    seconds = bench.seconds(lambda: encode(volumes))
    rate = work * len(volumes) / seconds
    yield Figure(title, 1000 * seconds / len(volumes), "ms/volume", f"{rate / 1e12:.1f} TFLOP/s")
    if bench.rate is not None:
        yield Figure(f"{title}: share of the matrix rate", 100 * rate / bench.rate, "%", "target: at least 45")


def decoding(bench: Bench) -> Iterator[Figure]:
    model = bench.model()
    processor = processor_of(model.config)
    weights = sum(p.numel() * p.element_size() for p in model.model.language_model.parameters())
    floor = None if bench.bandwidth is None else bench.tokens * weights / bench.bandwidth
    if floor is not None:
        yield Figure(f"floor of {bench.tokens} tokens: weights over bandwidth", 1000 * floor, "ms")
    prefix = torch.tensor([processor.prefix_ids()], device=bench.device)
    for batch in (1, 16):
        shape = (batch, prefix.shape[1])
        features = torch.randn(batch, model.config.num_visual_tokens, model.config.text_config.hidden_size)
        features = features.to(bench.device, DTYPE)
        for way in ("generate", *(WAYS if bench.on_gpu else [PLAIN])):
            title = (
                f"decoding {bench.tokens} tokens, batch {batch}, {'' if way == 'generate' else 'static cache, '}{way}"
            )
            write = _writer(model, prefix.expand(shape).contiguous(), bench.tokens, way)
            yield from attempt(title, lambda w=write, f=features, t=title: _decoding_rows(bench, w, f, floor, t))


def _writer(model: Brain3DForConditionalGeneration, prefix: Tensor, count: int, way: str) -> Callable[[Tensor], Tensor]:
    if way != "generate":
        decoder = GreedyDecoder(model, Shape(*prefix.shape, count), way)
        return lambda features: decoder(model.model.merge(prefix, features))

    def write(features: Tensor) -> Tensor:
        written: Tensor = model.generate(
            input_ids=prefix,
            attention_mask=torch.ones_like(prefix),
            image_features=features,
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
        return written

    return write


def _decoding_rows(
    bench: Bench, write: Callable[[Tensor], Tensor], features: Tensor, floor: float | None, title: str
) -> Iterator[Figure]:
    seconds = bench.seconds(lambda: write(features))
    rate = len(features) * bench.tokens / seconds
    yield Figure(title, 1000 * seconds, "ms", f"{rate:.0f} tokens/s")
    if floor is not None and len(features) == 1:
        yield Figure(f"{title}: over the floor", seconds / floor, "x", "target: at most 1.5")


def sizes(bench: Bench) -> Iterator[Figure]:
    config = tiny() if bench.small else full_size()
    yield Figure("encoding a volume", tower_flops(config) / 1e12, "TFLOP", f"{config.num_tower_tokens} tokens")
    layers, head = text_parameters(config)
    yield Figure("weights of the language model", (layers + head) / 1e9, "billion", "products with every token")


STEPS: tuple[tuple[str, Callable[[Bench], Iterator[Figure]]], ...] = (
    ("sizes", sizes),
    ("matrix rate", matrix_rate),
    ("copy bandwidth", copy_bandwidth),
    ("encoder", encoder),
    ("decoding", decoding),
    ("training", training),
    ("fits", fits),
)


def measure(bench: Bench, only: list[str]) -> list[Figure]:
    """All figures in order; each is shown on stderr as it comes, so that a run that is cut short is not lost."""
    figures = []
    for name, step in STEPS:
        if only and name not in only:
            continue
        for figure in attempt(name, lambda s=step: s(bench)):
            figures.append(figure)
            print(line_of(figure, 0), file=sys.stderr, flush=True)
        release()
    return figures


def line_of(figure: Figure, width: int) -> str:
    value = "        -" if figure.value is None else f"{figure.value:9.2f}"
    return f"{figure.what:<{width}}  {value} {figure.unit:<10} {figure.note}".rstrip()


def facts(bench: Bench) -> dict[str, Any]:
    found = machine.facts()
    if bench.on_gpu:
        card = torch.cuda.get_device_properties(bench.device)
        found |= {"gpu": card.name, "gpu GB": round(card.total_memory / 1e9, 1), "cuda": torch.version.cuda}
    return found


def write(out: Path, figures: list[Figure], about: dict[str, Any]) -> None:
    content = {"machine": about, "figures": [figure._asdict() for figure in figures]}
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    parser.add_argument("--tiny", action="store_true", help="small parts")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=256, help="tokens decoded (default: 256)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16], help="of 2B (default: 1 8 16)")
    parser.add_argument("--only", nargs="+", default=[], choices=[name for name, _ in STEPS])
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no GPU can be used; give --device cpu --tiny to try the script without one")
    bench = Bench(arguments.device, arguments.tiny, arguments.repeats, arguments.tokens, arguments.batches)
    figures, about = measure(bench, arguments.only), facts(bench)
    width = max(len(figure.what) for figure in figures)
    for figure in figures:
        print(line_of(figure, width))
    print("; ".join(f"{key} {value}" for key, value in about.items()))
    if arguments.json is not None:
        write(arguments.json, figures, about)


if __name__ == "__main__":
    main()
