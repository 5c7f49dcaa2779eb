"""One module whose forward pass is all that a stage asks of the model, so that it can be spread over devices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Learner(nn.Module):
    """Captions and embeddings of a composite, with adapters or without.

    `model` is the composite, or PEFT's wrapper of it; `composite` the composite itself. `what` says which:
    "caption" the loss of reports, "image" and "text" embeddings (B, d) for grounding.
    """

    def __init__(self, model: Any, composite: Any) -> None:
        super().__init__()
        self.model = model
        self._composite = [composite]  # not registered: its parameters are the model's

    def forward(self, what: str, **inputs: Any) -> Tensor:
        if what == "caption":
            return self._caption(**inputs)
        return self._image(**inputs) if what == "image" else self._text(**inputs)

    def _caption(self, visual: dict[str, Tensor], reports: dict[str, Tensor], counted: Tensor, total: int) -> Tensor:
        """The summed loss of the rows that count, over `total` tokens: of the whole batch, not of these rows alone.

        Padding stands behind the reports, where a causal model does not look, so no attention mask is given: attention
        is faster without one.
        """
        ids, labels = reports["input_ids"], reports["labels"]
        weights = counted[:, None].float().expand_as(labels)
        loss: Tensor = self.model(
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
