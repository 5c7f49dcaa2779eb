"""One module whose forward pass is all that a stage asks of the model, so that it can be spread over devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Learner(nn.Module):
    """Captions, embeddings and reports of a composite, with adapters or without.

    `model` is the composite, or PEFT's wrapper of it; `composite` the composite itself. `what` says which:
    "caption" the loss of reports, "image" and "text" embeddings (B, d) for grounding, "write" the ids of reports.

    What is registered here is spread, and can then be reached through the forward pass alone, by all processes
    together. A tower that does not learn is left out: each process encodes for its own feature cache.
    """

    _no_split_modules = ("Gemma3DecoderLayer",)  # what accelerate shards one by one, where its config does not say

    def __init__(self, model: Any, composite: Any, tower_learns: bool) -> None:
        super().__init__()
        body = composite.model
        parts = [body.projector, body.standardiser, body.language_model, composite.lm_head]
        tower = [body.vision_tower, body.compression] if tower_learns else []
        self.parts = nn.ModuleList(part for part in (*tower, *parts) if part is not None)
        self._model, self._composite = [model], [composite]  # not registered

    @property
    def projector(self) -> nn.Module:
        projector: nn.Module = self._composite[0].model.projector
        return projector

    def forward(self, what: str, **inputs: Any) -> Tensor:
        does: dict[str, Callable[..., Tensor]] = {
            "caption": self._caption,
            "image": self._image,
            "text": self._text,
            "write": self._write,
        }
        return does[what](**inputs)

    def _caption(self, visual: dict[str, Tensor], reports: dict[str, Tensor], counted: Tensor, total: int) -> Tensor:
        """The summed loss of the rows that count, over `total` tokens: of the whole batch, not of these rows alone.

        Padding stands behind the reports, where a causal model does not look, so no attention mask is given: attention
        is faster without one.
        """
        ids, labels = reports["input_ids"], reports["labels"]
        weights = counted[:, None].float().expand_as(labels)
        loss: Tensor = self._model[0](
            **visual,
            input_ids=ids,
            labels=labels,
            loss_weights=weights,
            num_items_in_batch=total,
            loss_only=True,
            use_cache=False,
        ).loss
        return loss

    def _image(self, visual: dict[str, Tensor]) -> Tensor:
        """The mean over the visual tokens."""
        body = self._composite[0].model
        pixels = visual.get("pixel_values")
        compressed = visual["compressed_tokens"] if pixels is None else body.compress(body.encode(pixels))
        tokens: Tensor = body.project(compressed)
        return tokens.float().mean(1)

    def _text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The mean of the language model's last hidden states over the report, without prompt; nothing learns in it."""
        with torch.no_grad():
            language = self._composite[0].model.language_model
            states = language(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask[..., None].float()
        mean: Tensor = (states * mask).sum(1) / mask.sum(1)
        return mean

    def _write(self, visual: dict[str, Tensor], prompt: dict[str, Tensor], **settings: Any) -> Tensor:
        """The ids of reports, chosen greedily."""
        ids: Tensor = self._composite[0].generate(**prompt, **visual, do_sample=False, **settings)
        return ids
