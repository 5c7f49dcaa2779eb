"""From volumes and reports to the tensors a Brain3D model reads, and from ids back to text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from brain3d.model.configuration_brain3d import PROMPT, Brain3DConfig
from brain3d.scans.types import VolumeSpec

PROCESSOR_FILE = "processor_config.json"
IGNORED = -100


class Brain3DProcessor:
    """Holds a tokenizer and the grid of the volumes; saved into the checkpoint folder beside the model.

    A sequence is [K image placeholders | prompt, with the special tokens that the tokenizer itself adds |
    report | end of sequence]. Inputs come out padded, with an attention mask, and without `token_type_ids`:
    visual tokens are attended to causally.

    Args:
        tokenizer: with a pad and an end-of-sequence token.
        volume_spec: shape (D, H, W) and spacing that volumes must have.
        num_visual_tokens: K.
        image_token_id: the placeholder.
        prompt: the instruction.

    Raises:
        ValueError: the tokenizer lacks a pad or an end-of-sequence token.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        volume_spec: VolumeSpec,
        *,
        num_visual_tokens: int,
        image_token_id: int,
        prompt: str = PROMPT,
    ) -> None:
        for name in ("pad_token_id", "eos_token_id"):
            if getattr(tokenizer, name) is None:
                raise ValueError(f"the tokenizer has no {name}: a batch cannot be padded or ended without it")
        self.tokenizer = tokenizer
        self.volume_spec = volume_spec
        self.num_visual_tokens = num_visual_tokens
        self.image_token_id = image_token_id
        self.prompt = prompt

    @classmethod
    def from_config(cls, tokenizer: PreTrainedTokenizerBase, config: Brain3DConfig) -> Brain3DProcessor:
        """The processor that belongs to a model of this config."""
        assert config.num_visual_tokens is not None
        return cls(
            tokenizer,
            config.volume_spec(),
            num_visual_tokens=config.num_visual_tokens,
            image_token_id=config.image_token_id,
            prompt=config.prompt,
        )

    def __call__(
        self,
        volumes: Sequence[np.ndarray] | None = None,
        reports: Sequence[str] | None = None,
        *,
        batch_size: int | None = None,
        max_report_tokens: int | None = None,
        padding_side: str | None = None,
    ) -> dict[str, torch.Tensor]:
        """Makes one batch.

        Args:
            volumes: each (1, D, H, W) in [-1, 1]; None where features are cached (the placeholders remain).
            reports: one per volume, for training; None for generation.
            batch_size: rows, where neither volumes nor reports say it.
            max_report_tokens: longest report with its end; a longer one is cut and loses its end.
            padding_side: "left" for generation and "right" for training unless given.

        Returns:
            `input_ids` and `attention_mask` (B, L); with volumes `pixel_values` (B, 1, D, H, W); with
            reports `labels` (B, L): -100 except on the report and its end.

        Raises:
            ValueError: a volume has another shape, or counts differ.
        """
        count = self._count(volumes, reports, batch_size)
        prefix = self.prefix_ids()
        texts = [self._report_ids(report, max_report_tokens) for report in reports or []] or [[]] * count
        side = padding_side or ("left" if reports is None else "right")
        batch = self._pad([prefix + text for text in texts], self.tokenizer.pad_token_id, side)
        inputs = {
            "input_ids": batch,
            "attention_mask": self._pad([[1] * len(prefix + t) for t in texts], 0, side),
        }
        if volumes is not None:
            inputs["pixel_values"] = self._stack(volumes)
        if reports is not None:
            inputs["labels"] = self._pad([[IGNORED] * len(prefix) + text for text in texts], IGNORED, side)
        return inputs

    def prefix_ids(self) -> list[int]:
        """Placeholders, then the prompt: what every sequence begins with."""
        return [self.image_token_id] * self.num_visual_tokens + list(self.tokenizer(self.prompt)["input_ids"])

    def decode(self, ids: torch.Tensor | Sequence[Sequence[int]]) -> list[str]:
        """(B, L) ids -> texts, without special tokens, placeholders and the prompt."""
        rows = ids.tolist() if isinstance(ids, torch.Tensor) else ids
        return [self._decode_row(list(row)) for row in rows]

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the tokenizer and `processor_config.json` into `folder`."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(target)
        (target / PROCESSOR_FILE).write_text(json.dumps(self._settings(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Brain3DProcessor:
        """Reads what `save_pretrained` wrote, from `tokenizer.json` and without a network.

        Raises:
            FileNotFoundError: the folder holds no `processor_config.json`.
        """
        settings = json.loads((Path(folder) / PROCESSOR_FILE).read_text(encoding="utf-8"))
        return cls(
            PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True),
            VolumeSpec(tuple(settings["volume_shape"]), settings["spacing_mm"]),
            num_visual_tokens=settings["num_visual_tokens"],
            image_token_id=settings["image_token_id"],
            prompt=settings["prompt"],
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "processor_class": type(self).__name__,
            "volume_shape": list(self.volume_spec.shape),
            "spacing_mm": self.volume_spec.spacing_mm,
            "num_visual_tokens": self.num_visual_tokens,
            "image_token_id": self.image_token_id,
            "prompt": self.prompt,
        }

    def _count(
        self, volumes: Sequence[np.ndarray] | None, reports: Sequence[str] | None, batch_size: int | None
    ) -> int:
        counts = {
            name: number
            for name, number in (
                ("volumes", None if volumes is None else len(volumes)),
                ("reports", None if reports is None else len(reports)),
                ("batch_size", batch_size),
            )
            if number is not None
        }
        if len(set(counts.values())) != 1 or 0 in counts.values():
            stated = ", ".join(f"{name}: {number}" for name, number in counts.items()) or "nothing"
            raise ValueError(f"a batch needs one count of at least 1, got {stated}")
        return next(iter(counts.values()))

    def _stack(self, volumes: Sequence[np.ndarray]) -> torch.Tensor:
        expected = (1, *self.volume_spec.shape)
        for index, volume in enumerate(volumes):
            if volume.shape != expected:
                raise ValueError(f"volume {index} has shape {volume.shape}, expected {expected}")
        return torch.from_numpy(np.stack(volumes).astype(np.float32, copy=False))

    def _report_ids(self, report: str, longest: int | None) -> list[int]:
        ids = list(self.tokenizer(report, add_special_tokens=False)["input_ids"])
        return [*ids, self.tokenizer.eos_token_id][:longest]

    def _pad(self, rows: list[list[int]], filler: int, side: str) -> torch.Tensor:
        if side not in ("left", "right"):
            raise ValueError(f"padding_side is {side!r}, expected left or right")
        width = max(len(row) for row in rows)
        gaps = [[filler] * (width - len(row)) for row in rows]
        padded = [gap + row if side == "left" else row + gap for gap, row in zip(gaps, rows, strict=True)]
        return torch.tensor(padded, dtype=torch.long)

    def _decode_row(self, ids: list[int]) -> str:
        ids = [token for token in ids if token != self.tokenizer.pad_token_id]
        prefix = self.prefix_ids()
        if ids[: len(prefix)] == prefix:
            ids = ids[len(prefix) :]
        kept = [token for token in ids if token not in (self.image_token_id, IGNORED)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()
