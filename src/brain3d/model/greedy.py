"""Greedy decoding in one shape: a static cache, and a step that a GPU can replay without Python in between."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, StaticCache

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration

PLAIN, GRAPH, COMPILED = "plain", "graph", "compiled graph"
WAYS = (PLAIN, GRAPH, COMPILED)
LOOK_EVERY = 16  # steps: whether all rows have ended is asked no oftener, since a GPU has to be waited for
TRIED = 8  # tokens that a graph has to write as the steps that it was captured from
TUNED: dict[str, str | int | bool | Callable[..., object]] = {
    "coordinate_descent_tuning": True
}  # on an H200 a fifth less time than without
ATTENTION = "sdpa"  # transformers' name of the one that takes a mask of truth values
WITHOUT_RULES = {  # fields of a generation config that change no greedy word, or that a caller states anyway
    *("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens", "min_new_tokens", "do_sample"),
    *("num_beams", "temperature", "top_k", "top_p", "repetition_penalty", "no_repeat_ngram_size", "use_cache"),
    *("cache_implementation", "output_attentions", "output_hidden_states", "trust_remote_code"),
    *("transformers_version", "_from_model_config"),
}


class Shape(NamedTuple):
    """So many rows, each with a prompt (visual tokens and words) of so many tokens, and how many it is gone on with."""

    rows: int
    prompt: int
    new: int


def fits(model: Brain3DForConditionalGeneration, shape: Shape) -> bool:
    """Whether the decoder can write this: with scaled dot-product attention, and within any sliding window."""
    config = model.config.text_config
    within = "sliding_attention" not in config.layer_types or shape.prompt + shape.new <= config.sliding_window
    return within and config._attn_implementation == ATTENTION


def has_rules(config: GenerationConfig) -> bool:
    """Whether a model's own generation config rules on words in a way that only `generate` knows."""
    return not WITHOUT_RULES.issuperset(config.to_diff_dict())


class GreedyDecoder:
    """Writes the likeliest next token after prompts of equal length, as `generate` does without rules on words.

    Every tensor that a step reads or writes keeps its place: the tokens so far, the place in the sequence, the mask of
    what may be attended to, keys and values. So one step can be captured once, as a CUDA graph, and replayed.

    Args:
        way: "plain" runs each step from Python; "graph" replays it as a CUDA graph, "compiled graph" after
            torch.compile. The last two need a GPU. A graph that cannot be captured, or does not write what the steps
            do that it was captured from, is not used, with a warning.
    """

    def __init__(self, model: Brain3DForConditionalGeneration, shape: Shape, way: str = GRAPH) -> None:
        if way not in WAYS:
            raise ValueError(f"way is {way!r}, expected one of {', '.join(WAYS)}")
        if not fits(model, shape):
            raise ValueError(
                f"{shape.prompt} + {shape.new} tokens are more than the sliding window, or attention is not {ATTENTION}"
            )
        self.model, self.shape, self.way = model, shape, way
        self.length = shape.prompt + shape.new
        device, rows = model.device, shape.rows
        self.cache = StaticCache(config=model.config.text_config, max_cache_len=self.length)
        self.written = torch.zeros(rows, shape.new, dtype=torch.long, device=device)
        self.token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.number = torch.zeros(1, dtype=torch.long, device=device)
        self.mask = torch.zeros(rows, 1, 1, self.length, dtype=torch.bool, device=device)
        self._advance: Callable[[], None] | None = self._step if way == PLAIN else None

    @torch.inference_mode()
    def __call__(self, embeds: Tensor, ends: Sequence[int] = (), pad: int = 0) -> Tensor:
        """Embeddings of the prompts (B, L, d) -> ids (B, count), or fewer where every row has written one of `ends`.

        Behind its end a row is filled up with `pad`. Without `ends` it is written on, so that each run takes as long.
        """
        if self._advance is None:
            self._advance = self._captured(embeds)
        stops = torch.tensor(list(ends), dtype=torch.long, device=self.written.device)
        self._prefill(embeds)
        for done in range(1, self.shape.new):
            if ends and done % LOOK_EVERY == 0 and bool(self._ended(stops, done).all()):
                break
            self._advance()
        return self._filled(stops, pad) if ends else self.written.clone()

    def _ended(self, stops: Tensor, done: int) -> Tensor:
        return torch.isin(self.written[:, :done], stops).any(1)

    def _filled(self, stops: Tensor, pad: int) -> Tensor:
        """What was written, each row through its first end, as wide as the longest."""
        after = torch.isin(self.written, stops).long().cumsum(1)
        beyond = (after - torch.isin(self.written, stops).long()) > 0
        width = int((~beyond).sum(1).max())
        return self.written.masked_fill(beyond, pad)[:, :width]

    def _prefill(self, embeds: Tensor) -> None:
        """Reads the prompts, and writes the first token."""
        self.cache.reset()
        rows, length, _ = embeds.shape
        seen = torch.ones(length, self.length, dtype=torch.bool, device=embeds.device).tril()
        output = self.model(
            inputs_embeds=embeds,
            attention_mask=_for_all_layers(seen[None, None].expand(rows, -1, -1, -1)),
            position_ids=torch.arange(length, device=embeds.device)[None],
            cache=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.mask.zero_()
        self.mask[..., :length] = True
        self.place.fill_(length)
        self.number.zero_()
        self.written.zero_()
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

    def _captured(self, embeds: Tensor) -> Callable[[], None]:
        """The step as a graph, if it can be had and writes the same; else the step."""
        # What is compiled holds for the place in the sequence that it began at: it runs once before it is captured.
        step, tokens = (self._step, TRIED)
        if self.way == COMPILED:
            step, tokens = torch.compile(self._step, dynamic=False, options=TUNED), 2
        tokens = min(tokens, self.shape.new)
        try:
            expected = self._tried(embeds, step, tokens)
            replay = self._capture(embeds, step)
        except RuntimeError as error:  # what torch raises over a step that cannot be captured
            told = str(error).strip().splitlines()[0]
            warnings.warn(f"words are chosen without a CUDA graph, which cannot be captured: {told}", stacklevel=3)
            return self._step
        self._prefill(embeds)
        for _ in range(tokens - 1):
            replay()
        if torch.equal(self.written[:, :tokens], expected):
            return replay
        warnings.warn("words are chosen without a CUDA graph, which would write others", stacklevel=3)
        return self._step

    def _tried(self, embeds: Tensor, step: Callable[[], None], tokens: int) -> Tensor:
        """The first tokens (B, tokens) by steps on a side stream, as capturing asks for."""
        self._prefill(embeds)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(tokens - 1):
                step()
        torch.cuda.current_stream().wait_stream(side)
        return self.written[:, :tokens].clone()

    def _capture(self, embeds: Tensor, step: Callable[[], None]) -> Callable[[], None]:
        self._prefill(embeds)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        replay: Callable[[], None] = graph.replay
        return replay


def _for_all_layers(mask: Tensor) -> dict[str, Tensor]:
    """The same mask for both kinds of Gemma layers: nothing here is longer than the sliding window."""
    return {"full_attention": mask, "sliding_attention": mask}
