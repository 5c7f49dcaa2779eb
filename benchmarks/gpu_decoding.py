"""Greedy decoding in one shape: a static cache, and a step that can be compiled and captured as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import StaticCache

from brain3d.model import Brain3DForConditionalGeneration

WAYS = ("as it is", "graph", "compiled graph")


class GreedyDecoder:
    """Writes exactly `count` tokens after visual tokens and a prompt, for a batch of rows of equal length.

    Every tensor that a step reads or writes keeps its place: the tokens so far, the place in the sequence, the mask of
    what may be attended to, keys and values. So one step can be captured once and replayed, without Python in between.
    Tokens are written on past an end-of-sequence token, so that each run takes as long.

    Args:
        way: "as it is" runs the step from Python; "graph" replays it as a CUDA graph, "compiled graph" after
            torch.compile. The last two need a GPU.
    """

    def __init__(self, model: Brain3DForConditionalGeneration, prefix: Tensor, count: int, way: str) -> None:
        if way not in WAYS:
            raise ValueError(f"way is {way!r}, expected one of {', '.join(WAYS)}")
        self.model, self.prefix, self.count = model, prefix, count
        rows, length = prefix.shape
        self.length = length + count
        device = prefix.device
        self.cache = StaticCache(config=model.config.text_config, max_cache_len=self.length)
        self.written = torch.zeros(rows, count, dtype=torch.long, device=device)
        self.token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.number = torch.zeros(1, dtype=torch.long, device=device)
        self.mask = torch.zeros(rows, 1, 1, self.length, dtype=torch.bool, device=device)
        self.way = way
        self._replay: Callable[[], None] | None = None

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> Tensor:
        """Visual tokens (B, K, d) -> ids (B, count)."""
        self._prefill(features)
        if self.way != "as it is" and self._replay is None:
            self._capture(features)
        advance = self._step if self._replay is None else self._replay
        for _ in range(self.count - 1):
            advance()
        return self.written.clone()

    def _prefill(self, features: Tensor) -> None:
        """Reads visual tokens and prompt, and writes the first token."""
        self.cache.reset()
        length = self.prefix.shape[1]
        seen = torch.ones(length, self.length, dtype=torch.bool, device=self.prefix.device).tril()
        seen = seen[None, None].expand(len(self.prefix), -1, -1, -1)
        output = self.model(
            input_ids=self.prefix,
            image_features=features,
            attention_mask=_for_all_layers(seen),
            position_ids=torch.arange(length, device=self.prefix.device)[None],
            cache=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.mask.zero_()
        self.mask[..., :length] = True
        self.place.fill_(length)
        self.number.zero_()
        self._write(output.logits)

    def _step(self) -> None:
        self.mask.index_fill_(3, self.place, True)
        output = self.model(
            inputs_embeds=self.model.get_input_embeddings()(self.token),
            attention_mask=_for_all_layers(self.mask),
            position_ids=self.place[None],
            cache=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.place.add_(1)
        self._write(output.logits)

    def _write(self, logits: Tensor) -> None:
        self.token.copy_(logits[:, -1].argmax(-1, keepdim=True))
        self.written.index_copy_(1, self.number, self.token)
        self.number.add_(1)

    def _capture(self, features: Tensor) -> None:
        """Runs a few steps on a side stream, as capturing asks for, captures one, and starts anew."""
        step, first = self._step, min(3, self.count - 1)
        if self.way == "compiled graph":  # once: what is compiled holds for the place in the sequence that it began at
            step, first = torch.compile(self._step, dynamic=False), 1
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(first):
                step()
        torch.cuda.current_stream().wait_stream(side)
        self._prefill(features)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        self._replay = graph.replay
        self._prefill(features)


def _for_all_layers(mask: Tensor) -> dict[str, Tensor]:
    """The same mask for both kinds of Gemma layers: nothing here is longer than the sliding window."""
    return {"full_attention": mask, "sliding_attention": mask}
