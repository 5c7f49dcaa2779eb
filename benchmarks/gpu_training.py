"""Steps of specialisation (2B) in bfloat16 and NF4: time, peak memory, and what fits on which card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from brain3d.model.modeling_brain3d import LORA_TARGET_PATTERN
from gpu_common import DTYPE, Bench, Figure, Missing, attempt, release
from parts import language_step_flops, on_device, processor_of, random_reports

CARDS_GB = (24, 80)
SPARE = 0.9  # of a card's memory: the rest is the driver's, other libraries', and lost between pieces


def training(bench: Bench) -> Iterator[Figure]:
    for name, convert in (("bfloat16", None), ("NF4", to_nf4)):
        for batch in bench.batches:
            title = f"2B step, {name}, batch {batch}"
            yield from attempt(title, lambda n=name, c=convert, b=batch, t=title: _training_rows(bench, n, c, b, t))
            release()


def _training_rows(
    bench: Bench, name: str, convert: Callable[[nn.Module], None] | None, batch: int, title: str
) -> Iterator[Figure]:
    """A step of projector and LoRA (rank 4) on cached tokens, gradients checkpointed, and its peak of memory."""
    inner = bench.model()
    if convert is not None:
        convert(inner.model.language_model)
    inner.requires_grad_(False)
    inner.gradient_checkpointing_enable({"use_reentrant": False})
    processor, config = processor_of(inner.config), inner.config
    model = get_peft_model(inner, LoraConfig(r=4, lora_alpha=8, target_modules=LORA_TARGET_PATTERN)).train()
    inner.model.projector.requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    inputs = on_device(processor(reports=random_reports(batch, most=1000)), bench.device)
    ids, labels = inputs["input_ids"], inputs["labels"]
    shape = (batch, config.num_visual_tokens, config.compressed_size)
    compressed = torch.randn(shape, device=bench.device, dtype=DTYPE)

    def step() -> None:
        """As the stage takes it: without a mask, logits where a word is learned."""
        model(
            compressed_tokens=compressed, input_ids=ids, labels=labels, loss_only=True, use_cache=False
        ).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = bench.seconds(step)
    tokens = ids.numel()
    rate = language_step_flops(config, tokens, int((labels >= 0).sum())) / seconds / 1e12
    yield Figure(title, 1000 * seconds, "ms", f"{batch / seconds:.1f} studies/s, {tokens} tokens, {rate:.1f} TFLOP/s")
    if bench.on_gpu:
        peak = torch.cuda.max_memory_allocated()
        bench.peaks.setdefault(name, {})[batch] = float(peak)
        yield Figure(f"{title}: peak memory", peak / 1e9, "GB")


def to_nf4(module: nn.Module) -> None:
    """Every linear layer's weights in 4-bit NF4, double quantisation, computed in bfloat16 (arXiv 2305.14314)."""
    if find_spec("bitsandbytes") is None:
        raise Missing("bitsandbytes is not installed")
    import bitsandbytes as bnb

    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if not isinstance(layer, nn.Linear):
                continue
            device = layer.weight.device
            if device.type != "cuda":
                raise Missing("NF4 is measured on GPUs alone")
            lower = bnb.nn.Linear4bit(
                layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=DTYPE, quant_type="nf4"
            )
            lower.weight = bnb.nn.Params4bit(layer.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            setattr(parent, name, lower.to(device))


def fits(bench: Bench) -> Iterator[Figure]:
    """The largest batch of 2B on common cards: peak memory taken to grow evenly with the batch."""
    for name in ("bfloat16", "NF4"):
        for card in CARDS_GB:
            title = f"largest batch of 2B on a card of {card} GB, {name}"
            batches = sorted(bench.peaks.get(name, {}))
            if len(batches) < 2:
                yield Figure(title, None, note="not reckoned: two peaks of memory are needed")
                continue
            first, last = batches[0], batches[-1]
            peaks = bench.peaks[name]
            each = (peaks[last] - peaks[first]) / (last - first)
            room = SPARE * card * 1e9 - peaks[first]
            largest = first + int(room // each) if room >= 0 and each > 0 else 0
            yield Figure(title, float(largest), "studies", f"reckoned, {SPARE:.0%} of the card used")
